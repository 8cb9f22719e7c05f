"""Tables, durations, times of day and values as text for people. No text that a peer wrote can steer the terminal."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from penstock._outcomes import shown
from penstock._texts import one_line
from penstock.cli._run import harmless_json
from penstock.codec import UNENCODABLE

#: The colours of actors' states.
_COLOURS: Final = {
    "running": "green",
    "idle": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "stopping": "yellow",
    "stopped": "bright_black",
    "failed": "red",
}
_NUMBER: Final = re.compile(r"[\d.,/]+( (s|min|h|d))?")
_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))
#: How deep a value is shown that is nested too deeply for JSON.
DEPTH_SHOWN: Final = 32
#: The narrowest a line is cut to.
_WIDTH_MIN: Final = 40


def as_json(value: Any, *, indent: int = -1) -> str:
    """Write any value as JSON, as `json_of` does; `indent` -1 keeps it in one line, 0 too, with spaces."""
    return harmless_json(msgspec.json.format(json_of(value), indent=indent).decode())


def json_of(value: Any) -> bytes:
    """Encode a value as JSON. A key that JSON does not have becomes a text, another value that JSON does not have its repr.

    A value that is nested too deeply for JSON is cut at `DEPTH_SHOWN`. It never raises: the actor has acted already.
    """
    try:
        return msgspec.json.encode(value)
    except UNENCODABLE:
        return msgspec.json.encode(_shown(value, DEPTH_SHOWN))


def _shown(value: Any, depth: int) -> Any:
    """Return the JSON form of a value in which some part has none."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict | list | tuple | set | frozenset):
        if not depth:
            return "…"
        if isinstance(value, dict):
            return _with_texts_as_keys(value, depth - 1)
        return [_shown(part, depth - 1) for part in value]
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except UNENCODABLE:
        return shown(value)


def _with_texts_as_keys(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, part in value.items():
        text = key if isinstance(key, str) else json_of(key).decode().strip('"')
        if text in made:  # 1 and "1"
            text = f"{text} ({type(key).__name__})"
        made[text] = _shown(part, depth)
    return made


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None, optional: Sequence[str] = ()
) -> str:
    """Write rows under their heads; columns that hold only numbers are set to the right.

    With a `width`, columns are left out until the rest fits, in the order of `optional`; lines that are still too long are cut.
    """
    texts = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(head), *(len(row[at]) for row in texts)) if texts else len(head) for at, head in enumerate(heads)]
    right = [bool(texts) and all(_is_number(row[at]) for row in texts) for at in range(len(heads))]
    kept = _fitting(heads, widths, width, optional)

    def line(cells: Sequence[str]) -> str:
        text = _line(*([each[at] for at in kept] for each in (cells, widths, right)))
        return text if width is None else cut(text, width)

    return "\n".join([click.style(line(heads), bold=True), *(_coloured(line(row), row) for row in texts)])


def _fitting(heads: Sequence[str], widths: Sequence[int], width: int | None, optional: Sequence[str]) -> list[int]:
    """Return the indices of the columns that fit into `width`."""
    kept = list(range(len(heads)))
    for head in optional:
        if width is None or sum(widths[at] + 2 for at in kept) - 2 <= width:
            break
        kept.remove(heads.index(head))
    return kept


def _line(cells: Sequence[Any], widths: Sequence[Any], right: Sequence[Any]) -> str:
    set_cells = [cell.rjust(width) if at else cell.ljust(width) for cell, width, at in zip(cells, widths, right, strict=True)]
    return "  ".join(set_cells).rstrip()


def _coloured(line: str, row: Sequence[str]) -> str:
    word = next((cell for cell in row if cell in _COLOURS), None)
    return line if word is None else line.replace(f" {word}", f" {state(word)}", 1)


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def state(word: str) -> str:
    """Write the state of an actor in its colour."""
    return click.style(word, fg=_COLOURS.get(word))


def duration(seconds: float) -> str:
    """Write a duration in its largest unit."""
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= size), (1.0, "s"))
    number = seconds / size
    return f"{number:.0f} {unit}" if number >= 10 or unit == "s" else f"{number:.1f} {unit}"  # noqa: PLR2004 - two digits


def clock(time_s: float) -> str:
    """Write a time as the local time of day with milliseconds, and with its date when it is not today."""
    moment = dt.datetime.fromtimestamp(time_s).astimezone()
    today = moment.date() == dt.datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S.%f" if today else "%Y-%m-%d %H:%M:%S.%f")[:-3]


def iso(time_s: float) -> str:
    """Write a time as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(time_s, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counted(count: int, plural: str) -> str:
    """Write a count with its noun: "1 message of channels", "2 messages of channels". `plural`: its first word ends with s."""
    first, _, rest = plural.partition(" ")
    return f"{count:,} {first.removesuffix('s') if count == 1 else first}{' ' * bool(rest)}{rest}"


def doing(handling: str, since_s: float | None) -> str:
    """Write the message that an actor is handling, and since when, where that is known."""
    since = "" if since_s is None else f" since {duration(since_s)}"
    return f"{one_line(handling)}{since}"


def value(held: Any) -> str:
    """Write a value as JSON in one line; a text of one word stays without quotes."""
    if isinstance(held, str):
        return one_line(held) if held and " " not in held else json.dumps(held, ensure_ascii=False)
    return one_line(as_json(held, indent=0))


def room() -> int | None:
    """Return the columns of the terminal; None when the output is not a terminal, because programs get whole lines."""
    return max(shutil.get_terminal_size().columns, _WIDTH_MIN) if sys.stdout.isatty() else None


def cut(text: str, width: int) -> str:
    """Cut a text that is too long."""
    return text if len(text) <= width else text[: width - 1] + "…"


def put_beside(head: str, text: str, width: int | None, *, wrapped: bool) -> str:
    """Put a text after its head, cut to `width`, or wrapped so that it hangs beside the head."""
    if width is None:
        return f"{head}{text}"
    indent = len(click.unstyle(head))
    left = max(width - indent, _WIDTH_MIN // 2)
    if not wrapped:
        return f"{head}{cut(text, left)}"
    lines = textwrap.wrap(text, left, break_on_hyphens=False) or [""]
    return head + f"\n{' ' * indent}".join(lines)
