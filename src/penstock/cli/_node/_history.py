"""`penstock logs`, `events`, `replay` and `verify`: the recorded past of actors."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, TextIO

import click
import msgspec

import penstock
from penstock._files import open_regular
from penstock._texts import one_line
from penstock.cli import _stdio as stdio
from penstock.cli._format import _event_lines as lines
from penstock.cli._format import counted, room, value
from penstock.cli._node._client import connected_node, show
from penstock.cli._node._paths import history_path
from penstock.cli._options import NodeOptions
from penstock.cli._run import DIFFERS, INCOMPLETE, NOTHING, OK, Unusable, print_notice
from penstock.errors import Unavailable
from penstock.history import HistoryEvent, Replay, verify_file
from penstock.node import EventQuery, HistoryControl

#: Events that are written at a time, at most.
BATCH_EVENTS: Final = 256
#: One part of a span of time, "2 days" or "90s". A span may have several parts, and the word "ago" behind them.
_PART: Final = r"(\d+(?:\.\d+)?)\s*([a-z]+)"
_SPAN: Final = re.compile(rf"(?:{_PART}[\s,]*)+(?:ago)?")
_SECONDS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
#: The units as people write them, each with or without an s at its end.
_UNITS: Final = {"sec": "s", "second": "s", "m": "min", "minute": "min", "hr": "h", "hour": "h", "day": "d", "week": "w"}
#: Days before today, whose beginning a word means.
_DAYS: Final = {"today": 0, "yesterday": 1}


Form = Callable[[HistoryEvent], str]


def query_of(
    actor: str, *, begin: str | None, end: str | None, search: str | None, follow: bool, lines: int | None, kinds: Any = ()
) -> EventQuery:
    """Return the query that the options describe. Raises `Unusable` for a time that cannot be read."""
    if follow and end is not None:
        raise Unusable("--to and --follow exclude each other; leave one of them out")
    bounds = _bound(begin, "since", "after", "--from") | _bound(end, "until", "before", "--to")
    return EventQuery(actor, list(kinds), search=search or "", last=lines, follow=follow, **bounds)


def _bound(text: str | None, offset: str, moment: str, option: str) -> dict[str, Any]:
    """Return one bound of a query: a number is an offset, any other text a time."""
    if text is None:
        return {}
    text = text.strip()
    if text.isdigit():
        return {offset: int(text)}
    return {moment: _moment(text, option)}


def _moment(text: str, option: str) -> float:
    """Read a span back from now, "now", a day, a time of today, or an ISO 8601 time; return seconds since 1970."""
    span = _span(text.lower())
    if span is not None:
        return time.time() - span
    today = dt.datetime.now().astimezone().date()
    if text.lower() in _DAYS:
        return _local(today - dt.timedelta(days=_DAYS[text.lower()]), dt.time())
    with suppress(ValueError):
        return _local(today, dt.time.fromisoformat(text))
    with suppress(ValueError):
        return dt.datetime.fromisoformat(text).timestamp()
    raise Unusable(
        f"{option} {text}: write a span back from now (15 min, 2 days), today, yesterday, a time (14:30, 2026-11-20T14:30), or "
        "the number of an event"
    )


def _span(text: str) -> float | None:
    """Read a span of time: seconds, None when it is none."""
    if text == "now":
        return 0.0
    if _SPAN.fullmatch(text) is None:
        return None
    seconds = 0.0
    for count, written in re.findall(_PART, text):
        unit = written if written in _SECONDS else _UNITS.get(written, _UNITS.get(written.removesuffix("s"), ""))
        if unit not in _SECONDS:
            return None
        seconds += float(count) * _SECONDS[unit]
    return seconds


def _local(day: dt.date, of_day: dt.time) -> float:
    return dt.datetime.combine(day, of_day).astimezone().timestamp()


# ── logs and events ───────────────────────────────────────────────────────────────────────────────────────────────────


async def logs(options: NodeOptions, query: EventQuery) -> int:
    """Print the log lines of an actor, its starts, ends and crashes, and the messages of its channels."""
    query = msgspec.structs.replace(query, kinds=list(lines.LOG_KINDS))
    named = _is_pattern(query.actor)
    form: Form = lines.json_event if options.as_json else lambda event: lines.log_line(event, named=named, width=room())
    return await _print(options, query, form, None)


async def events(options: NodeOptions, query: EventQuery, form: str | None, export: str | None) -> int:
    """Print the events of an actor, or write them to a file."""
    chosen = form or ("json" if options.as_json or export else "pretty" if sys.stdout.isatty() else "compact")
    named = _is_pattern(query.actor)
    forms: dict[str, Form] = {
        "pretty": lambda event: lines.pretty_lines(event, named=named),
        "compact": lambda event: lines.compact_line(event, named=named, width=None if export else room()),
        "json": lines.json_event,
        "csv": lines.csv_event,
    }
    with ExitStack() as stack:
        file = _opened(export, stack) if export else None
        if chosen == "csv":
            _out(file)(lines.csv_line(lines.CSV_HEAD))
        return await _print(options, query, forms[chosen], file)


def _opened(export: str, stack: ExitStack) -> TextIO:
    try:
        return stack.enter_context(open(export, "w", encoding="utf-8", opener=open_regular))
    except OSError as error:
        raise Unusable(f"{export} cannot be written: {error.strerror or error}") from error


async def _print(options: NodeOptions, query: EventQuery, form: Form, file: TextIO | None) -> int:
    """Print the events of a query as they come, and say so on a terminal when there are none."""
    count, out = 0, _out(file)
    async with (
        stdio.Output().until_broken(),
        connected_node(options, HistoryControl) as node,
        penstock.Stream.of(node.history.events(query)) as stream,
    ):
        async for batch in stream.batches(BATCH_EVENTS):
            count += len(batch)
            out("\n".join(map(form, batch)))
    if file is not None:
        print(f"wrote {count} events to {file.name}")
    elif not count and sys.stdout.isatty():
        print_notice(f"no recorded event of {query.actor} matches")
    return OK


def _out(file: TextIO | None) -> Callable[[str], None]:
    """Return the function that prints a line, without colours when the output is not a terminal."""
    if file is not None:
        return lambda text: print(click.unstyle(text), file=file)
    colours = sys.stdout.isatty()
    return lambda text: print(text if colours else click.unstyle(text), flush=True)


def _is_pattern(actor: str) -> bool:
    return "*" in actor


# ── replay and verify ─────────────────────────────────────────────────────────────────────────────────────────────────


async def replay(options: NodeOptions, actor: str) -> int:
    """Replay an actor's messages in the node and print the first difference."""
    async with connected_node(options, HistoryControl) as node:
        result = await node.history.replay(actor)
    if options.as_json:
        show(result, options)
    else:
        for line in _replay_lines(result):
            print(line)
    if result.divergence:
        return DIFFERS
    if not result.compared:
        return NOTHING
    return OK if result.compared >= result.recorded else INCOMPLETE


