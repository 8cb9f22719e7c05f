"""Questions to the file, answered a page at a time. This module never runs on the event loop and never writes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from penstock.codec import JSON
from penstock.errors import DataLoss, InvalidArgument, OutOfRange
from penstock.history._event import HASH_BYTES, EventLine, HistoryEvent, read_line
from penstock.history._file import chain_of

#: How many blocks one page looks through before others get their turn; it may then have fewer events than asked for, or none.
PAGE_BLOCKS: Final = 32
#: How many bytes of events one page holds: it ends after the event that goes beyond.
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
#: How many blocks are read to find actors that never ended, the last ones first: half a second's work. An actor that has been
#: silent for so long that its last block is not among them is left alone.
LOOKED_BLOCKS: Final = 256


class Query(NamedTuple):
    """Which events are meant; None means any."""

    actor: str | None = None
    kinds: frozenset[str] | None = None
    after: float | None = None
    before: float | None = None
    search: bytes | None = None

    def fits(self, line: EventLine, text: bytes) -> bool:
        """Say whether an event is meant."""
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
    """Make a `Query`; `search` is looked for in the text of an event as it is stored, in any case of letters."""
    text = None if search is None else JSON.encode(search)[1:-1].lower()
    return Query(actor, None if kinds is None else frozenset(kinds), after, before, text)


class Page(NamedTuple):
    """What was found from an offset on; `next` is where to go on, the end of what was looked at.

    `end`: nothing more is in the file.
    """

    events: list[HistoryEvent]
    next: int
    end: bool
    size: int = 0


class Stored(NamedTuple):
    """A block as it is in the file."""

    first: int
    hashes: bytes
    events: bytes


_BLOCKS: Final = """
SELECT first, hashes, events FROM blocks
WHERE first >= coalesce((SELECT max(first) FROM blocks WHERE first <= :since), 0) AND first < :until
AND ended >= :after AND begun <= :before
"""
#: What can be recorded of an actor that has stopped.
_AFTER_AN_END: Final = frozenset({"dead_letter", "dropped", "log", "channel_rejected", "channel_closed", "stream_ended"})
#: Each actor with the last block that mentions it: a step in the index for each, however long the history is.
_LAST_MENTIONS: Final = """
WITH RECURSIVE each(actor) AS (
  SELECT min(actor) FROM mentions
  UNION ALL SELECT (SELECT min(actor) FROM mentions WHERE actor > each.actor) FROM each WHERE actor IS NOT NULL)
