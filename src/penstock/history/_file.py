"""The history file: an SQLite database with a row for each block of events. This module never runs on the event loop.

A row for each event would cost a tenth of a core at 10,000 messages a second, and the writing thread would take the
interpreter's lock for each of them. A block holds the events between two commits and is written by **one** statement, during
which the lock is free.

========= ===========================================================================================
blocks    first, count, begun, ended (times), actors (JSON), hashes (32 bytes each), events (lines)
mentions  actor, first: the blocks in which an actor has events; maintained by triggers
chain     one row: the begin of the chain (base, base_hash: after retention) and its end (next, head)
events    a view for people: ``sqlite3 history.db 'select * from events'``
========= ===========================================================================================
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from penstock._database import connect, is_damage, set_log
from penstock._files import identity, open_regular
from penstock.codec import JSON
from penstock.errors import DataLoss, Unavailable
from penstock.history._connect import APPLICATION_ID, FILE_VERSION, HEAD, UNREADABLE, open_damaged
from penstock.history._event import GENESIS, HASH_BYTES, chain_hashes, read_line, read_lines

#: Retention is applied after this time (of events), and after a twentieth of `keep_bytes`.
TRIM_EVERY_S: Final = 60.0
#: The part of `keep_bytes` to which a file that is larger is reduced, so that it is not trimmed at every commit.
TRIM_TO: Final = 0.9
PAGE_BYTES: Final = 16384
#: The bytes of the one line in the file `HEAD`.
NOTE_BYTES: Final = 96
#: Pages after which the write-ahead log is written into the file (16 MiB): rarely, because that waits for the disk.
CHECKPOINT_PAGES: Final = 1024

_SCHEMA: Final = f"""
PRAGMA page_size = {PAGE_BYTES};
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FILE_VERSION};
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE blocks(
  first INTEGER PRIMARY KEY, count INTEGER, begun REAL, ended REAL, actors TEXT, hashes BLOB, events BLOB);
CREATE TABLE mentions(actor TEXT, first INTEGER, PRIMARY KEY (actor, first)) WITHOUT ROWID;
CREATE TABLE chain(base INTEGER, base_hash BLOB, next INTEGER, head BLOB);
CREATE TRIGGER block_added AFTER INSERT ON blocks BEGIN
  INSERT INTO mentions SELECT value, new.first FROM json_each(new.actors);
  UPDATE chain SET next = new.first + new.count, head = substr(new.hashes, -{HASH_BYTES});
END;
CREATE TRIGGER block_removed AFTER DELETE ON blocks BEGIN
  DELETE FROM mentions WHERE first = old.first AND actor IN (SELECT value FROM json_each(old.actors));
END;
CREATE VIEW events AS
  SELECT json_extract(value, '$[0]') AS "offset", json_extract(value, '$[1]') AS time, json_extract(value, '$[2]') AS actor,
    json_extract(value, '$[3]') AS kind, json_extract(value, '$[4]') AS data
  FROM blocks, json_each('[' || replace(CAST(blocks.events AS TEXT), char(10), ',') || ']');
"""  # noqa: S608 - numbers


_log = logging.getLogger("penstock.history")


class Retention(NamedTuple):
    """The limits of a file: events younger than `seconds`, and up to `size` bytes. None means no limit."""

    seconds: float | None = None
    size: int | None = None


class Block(NamedTuple):
    """Events that are written together: the offset of the first one, their actors, their lines, and the bytes of these."""

    first: int
    actors: set[str]
    lines: list[bytes]
    size: int


class Chain(NamedTuple):
    """The begin and the end of a chain: the first offset and the hash before it, the next offset and the last hash."""

    base: int
    base_hash: bytes
    next: int
    head: bytes


def chain_of(connection: sqlite3.Connection) -> Chain:
    """Read the begin and the end of the chain. Raises `DataLoss` when they are missing."""
    row = connection.execute("SELECT base, base_hash, next, head FROM chain").fetchone()
    if row is None:
        raise DataLoss("the row that says where the chain begins is missing")
    return Chain(*row)


def noted_head(path: Path) -> tuple[int, str] | None:
    """Return the next offset and the last hash that the file beside the history notes; None when it notes nothing."""
    try:
        with open(f"{path}{HEAD}", "rb", opener=open_regular) as file:
            following, _space, digest = file.read(NOTE_BYTES).decode("ascii").rstrip().partition(" ")
        return int(following), digest
    except (OSError, ValueError):
        return None


def schema_of(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Return the tables, triggers and views of a file, as they were declared."""
    return connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()


