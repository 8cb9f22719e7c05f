"""Check the chain of a history file from its first event to its last. This module never writes and needs no node."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from penstock._database import is_damage
from penstock.codec import JSON
from penstock.errors import Cancelled, DataLoss, NotFound, Unavailable
from penstock.history._connect import UNREADABLE, open_damaged
from penstock.history._event import HASH_BYTES, chain_hashes, read_line
from penstock.history._file import Chain, chain_of, declared_schema, noted_head, schema_of

Why = Literal["", "changed", "missing", "reordered", "torn"]


class Verification(NamedTuple):
    """The result of a check.

    ok: whether the chain is whole. events: how many events were checked and are good.
    offset: the offset of the first bad event, or None. why: "changed" (it is not the event that was recorded), "missing",
    "reordered" (another event is in its place), "torn" (the file cannot be read there), or "". text: the result for people.
    head: the offset and the hash of the last event, when the chain is whole and not empty. Store it elsewhere: a later check
    that gives the same hash for that offset shows that the chain up to it has not changed.
    """

    ok: bool
    events: int
    offset: int | None
    why: Why
    text: str
    head: tuple[int, str] | None = None


class _Fault(Exception):
    """The first fault of a chain: its offset, its kind, and a text."""

    def __init__(self, offset: int | None, why: Why, text: str) -> None:
        super().__init__(text)
        self.offset = offset
        self.why: Why = why
        self.text = text


class _Row(NamedTuple):
    first: int
    length: int
    begun: float
    ended: float
    actors: str
    hashes: bytes
    events: bytes | str


_ROWS = "SELECT first, count, begun, ended, actors, hashes, events FROM blocks ORDER BY first"


def verify_file(path: str | PathLike[str], *, stop: threading.Event | None = None) -> Verification:
    """Check the history in a file, whether or not a node is writing it, and return the result.

    It reads the whole file and blocks for about a second per million events; call it in a thread of its own. Setting `stop`
    ends it with `Cancelled`. Raises `NotFound` when the file does not exist, `FailedPrecondition` when it is not a history, and
    `Unavailable` when it cannot be opened. A damaged file is a result, not an error.
    """
    path = Path(path)
    if not path.exists():
        raise NotFound(f"the history {path} does not exist")
    check = _Check(stop or threading.Event())
    try:
        with contextlib.closing(open_damaged(path)) as connection:
            connection.execute("BEGIN")
            check.run(connection, noted_head(path))
    except _Fault as bad:
        return Verification(ok=False, events=check.good, offset=bad.offset, why=bad.why, text=bad.text)
    except (DataLoss, *UNREADABLE) as error:
        if not is_damage(error):
            raise Unavailable(f"{path} cannot be read: {error}") from error
        where = f"after event {check.next - 1}" if check.good else "from its beginning, and no event of it"
        text = f"the file cannot be read {where}: {error}"
        return Verification(ok=False, events=check.good, offset=check.next, why="torn", text=text)
    text = f"{check.good} events, all as they were recorded" if check.good else "it is whole, and has no event yet"
    return Verification(ok=True, events=check.good, offset=None, why="", text=text, head=check.head)


class _Check:
    """One pass over a file. next: the offset of the next event. good: how many events were checked and are good."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.next = self.good = 0
        self._head = b""
        self._mentions = 0

    @property
    def head(self) -> tuple[int, str] | None:
        """The offset and the hash of the last event that was checked."""
        return (self.next - 1, self._head.hex()) if self.good else None

    def run(self, connection: sqlite3.Connection, noted: tuple[int, str] | None) -> None:
        """Check everything, also against the end that is noted beside the file; raises `_Fault` at the first fault."""
        chain = chain_of(connection)
        self.next, self._head = chain.base, chain.base_hash
        rows = connection.execute(_ROWS)
        with contextlib.closing(rows):
            for row in rows:
                if self._stop.is_set():
                    raise Cancelled("the check was stopped")
                self._check_block(_Row(*row), chain)
                self._check_mentions(connection, row[0], row[4])
        self._check_end(chain)
        self._check_note(noted)
        self._check_structure(connection)

    def _check_block(self, row: _Row, chain: Chain) -> None:
        """Check the place, the hashes and the row of one block."""
        text = row.events.encode() if isinstance(row.events, str) else row.events  # a database tool may have changed its type
        lines = text.split(b"\n")
        if row.first != self.next:
            self._raise_wrong_block(row, lines)
        hashes = [row.hashes[at : at + HASH_BYTES] for at in range(0, len(row.hashes), HASH_BYTES)]
        for line, digest, stored in zip(lines, chain_hashes(self._head, lines), [*hashes, *[b""] * len(lines)], strict=False):
            if digest != stored or not self._is_next(line):
                self._raise_wrong_line(lines, line, chain)
            self._head = digest
            self.next += 1
            self.good += 1
        derived = self._derived(lines)
        if (row.length, row.begun, row.ended, row.actors, len(hashes)) != derived:
            raise _Fault(row.first, "changed", f"the row of the block of event {row.first} does not agree with its events")

    def _is_next(self, line: bytes) -> bool:
        return line.startswith(b"[%d," % self.next)

    def _derived(self, lines: list[bytes]) -> tuple[int, float, float, str, int]:
        events = [read_line(line) for line in lines]
        actors = sorted({event.actor for event in events})
        self._mentions += len(actors)
        return len(lines), events[0].time, events[-1].time, JSON.encode(actors).decode(), len(lines)

    def _raise_wrong_block(self, row: _Row, lines: list[bytes]) -> None:
        number = _number(lines[0])
        if number == self.next:
            raise _Fault(self.next, "changed", f"the block of event {self.next} is stored as that of event {row.first}")
        missing = f"event {self.next} is missing, and the events up to event {row.first}"
        raise _Fault(self.next, "missing" if row.first > self.next else "reordered", missing)

    def _raise_wrong_line(self, lines: list[bytes], line: bytes, chain: Chain) -> None:
        """Raise the fault of a line: its own offset shows whether it is changed or reordered, or another one is missing."""
        number, place = _number(line), self.next
        numbers = [_number(other) for other in lines]
        at = lines.index(line)
        follows = at + 1 < len(numbers) and numbers[at + 1] == place + 1
        if number == place or number is None or follows or number >= chain.next:
            raise _Fault(place, "changed", f"event {place} is not the one that was recorded")
        if place in numbers or number < place:
            raise _Fault(place, "reordered", f"event {number} is in the place of event {place}")
        raise _Fault(place, "missing", f"event {place} is missing; event {number} is in its place")

    def _check_mentions(self, connection: sqlite3.Connection, first: int, actors: str) -> None:
        question = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM mentions WHERE actor = value AND first = ?)"
        absent = connection.execute(question, (actors, first)).fetchone()
        if absent is not None:
            raise _Fault(
                first, "changed", f"the index of actors misses the events of {absent[0]!r} in the block of event {first}"
            )

    def _check_end(self, chain: Chain) -> None:
        if self.next < chain.next:
            raise _Fault(self.next, "missing", f"events {self.next} to {chain.next - 1}, the last ones, are missing")
        if (self.next, self._head) != (chain.next, chain.head):
            raise _Fault(None, "changed", f"the chain should end before event {chain.next}, and ends before event {self.next}")

    def _check_note(self, noted: tuple[int, str] | None) -> None:
        """Compare the end with the one that is noted beside the file, which may be a commit behind."""
        if noted is None or noted[0] < self.next:
            return
        if noted[0] > self.next:
            events = f"events {self.next} to {noted[0] - 1}, the last ones"
            raise _Fault(self.next, "missing", f"{events}, are missing (noted beside it)")
        if noted[1] != self._head.hex():
            raise _Fault(
                None, "changed", f"the last event, {self.next - 1}, has another hash than the one noted beside the file"
            )

    def _check_structure(self, connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT count(*) FROM mentions").fetchone()[0] != self._mentions:
            raise _Fault(None, "changed", "the index of actors names blocks without events of these actors")
        if schema_of(connection) != declared_schema():
            raise _Fault(None, "changed", "all events are good, but the tables, triggers or views are not those that were made")
        finding = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if finding != "ok":
            raise _Fault(None, "torn", f"all events are good, but the file is damaged: {finding}")


def _number(line: bytes) -> int | None:
    try:
        return read_line(line).offset
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