SELECT actor, (SELECT max(first) FROM mentions WHERE mentions.actor = each.actor) FROM each WHERE actor IS NOT NULL
"""
_MENTION_BEFORE: Final = "SELECT max(first) FROM mentions WHERE actor = ? AND first < ?"
_OF_ACTOR: Final = "AND first IN (SELECT first FROM mentions WHERE actor = :actor)"


def read_page(
    connection: sqlite3.Connection, wanted: Query, since: int | None, limit: int, *, until: int | None = None
) -> Page:
    """Return the first events that are meant, from offset `since` on (None: from the first there is) and before `until`.

    Raises `OutOfRange` when retention has removed `since`, and `sqlite3.Error`.
    """
    with _snapshot(connection):
        chain = chain_of(connection)
        start = since_within(since, chain.base, chain.next)
        stop = chain.next if until is None else min(until, chain.next)
        with _blocks(connection, wanted, range(start, stop), "ASC") as blocks:
            return _first_page(blocks, wanted, range(start, stop), limit)


def _first_page(blocks: Iterable[Stored], wanted: Query, span: range, limit: int) -> Page:
    found: list[HistoryEvent] = []
    size = 0
    for looked, block in enumerate(blocks):
        if looked >= PAGE_BLOCKS:
            return Page(found, max(block.first, span.start), end=False, size=size)
        for event, length in _events(block, wanted, span):
            found.append(event)
            size += length
            if len(found) >= limit or size >= PAGE_BYTES_MAX:
                return Page(found, event.offset + 1, end=event.offset + 1 >= span.stop, size=size)
    return Page(found, span.stop, end=True, size=size)


def read_last(connection: sqlite3.Connection, wanted: Query, until: int | None, limit: int) -> Page:
    """Return the last `limit` events that are meant, before offset `until`, in order; `next` is the offset to look before."""
    with _snapshot(connection):
        chain = chain_of(connection)
        stop = chain.next if until is None else min(until, chain.next)
        with _blocks(connection, wanted, range(chain.base, stop), "DESC") as blocks:
            return _last_page(blocks, wanted, range(chain.base, stop), limit)


def _last_page(blocks: Iterable[Stored], wanted: Query, span: range, limit: int) -> Page:
    found: list[HistoryEvent] = []
    size, place = 0, span.stop
    for looked, block in enumerate(blocks):
        if looked >= PAGE_BLOCKS or size >= PAGE_BYTES_MAX or len(found) >= limit:
            return Page(found[-limit:], place, end=len(found) >= limit, size=size)
        here = list(_events(block, wanted, span))
        found = [event for event, _ in here] + found
        size += sum(length for _, length in here)
        place = block.first
    return Page(found[-limit:], span.start, end=True, size=size)


def read_unended(connection: sqlite3.Connection) -> tuple[list[str], int]:
    """Return the actors whose last life has no end, in the order of their last events, and how many were not looked at."""
    found: list[tuple[int, str]] = []
    with _snapshot(connection):
        places = {actor: first for actor, first in connection.execute(_LAST_MENTIONS) if actor}
        for _ in range(LOOKED_BLOCKS):
            if not places:
                break
            first = max(places.values())
            here = [actor for actor, place in places.items() if place == first]
            ends = _last_of_lives(connection, first)
            found += [(ends[actor].offset, actor) for actor in here if actor in ends and ends[actor].kind != "stopped"]
            for actor in here:
                del places[actor]
            places |= _mentioned_before(connection, first, [actor for actor in here if actor not in ends])
    return [actor for _, actor in sorted(found)], len(places)


def _last_of_lives(connection: sqlite3.Connection, first: int) -> dict[str, EventLine]:
    """Return the last event of each actor in a block that says whether it lives."""
    (text,) = connection.execute("SELECT events FROM blocks WHERE first = ?", (first,)).fetchone()
    lines = map(read_line, text.split(b"\n"))
    return {line.actor: line for line in lines if line.kind not in _AFTER_AN_END}


def _mentioned_before(connection: sqlite3.Connection, first: int, actors: list[str]) -> dict[str, int]:
    """Return the blocks before that mention actors of which one says only what may come after an end."""
    found = {actor: connection.execute(_MENTION_BEFORE, (actor, first)).fetchone()[0] for actor in actors}
    return {actor: earlier for actor, earlier in found.items() if earlier is not None}


def since_within(since: int | None, base: int, following: int) -> int:
    """Return where to begin to read; raises `OutOfRange` when that is not there, `InvalidArgument` when it is no offset."""
    if since is None:
        return base
    if since < 0:
        raise InvalidArgument(
            f"since is {since}; it is the offset to begin at: 0 or more, or None for the first event there is"
        )
    details = {"first": base, "next": following}
    if since < base:
        raise OutOfRange(f"event {since} was removed by retention; the first one there is has offset {base}", details)
    if since > following:
        raise OutOfRange(f"event {since} is not there yet; the next one will have offset {following}", details)
    return since


@contextlib.contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _blocks(connection: sqlite3.Connection, wanted: Query, span: range, order: str) -> Iterator[Iterable[Stored]]:
    question = f"{_BLOCKS} {_OF_ACTOR if wanted.actor is not None else ''} ORDER BY first {order}"
    named = {
        "since": span.start,
        "until": span.stop,
        "actor": wanted.actor,
        "after": float("-inf") if wanted.after is None else wanted.after,
        "before": float("inf") if wanted.before is None else wanted.before,
    }
    with contextlib.closing(connection.execute(question, named)) as rows:
        yield map(Stored._make, rows)


def _events(block: Stored, wanted: Query, span: range) -> Iterator[tuple[HistoryEvent, int]]:
    texts = block.events.split(b"\n")
    if len(texts) != len(block.hashes) // HASH_BYTES:
        raise DataLoss(f"the block of event {block.first} is not what was written; verify the history")
    name = b"" if wanted.actor is None else JSON.encode(wanted.actor)
    for at, text in enumerate(texts):
        if name in text and block.first + at in span and wanted.fits(line := read_line(text), text):
            yield line.event(block.hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]), len(text)