def declared_schema() -> list[tuple[str, ...]]:
    """Return what `schema_of` returns for a whole file."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(f"{_SCHEMA}COMMIT;")
        return schema_of(connection)


class HistoryFile:
    """The one writer of a file. All methods block; call them in one thread at a time."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self.path = path
        self._retention = retention
        with contextlib.suppress(FileExistsError):  # only the user may read the messages of actors
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._connection = connect(path, "mode=rw")
        self._head = GENESIS
        self._trimmed_at = 0.0
        self._since_trim = 0
        self._in_place: list[tuple[int, int] | None] = []
        self._note = open_regular(f"{path}{HEAD}", os.O_RDWR | os.O_CREAT, 0o600)
        self._unsure: int | None = None  # the first offset of a block that was written to a file that was not in its place

    def begin(self, base: int = 0) -> Chain:
        """Read and return the begin and end of the chain; initialise an empty file, whose first event gets the offset `base`.

        Raises `DataLoss` when the end of the file is torn, and `sqlite3.Error` when it cannot be opened.
        """
        try:
            set_log(self._connection, CHECKPOINT_PAGES, PAGE_BYTES)
            if not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._create(base)
                self._note_head(base, GENESIS)
            chain = chain_of(self._connection)
            self._read_tail(chain)
            self._check_note(chain)
        except UNREADABLE as error:
            if not is_damage(error):
                raise
            raise DataLoss(f"its end cannot be read: {error}") from error
        self._head = chain.head
        self._in_place = self._identities()
        return chain

    def _create(self, base: int) -> None:
        self._connection.executescript(_SCHEMA)
        self._connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (base, GENESIS, base, GENESIS))
        self._connection.execute("COMMIT")

    def _read_tail(self, chain: Chain) -> None:
        """Read the last block, which raises when the file was cut off. Changed events are only logged: `verify` finds them."""
        last = self._connection.execute("SELECT first, hashes, events FROM blocks ORDER BY first DESC LIMIT 1").fetchone()
        following, head = chain.base, chain.base_hash
        if last is not None:
            first, hashes, events = last
            following, head = first + len(read_lines(events)), hashes[-HASH_BYTES:]
        if (following, head) != (chain.next, chain.head):
            _log.error("the last events of the history %s are not those that were written; verify it", self.path)

    def append(self, block: Block) -> None:
        """Write a block and commit it. The same block can be tried again after an error.

        Raises `sqlite3.Error` when it cannot be written, and `Unavailable` when the file is not in its place any more.
        """
        if block.first != self._unsure:
            self._insert(block)
        self._unsure = block.first
        if self._identities() != self._in_place:
            raise Unavailable(
                f"the file {self.path} was removed or renamed while it was open, or the file of SQLite beside it; "
                "put it back, or restart the program"
            )
        self._unsure = None
        self._note_head(block.first + len(block.lines), self._head)

    def _note_head(self, following: int, head: bytes) -> None:
        """Note the end of the chain outside of the file that it protects: a damaged log looks like one that ends earlier."""
        os.pwrite(self._note, f"{following} {head.hex()}".ljust(NOTE_BYTES - 1).encode("ascii") + b"\n", 0)

    def _check_note(self, chain: Chain) -> None:
        noted = noted_head(self.path)
        if noted is not None and noted[0] > chain.next:
            raise DataLoss(
                f"events {chain.next} to {noted[0] - 1}, the last ones, are missing; {self.path.name}{HEAD} notes them"
            )

    def _identities(self) -> list[tuple[int, int] | None]:
        """Return which files are at the path of the history and of its log: a deleted file can still be written."""
        return [identity(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm")]

    def _insert(self, block: Block) -> None:
        begun, ended = read_line(block.lines[0]).time, read_line(block.lines[-1]).time
        if self._retention != Retention():
            self._trim_in_time(ended)
        hashes = chain_hashes(self._head, block.lines)
        actors = JSON.encode(sorted(block.actors)).decode()
        row = (block.first, len(hashes), begun, ended, actors, b"".join(hashes), b"\n".join(block.lines))
        self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        self._head = hashes[-1]
        self._since_trim += len(row[-1])

    def _trim_in_time(self, now: float) -> None:
        """Remove the oldest blocks when retention is due. The last block always stays."""
        seconds, size = self._retention
        soon = size is not None and self._since_trim > size // 20
        if soon or now - self._trimmed_at >= min(TRIM_EVERY_S, (seconds or math.inf) / 20):
            self._remove_before(max(self._first_young(now), self._first_that_fits()))
            self._trimmed_at, self._since_trim = now, 0

    def _first_young(self, now: float) -> int:
        """Return the first block that may stay by its age."""
        if self._retention.seconds is None:
            return 0
        horizon = now - self._retention.seconds
        return int(
            self._connection.execute("SELECT coalesce(max(first), 0) FROM blocks WHERE begun <= ?", (horizon,)).fetchone()[0]
        )

    def _first_that_fits(self) -> int:
        """Return the first block that may stay, so that the file has `TRIM_TO` of its size at most."""
        keep = self._retention.size
        used = self._used()
        if keep is None or used <= keep:
            return 0
        excess = used - int(keep * TRIM_TO)
        blocks = self._connection.execute(
            "SELECT first, length(events) + length(hashes) + length(actors) FROM blocks ORDER BY first"
        )
        with contextlib.closing(blocks):
            for first, size in blocks:
                if excess <= 0:
                    return int(first)
                excess -= size
        return int(self._connection.execute("SELECT max(first) FROM blocks").fetchone()[0])

    def _used(self) -> int:
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
        free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        return int((pages - free) * PAGE_BYTES)

    def _remove_before(self, first: int) -> None:
        """Remove all blocks before `first`. The chain then begins there, at the hash of the last removed event."""
        last = self._connection.execute(
            "SELECT first + count, substr(hashes, ?) FROM blocks WHERE first < ? ORDER BY first DESC LIMIT 1",
            (-HASH_BYTES, first),
        ).fetchone()
        if last is None:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.execute("UPDATE chain SET base = ?, base_hash = ?", last)
            self._connection.execute("DELETE FROM blocks WHERE first < ?", (first,))
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file. SQLite writes its write-ahead log into it and removes the log."""
        self._connection.close()
        if self._note >= 0:
            os.close(self._note)
            self._note = -1


def move_aside(path: Path) -> tuple[Path, int]:
    """Rename a file whose end is torn; return its new path, and an offset that is above all of its events."""
    following = _first_free_offset(path)
    number = 1
    while (aside := path.with_name(f"{path.name}.torn-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm", HEAD):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside, following


def _first_free_offset(path: Path) -> int:
    noted = noted_head(path)
    candidates = [0 if noted is None else noted[0]]
    with contextlib.closing(open_damaged(path)) as connection:
        for question in ("SELECT next FROM chain", "SELECT first + count FROM blocks ORDER BY first DESC LIMIT 1"):
            with contextlib.suppress(*UNREADABLE):
                candidates.append(int(connection.execute(question).fetchone()[0]))
    return max(candidates)
