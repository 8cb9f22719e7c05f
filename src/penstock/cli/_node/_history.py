"""What has happened to actors: logs, events, replay, verify. This module changes no history."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import click

from penstock.cli import _stdio as stdio
from penstock.cli._node import _shown as lines
from penstock.cli._node._client import Where, reached, show
from penstock.cli._node._place import history_path
from penstock.cli._node._shown import counted, value
from penstock.cli._run import DIFFERS, INCOMPLETE, OK, Unusable, one_line, tell
from penstock.errors import Unavailable
from penstock.history import verify_file

#: Events that are written at a time, at most.
BATCH_EVENTS: Final = 256
_SPAN: Final = re.compile(r"(?P<count>\d+(\.\d+)?)\s*(?P<unit>s|min|m|h|d)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

Form = Callable[[Any], str]


class Asked(NamedTuple):
    """Which events: `query` is what the node is asked."""

    actor: str
    query: dict[str, Any]


def asked(
    actor: str, *, begin: str | None, end: str | None, search: str | None, follow: bool, lines: int | None, kinds: Any = ()
) -> Asked:
    """Make a query of the options. Raises `Unusable` for a time that cannot be read."""
    if follow and end is not None:
        raise Unusable("--to is an end, and --follow has none; leave one of them out")
    query: dict[str, Any] = {"actor": actor, "kinds": list(kinds), "search": search or "", "follow": follow, "last": lines}
    return Asked(actor, query | _bound(begin, "since", "after", "--from") | _bound(end, "until", "before", "--to"))


def _bound(text: str | None, offset: str, moment: str, option: str) -> dict[str, Any]:
    if text is None:
        return {}
    if text.isdigit():
        return {offset: int(text)}
    return {moment: _moment(text, option)}


def _moment(text: str, option: str) -> float:
    span = _SPAN.fullmatch(text.strip())
    if span:
        return time.time() - float(span["count"]) * _SECONDS[span["unit"]]
    try:
        of_day = dt.time.fromisoformat(text)
    except ValueError:
        pass
    else:
        return dt.datetime.combine(dt.datetime.now().astimezone().date(), of_day).astimezone().timestamp()
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise Unusable(
            f"{option} {text}: write a span back from now (15 min), a time (14:30, 2026-11-20T14:30), or an event's number"
        ) from None


# ── logs and events ───────────────────────────────────────────────────────────────────────────────────────────────────


async def logs(where: Where, wanted: Asked) -> int:
    """Print what an actor logged and what became of it."""
    wanted.query["kinds"] = list(lines.LOG_KINDS)
    named = _is_pattern(wanted.actor)
    form: Form = lines.json_event if where.as_json else lambda event: lines.log_line(event, named=named, width=lines.room())
    return await _print(where, wanted, form, None)


async def events(where: Where, wanted: Asked, form: str | None, export: str | None) -> int:
    """Print the events of an actor, or write them to a file."""
    chosen = form or ("json" if where.as_json or export else "pretty" if sys.stdout.isatty() else "compact")
    named = _is_pattern(wanted.actor)
    forms: dict[str, Form] = {
        "pretty": lambda event: lines.pretty_lines(event, named=named),
        "compact": lambda event: lines.compact_line(event, named=named, width=None if export else lines.room()),
        "json": lines.json_event,
        "csv": lines.csv_event,
    }
    with ExitStack() as stack:
        file = _opened(export, stack) if export else None
        if chosen == "csv":
            _out(file)(lines.csv_line(lines.CSV_HEAD))
        return await _print(where, wanted, forms[chosen], file)


def _opened(export: str, stack: ExitStack) -> TextIO:
    try:
        return stack.enter_context(Path(export).open("w", encoding="utf-8"))
    except OSError as error:
        raise Unusable(f"{export} cannot be written: {error.strerror or error}") from error


async def _print(where: Where, wanted: Asked, form: Form, file: TextIO | None) -> int:
    count, out = 0, _out(file)
    async with stdio.Output().until_broken(), reached(where) as node, node.items("events", wanted.query) as stream:
        async for batch in stream.batches(BATCH_EVENTS):
            count += len(batch)
            out("\n".join(map(form, batch)))
    if file is not None:
        print(f"wrote {count} events to {file.name}")
    elif not count and sys.stdout.isatty():
        tell(f"nothing is recorded of {wanted.actor} that fits")
    return OK


def _out(file: TextIO | None) -> Callable[[str], None]:
    if file is not None:
        return lambda text: print(click.unstyle(text), file=file)
    colours = sys.stdout.isatty()
    return lambda text: print(text if colours else click.unstyle(text), flush=True)


def _is_pattern(actor: str) -> bool:
    return "*" in actor


# ── replay and verify ─────────────────────────────────────────────────────────────────────────────────────────────────


async def replay(where: Where, actor: str) -> int:
    """Replay an actor's messages in the node and say where the first difference is."""
    async with reached(where) as node:
        found = await node.ask("replay", actor, timeout_s=None)
    if where.as_json:
        show(found, where)
    else:
        for line in _replayed(found):
            print(line)
    if found["divergence"]:
        return DIFFERS
    return OK if found["compared"] >= found["recorded"] else INCOMPLETE


def _replayed(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what a replay compared, what it did not, and why."""
    divergence = found["divergence"]
    yield f"{one_line(found['actor'])}: {_compared(found)}, since event {found['since']}, where it was last spawned"
    if divergence:
        yield f"  the first difference is at event {divergence['offset']}"
        yield f"    recorded {value(divergence['expected'])}"
        yield f"    replayed {value(divergence['got'])}"
    elif found["stopped"]:
        yield f"  it could not go on: {one_line(found['stopped'])}"
    elif found["compared"] < found["recorded"]:
        yield "  of the others no outcome is recorded: they are being handled, or were when the node ended"
    if found["left_out"]:
        yield "  not replayed: " + ", ".join(counted(count, one_line(what)) for what, count in found["left_out"].items())


def _compared(found: Mapping[str, Any]) -> str:
    recorded, compared = found["recorded"], found["compared"]
    if not recorded:
        return "no message to compare"
    if found["divergence"]:
        return f"{compared} of {counted(recorded, 'messages')} compared"
    if compared >= recorded:
        return f"{counted(recorded, 'messages')} replayed, {'all' if recorded > 1 else 'it'} came out as recorded"
    so_far = ", as recorded so far" if compared else ""
    return f"{compared} of {counted(recorded, 'messages')} compared{so_far}"


async def verify(where: Where, file: str | None) -> int:
    """Check the hashes of a history: `file`, or that of the node. Cancelling it stops the check."""
    path = Path(file) if file else await _path(where)
    stop = threading.Event()
    try:
        found = await asyncio.to_thread(verify_file, path, stop=stop)
    finally:
        stop.set()
    if where.as_json:
        head = found.head and {"offset": found.head[0], "hash": found.head[1]}
        show({"file": str(path), **found._asdict(), "head": head}, where)
    else:
        print(f"{path}: {found.text}")
        if found.head is not None:
            print(f"  the last is event {found.head[0]}, its hash {found.head[1]}")
    return OK if found.ok else DIFFERS


async def _path(where: Where) -> Path:
    """Return where the node keeps its history; where it would, when none runs."""
    try:
        async with reached(where) as node:
            held = (await node.ask("status"))["history"]
    except Unavailable:
        if not history_path().exists():
            raise
        return history_path()
    if held is None:
        raise Unusable("this node records no history; start it without --history none, or name a FILE")
    return Path(held)