def _replay_lines(result: Replay) -> Iterator[str]:
    """Describe the result of a replay: the messages that were compared or left out, and why."""
    yield f"{one_line(result.actor)}: {_compared(result)}, since event {result.since}, where it was last spawned"
    if result.divergence:
        yield f"  the first difference is at event {result.divergence.offset}"
        yield f"    recorded {value(result.divergence.expected)}"
        yield f"    replayed {value(result.divergence.got)}"
    elif result.stopped:
        yield f"  it could not go on: {one_line(result.stopped)}"
    elif result.compared < result.recorded:
        yield "  the others have no recorded outcome: they are being handled, or were when the node ended"
    if result.left_out:
        yield "  not replayed: " + ", ".join(counted(count, one_line(kind)) for kind, count in result.left_out.items())


def _compared(result: Replay) -> str:
    """Return how many messages were compared, and whether all came out as recorded."""
    recorded, compared = result.recorded, result.compared
    if not recorded:
        return "nothing was compared, because no message is recorded"
    if result.divergence:
        return f"{compared} of {counted(recorded, 'messages')} compared"
    if compared >= recorded:
        return f"{counted(recorded, 'messages')} replayed, {'all' if recorded > 1 else 'it'} came out as recorded"
    if not compared:
        return f"nothing was compared of {counted(recorded, 'messages')}"
    return f"{compared} of {counted(recorded, 'messages')} compared, as recorded so far"


async def verify(options: NodeOptions, file: str | None) -> int:
    """Check the hashes of a history: `file`, or that of the node. Cancelling it stops the check."""
    path = Path(file) if file else await _node_history(options)
    stop = threading.Event()
    try:
        result = await asyncio.to_thread(verify_file, path, stop=stop)
    finally:
        stop.set()
    if options.as_json:
        head = result.head and {"offset": result.head[0], "hash": result.head[1]}
        show({"file": str(path), **result._asdict(), "head": head}, options)
    else:
        print(f"{path}: {result.text}")
        if result.head is not None:
            print(f"  the last event is {result.head[0]}, its hash {result.head[1]}")
    return OK if result.ok else DIFFERS


async def _node_history(options: NodeOptions) -> Path:
    """Return the history of the node; when no node runs, the default one if it exists."""
    try:
        async with connected_node(options) as node:
            history = (await node.control.status()).history
    except Unavailable:
        if not history_path().exists():
            raise
        return history_path()
    if history is None:
        raise Unusable("this node records no history; start it without --history none, or name a FILE")
    return Path(history)
