"""Events of the history as text: log lines, compact lines, indented data, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

import click
import msgspec

from penstock._texts import one_line
from penstock.cli._format._text import as_json, clock, iso, put_beside, value
from penstock.history import HistoryEvent

#: The kinds of events that `logs` shows: log lines, starts and ends, and the messages of channels.
LOG_KINDS: Final = (
    "log",
    "spawned",
    "restarted",
    "stopped",
    "crashed",
    "error",
    "dropped",
    "dead_letter",
    "channel_opened",
    "channel_accepted",
    "channel_rejected",
    "channel_message",
    "channel_closed",
    "unrecorded",
    "torn",
)
_COLOURS: Final = {
    "crashed": "red",
    "error": "red",
    "dead_letter": "yellow",
    "dropped": "yellow",
    "channel_rejected": "yellow",
    "restarted": "yellow",
    "unrecorded": "red",
    "torn": "red",
    "ERROR": "red",
    "CRITICAL": "red",
    "WARNING": "yellow",
    "DEBUG": "bright_black",
}
#: How many characters of a channel's id tell it from the others.
_CHANNEL_SHOWN: Final = 6
_WORD_WIDTH: Final = 9


def log_line(event: HistoryEvent, *, named: bool = False, width: int | None = None) -> str:
    """Return an event as a line of a log; `named` adds the name of the actor.

    With a `width`, a message of a channel is cut; any other text goes on in further lines.
    """
    kind, data = event.kind, event.data
    word, text = _WORDS.get(kind, _any)(kind, data if isinstance(data, dict) else {"data": data})
    whose = f"{click.style(one_line(event.actor), bold=True)}  " if named else ""
    colour = _COLOURS.get(word, _COLOURS.get(kind))
    head = f"{click.style(clock(event.time), dim=True)}  {whose}{click.style(f'{word:{_WORD_WIDTH}}', fg=colour)} "
    return put_beside(head, text, width, wrapped=not kind.startswith("channel_"))


def compact_line(event: HistoryEvent, *, named: bool = False, width: int | None = None) -> str:
    """Return an event as one line: number, time, kind, data; cut to `width`."""
    whose = f"{click.style(one_line(event.actor), bold=True)}  " if named else ""
    kind = click.style(f"{one_line(event.kind):16}", fg=_COLOURS.get(event.kind, "cyan"))
    data = event.data
    parts = [f"{one_line(str(key))}={value(held)}" for key, held in data.items()] if isinstance(data, dict) else [value(data)]
    head = f"{event.offset:>6}  {click.style(clock(event.time), dim=True)}  {whose}{kind} "
    return put_beside(head, " ".join(parts), width, wrapped=False)


def pretty_lines(event: HistoryEvent, *, named: bool = False) -> str:
    """Return an event with its data indented below."""
    whose = f"{click.style(one_line(event.actor), bold=True)}  " if named else ""
    kind = click.style(one_line(event.kind), fg=_COLOURS.get(event.kind, "cyan"), bold=True)
    head = f"{click.style(str(event.offset), bold=True)}  {click.style(clock(event.time), dim=True)}  {whose}{kind}"
    data = as_json(event.data, indent=2).splitlines()
    body = [f"    {one_line(line)}" for line in data] if event.data else []
    return "\n".join([f"{head}  {click.style(event.hash[:12], dim=True)}", *body])


CSV_HEAD: Final = ("offset", "time", "at", "actor", "kind", "data", "hash")


def json_event(event: HistoryEvent) -> str:
    """Return an event as a line of JSON; "at" is its time in ISO 8601."""
    offset, time, *rest = msgspec.structs.asdict(event).items()
    return as_json(dict([offset, time, ("at", iso(event.time)), *rest]))


def csv_line(cells: tuple[Any, ...]) -> str:
    """Return cells as a line of CSV (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def csv_event(event: HistoryEvent) -> str:
    """Return an event as a line of CSV; its data are JSON."""
    actor, kind = one_line(event.actor), one_line(event.kind)
    return csv_line((event.offset, event.time, iso(event.time), actor, kind, as_json(event.data), event.hash))


# ── the text of each kind ──────────────────────────────────────────────────────────────────────────────────────


def _any(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    return one_line(kind), " ".join(f"{one_line(str(key))}={value(held)}" for key, held in data.items())


def _log(_kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    return one_line(str(data.get("level", ""))), one_line(str(data.get("text", "")))


def _failed(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    return kind, one_line(f"{data.get('error', '')}: {data.get('text', '')}")


def _spawned(_kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    return "spawned", f"{one_line(str(data.get('actor', '')))} {one_line(str(data.get('id', '')))}"


def _restarted(_kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    delay = f"after {data['after_s']:.2f} s: " if data.get("after_s") else ""
    return "restarted", one_line(f"{delay}{data.get('reason', '')}")


def _reason(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    return kind, one_line(str(data.get("reason") or ""))


def _undelivered(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    sender = f" from {data['sender']}" if data.get("sender") else ""
    reason = f": {data['reason']}" if data.get("reason") else ""
    return kind.replace("_", " "), one_line(f"{data.get('type', '')}{sender}{reason}")


def _channel(sign: str, text: Callable[[Mapping[str, Any]], str]) -> Callable[[str, Mapping[str, Any]], tuple[str, str]]:
    def line(_kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
        return "channel", f"{one_line(str(data.get('channel', '')))[:_CHANNEL_SHOWN]} {sign} {text(data)}".rstrip()

    return line


def _opened(data: Mapping[str, Any]) -> str:
    return f"opened by {one_line(str(data.get('initiator') or 'an outside client'))} {_payload(data)}"


def _payload(data: Mapping[str, Any]) -> str:
    return "" if data.get("payload") is None else value(data["payload"])


def _message(kind: str, data: Mapping[str, Any]) -> tuple[str, str]:
    arrow = "→" if data.get("direction") == "out" else "←"
    return _channel(arrow, lambda data: value(data.get("message")))(kind, data)


def _closed(data: Mapping[str, Any]) -> str:
    reason = f": {one_line(str(data['reason']))}" if data.get("reason") else ""
    return f"{one_line(str(data.get('outcome', 'closed')))}{reason}"


_WORDS: Final[dict[str, Callable[[str, Mapping[str, Any]], tuple[str, str]]]] = {
    "log": _log,
    "spawned": _spawned,
    "crashed": _failed,
    "error": _failed,
    "restarted": _restarted,
    "stopped": _reason,
    "dropped": _undelivered,
    "dead_letter": _undelivered,
    "channel_opened": _channel("○", _opened),
    "channel_accepted": _channel("●", lambda data: f"accepted {_payload(data)}"),
    "channel_rejected": _channel("×", lambda data: f"rejected: {one_line(str(data.get('reason', '')))}"),
    "channel_message": _message,
    "channel_closed": _channel("○", _closed),
}
