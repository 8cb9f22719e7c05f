"""Queries on the file, answered one page at a time. This module never runs on the event loop and never writes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from penstock.codec import JSON
from penstock.errors import DataLoss, InvalidArgument, OutOfRange
from penstock.history._event import HASH_BYTES, EventLine, HistoryEvent, read_line
from penstock.history._file import chain_of

#: How many blocks one page reads before other queries get their turn. The page may then have fewer events than the limit.
PAGE_BLOCKS: Final = 32
#: How many bytes of events one page holds: it ends after the event that exceeds them.
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
#: How many blocks are read to find the actors without an end, the last ones first: half a second of work. An actor whose last
#: event is not in them is not looked up.
LOOKED_BLOCKS: Final = 256


class Query(NamedTuple):
    """The conditions of a query; None means any value."""

    actor: str | None = None
    kinds: frozenset[str] | None = None
    after: float | None = None
    before: float | None = None
    search: bytes | None = None

    def fits(self, line: EventLine, text: bytes) -> bool:
        """Return whether an event matches. `text` is its stored form."""
        return (
            (self.actor is None or line.actor == self.actor)
            and (self.kinds is None or line.kind in self.kinds)
            and (self.after is None or line.time >= self.after)
            and (self.before is None or line.time < self.before)
            and (self.search is None or self.search in text.lower())
        )


def make_query(
    actor: str | None,
    kinds: Iterable[str] | None = None,
    *,
    after: float | None = None,
    before: float | None = None,
    search: str | None = None,
) -> Query:
    """Make a `Query`. `search` is a text in the stored form of an event; the case of the letters a to z does not matter."""
    text = None if search is None else JSON.encode(search)[1:-1].lower()
    return Query(actor, None if kinds is None else frozenset(kinds), after, before, text)


class Page(NamedTuple):
    """A part of the answer to a query.

    next: the offset at which to continue: the end of the part of the file that was read. end: the file has no more matching
    events. size: the bytes of the events.
    """

    events: list[HistoryEvent]
    next: int
    end: bool
    size: int = 0


class Stored(NamedTuple):
    """A block as it is stored in the file."""

    first: int
    hashes: bytes
    events: bytes


_BLOCKS: Final = """
SELECT first, hashes, events FROM blocks
WHERE first >= coalesce((SELECT max(first) FROM blocks WHERE first <= :since), 0) AND first < :until
AND ended >= :after AND begun <= :before
"""
#: The kinds of events that may be recorded of an actor after it has stopped.
_AFTER_AN_END: Final = frozenset({"dead_letter", "dropped", "log", "channel_rejected", "channel_closed", "stream_ended"})
#: Each actor with the last block that mentions it: one step in the index for each actor, however long the history is.
_LAST_MENTIONS: Final = """
WITH RECURSIVE each(actor) AS (
  SELECT min(actor) FROM mentions
  UNION ALL SELECT (SELECT min(actor) FROM mentions WHERE actor > each.actor) FROM each WHERE actor IS NOT NULL)
