"""What people read: tables, durations, sizes, times of day, values in one line. This module asks nobody."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from penstock.cli._run import one_line

#: How states are coloured.
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
#: The narrowest a line is cut to.
_WIDTH_MIN: Final = 40


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows under their heads; columns that hold only numbers are set to the right."""
    texts = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(head), *(len(row[at]) for row in texts)) if texts else len(head) for at, head in enumerate(heads)]
    right = [bool(texts) and all(_is_number(row[at]) for row in texts) for at in range(len(heads))]
    lines = [click.style(_line(heads, widths, right), bold=True)]
    lines += [_coloured(_line(row, widths, right), row) for row in texts]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
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
    """Write a point in time as the time of day here, with milliseconds."""
    return dt.datetime.fromtimestamp(time_s).astimezone().strftime("%H:%M:%S.%f")[:-3]


def value(found: Any) -> str:
    """Write a value as JSON in one line; a text that is one word stays as it is."""
    if isinstance(found, str):
        return one_line(found) if found and " " not in found else json.dumps(found, ensure_ascii=False)
    return one_line(json.dumps(msgspec.to_builtins(found, str_keys=True), ensure_ascii=False))


def fitted(line: str) -> str:
    """Cut a line to the terminal; what goes to a program is whole."""
    if not sys.stdout.isatty():
        return line
    width = max(shutil.get_terminal_size().columns, _WIDTH_MIN)
    return line if len(line) <= width else line[: width - 1] + "…"