SELECT actor, (SELECT max(first) FROM mentions WHERE mentions.actor = each.actor) FROM each WHERE actor IS NOT NULL
"""
_MENTION_BEFORE: Final = "SELECT max(first) FROM mentions WHERE actor = ? AND first < ?"
_OF_ACTOR: Final = "AND first IN (SELECT first FROM mentions WHERE actor = :actor)"


def read_page(connection: sqlite3.Connection, query: Query, since: int | None, limit: int, *, until: int | None = None) -> Page:
    """Return the first matching events from offset `since` on (None: from the begin of the file) and before `until`.

    Raises `OutOfRange` when retention has removed `since`, and `sqlite3.Error`.
    """
    with _snapshot(connection):
        chain = chain_of(connection)
        start = since_within(since, chain.base, chain.next)
        stop = chain.next if until is None else min(until, chain.next)
        with _blocks(connection, query, range(start, stop), "ASC") as blocks:
            return _first_page(blocks, query, range(start, stop), limit)


def _first_page(blocks: Iterable[Stored], query: Query, span: range, limit: int) -> Page:
    """Collect matching events from the front, up to `limit` events, `PAGE_BYTES_MAX` bytes or `PAGE_BLOCKS` blocks."""
    events: list[HistoryEvent] = []
    size = 0
    for looked, block in enumerate(blocks):
        if looked >= PAGE_BLOCKS:
            return Page(events, max(block.first, span.start), end=False, size=size)
        for event, length in _events(block, query, span):
            events.append(event)
            size += length
            if len(events) >= limit or size >= PAGE_BYTES_MAX:
                return Page(events, event.offset + 1, end=event.offset + 1 >= span.stop, size=size)
    return Page(events, span.stop, end=True, size=size)


def read_last(connection: sqlite3.Connection, query: Query, since: int | None, limit: int, *, until: int | None) -> Page:
    """Return the last `limit` matching events before offset `until`, in order; `next` is the `until` of the page before.

    Offsets and errors are those of `read_page`.
    """
    with _snapshot(connection):
        chain = chain_of(connection)
        stop = chain.next if until is None else min(until, chain.next)
        start = since_within(since, chain.base, chain.next)
        with _blocks(connection, query, range(start, stop), "DESC") as blocks:
            return _last_page(blocks, query, range(start, stop), limit)


def _last_page(blocks: Iterable[Stored], query: Query, span: range, limit: int) -> Page:
    """Collect matching events from the end, block by block, until there are `limit` events or a page is full."""
    events: list[HistoryEvent] = []
    size, stop = 0, span.stop
    for looked, block in enumerate(blocks):
        if looked >= PAGE_BLOCKS or size >= PAGE_BYTES_MAX or len(events) >= limit:
            return Page(events[-limit:], stop, end=len(events) >= limit, size=size)
        matches = list(_events(block, query, span))
        events = [event for event, _ in matches] + events
        size += sum(length for _, length in matches)
        stop = block.first
    return Page(events[-limit:], span.start, end=True, size=size)


def read_unended(connection: sqlite3.Connection) -> tuple[list[str], int]:
    """Return the actors without an end, in the order of their last events, and how many actors were not looked up."""
    unended: list[tuple[int, str]] = []
    with _snapshot(connection):
        last_blocks = {actor: first for actor, first in connection.execute(_LAST_MENTIONS) if actor}
        for _ in range(LOOKED_BLOCKS):
            if not last_blocks:
                break
            first = max(last_blocks.values())
            here = [actor for actor, block in last_blocks.items() if block == first]
            ends = _last_of_lives(connection, first)
            unended += [(ends[actor].offset, actor) for actor in here if actor in ends and ends[actor].kind != "stopped"]
            for actor in here:
                del last_blocks[actor]
            last_blocks |= _mentioned_before(connection, first, [actor for actor in here if actor not in ends])
    return [actor for _, actor in sorted(unended)], len(last_blocks)


def _last_of_lives(connection: sqlite3.Connection, first: int) -> dict[str, EventLine]:
    """Return, for each actor in a block, its last event that shows whether it lives."""
    (text,) = connection.execute("SELECT events FROM blocks WHERE first = ?", (first,)).fetchone()
    lines = map(read_line, text.split(b"\n"))
    return {line.actor: line for line in lines if line.kind not in _AFTER_AN_END}


def _mentioned_before(connection: sqlite3.Connection, first: int, actors: list[str]) -> dict[str, int]:
    """Return the last block before `first` that mentions each of `actors`."""
    firsts = {actor: connection.execute(_MENTION_BEFORE, (actor, first)).fetchone()[0] for actor in actors}
    return {actor: earlier for actor, earlier in firsts.items() if earlier is not None}


def since_within(since: int | None, base: int, following: int) -> int:
    """Return the offset at which to begin. Raises `OutOfRange` when it is not in the file, `InvalidArgument` below 0."""
    if since is None:
        return base
    if since < 0:
        raise InvalidArgument(
            f"since is {since}; it is the offset to begin at: 0 or more, or None for the first event of the file"
        )
    details = {"first": base, "next": following}
    if since < base:
        raise OutOfRange(f"event {since} was removed by retention; the first event of the file has offset {base}", details)
    if since > following:
        raise OutOfRange(f"event {since} is not recorded yet; the next event will have offset {following}", details)
    return since


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _blocks(connection: sqlite3.Connection, query: Query, span: range, order: str) -> Iterator[Iterable[Stored]]:
    question = f"{_BLOCKS} {_OF_ACTOR if query.actor is not None else ''} ORDER BY first {order}"
    named = {
        "since": span.start,
        "until": span.stop,
        "actor": query.actor,
        "after": float("-inf") if query.after is None else query.after,
        "before": float("inf") if query.before is None else query.before,
    }
    with contextlib.closing(connection.execute(question, named)) as rows:
        yield map(Stored._make, rows)


def _events(block: Stored, query: Query, span: range) -> Iterator[tuple[HistoryEvent, int]]:
    texts = block.events.split(b"\n")
    if len(texts) != len(block.hashes) // HASH_BYTES:
        raise DataLoss(f"the block of event {block.first} is not the one that was written; verify the history")
    name = b"" if query.actor is None else JSON.encode(query.actor)
    for at, text in enumerate(texts):
        if name in text and block.first + at in span and query.fits(line := read_line(text), text):
            yield line.event(block.hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]), len(text)
