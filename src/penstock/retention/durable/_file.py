"""The file of durable streams: an SQLite database. Its methods block, and never run on the event loop once it is open.

======= ===================================================================================================
streams one row each: key, name, id, next and oldest (offsets), size, state, outcome, ended (time), limits, notes (msgpack);
        one without a name is forgotten, and leaves the file in parts
blocks  stream, first, count, size, items: the items of one commit, or a part, as an array of msgpack
======= ===================================================================================================
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from penstock._database import FileLock, check_regular_files, connect, is_damage, set_log
from penstock._files import identity
from penstock.codec import MSGPACK
from penstock.errors import DataLoss, FailedPrecondition, Unavailable
from penstock.retention._log import ITEM_BYTES, Limits, size_of
from penstock.streams import StreamState

#: "pskr", in the header of each file.
STREAMS_ID: Final = 0x70736B72
STREAMS_VERSION: Final = 2
FILE_KIND: Final = "file of retained streams"
DISK_PAGE_BYTES: Final = 8192
#: Pages after which the write-ahead log is written into the file (16 MiB): rarely, because that waits for the disk.
LOG_PAGES: Final = 2048
#: The size of a block, which is read, decoded and removed as a whole; a stream keeps at least `ROWS_MIN` of them.
ROW_ITEMS: Final = 256
ROW_BYTES: Final = 64 * 1024
ROWS_MIN: Final = 16
#: Blocks of a forgotten stream that leave the file in one commit, 4 MiB at most: other streams wait for that.
FORGOTTEN_ROWS: Final = 64
#: How much one read takes from the file, in blocks and in bytes, before other readers get their turn.
READ_ROWS: Final = 64
ROWS_BYTES: Final = 64 * 1024

_SCHEMA: Final = f"""
PRAGMA page_size = {DISK_PAGE_BYTES};
PRAGMA application_id = {STREAMS_ID};
PRAGMA user_version = {STREAMS_VERSION};
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE streams(
  key INTEGER PRIMARY KEY, name TEXT UNIQUE, id BLOB, next INTEGER, oldest INTEGER, size INTEGER,
  state TEXT, outcome BLOB, ended REAL, ttl_s REAL, max_items INTEGER, max_bytes INTEGER, notes BLOB);
CREATE TABLE blocks(
  stream INTEGER, first INTEGER, count INTEGER, size INTEGER, items BLOB, PRIMARY KEY (stream, first));
COMMIT;
"""
#: A file of version 1 has no notes.
_UPGRADE: Final = f"""
BEGIN IMMEDIATE;
ALTER TABLE streams ADD COLUMN notes BLOB;
PRAGMA user_version = {STREAMS_VERSION};
COMMIT;
"""
_raws: Final = MSGPACK.decode_for(Any).raws
_encode: Final = MSGPACK.encode


class StreamRow(NamedTuple):
    """A stream as the file has it; see the table above."""

    key: int
    name: str
    id: bytes
    next: int
    oldest: int
    size: int
    state: StreamState
    outcome: bytes | None
    ended: float | None
    limits: Limits
    notes: bytes | None


class Change(NamedTuple):
    """The change of one stream that is to be written, in one commit with the others.

    items: those from the offset `first` on. size: their bytes, as `Log` counts them. end: the state, the encoded outcome and
    the time of the end; None while it is open. notes: the encoded notes; None when they have not changed. copied: for a stream
    that begins with those of another one before `first`, the key of that one; else None. emptied: all items go, and the stream
    stays. forgotten: the stream leaves the file.
    """

    key: int
    name: str
    id: bytes
    limits: Limits
    first: int
    items: list[msgspec.Raw]
    size: int
    end: tuple[StreamState, bytes, float] | None
    notes: bytes | None
    copied: int | None
    emptied: bool
    forgotten: bool


class StreamFile:
    """The one writer of a file, and its one reader, each in one thread at a time.

    rows: the streams that the file had when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises `FailedPrecondition`, `Unavailable` and `DataLoss`."""
        self.path = path
        self._life = contextlib.ExitStack()
        try:
            self._open()
        except FileNotFoundError as error:
            self.close()
            raise Unavailable(f"the {FILE_KIND} {path} cannot be opened: its folder does not exist; create it first") from error
        except (OSError, sqlite3.Error, msgspec.MsgspecError) as error:
            self.close()
            if is_damage(error) and not isinstance(error, OSError):
                raise DataLoss(
                    f"the {FILE_KIND} {path} is damaged: {error}; put it aside, and the program begins anew"
                ) from error
            raise Unavailable(f"the {FILE_KIND} {path} cannot be opened: {error}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        check_regular_files(self.path, FILE_KIND)
        if self.path.exists() and self.path.stat().st_nlink > 1:
            raise FailedPrecondition(f"{self.path} has a second name, a hard link: two programs could write it by the two")
        self._life.callback(FileLock(self.path, FILE_KIND).release)
        with contextlib.suppress(FileExistsError):  # only the user may read the items
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._writer = connect(self.path, "mode=rw")
        self._life.callback(self._writer.close)
        self._check_format()
        set_log(self._writer, LOG_PAGES, DISK_PAGE_BYTES)
        self._reader = connect(self.path, "mode=ro")
        self._life.callback(self._reader.close)
        for (key,) in self._writer.execute("SELECT key FROM streams WHERE name IS NULL").fetchall():
            while self._forget(key) is not None:  # the program before this one has ended meanwhile
                pass
        found = self._reader.execute("SELECT * FROM streams ORDER BY key").fetchall()
        self.rows = [msgspec.convert((*row[:9], row[9:12], row[12]), StreamRow) for row in found]
        self._in_place = self._identities()

    def _identities(self) -> list[tuple[int, int] | None]:
        return [identity(self.path), identity(f"{self.path}-wal")]

    def _check_place(self) -> None:
        """Raise `Unavailable` when the file is not in its place any more: the items that are written would be lost."""
        if self._identities() != self._in_place:
            raise Unavailable(
                f"the file {self.path} was removed or renamed while it was open, or the file of SQLite beside it; "
                "put it back, or restart the program"
            )

    def _check_format(self) -> None:
        """Give an empty file its tables. Raises `FailedPrecondition` for a file of another kind."""
        try:
            ours = self._writer.execute("PRAGMA application_id").fetchone()[0]
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            empty = not self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error):
                raise
            raise FailedPrecondition(f"{self.path} is not a {FILE_KIND}: it has another format") from error
        if empty and not ours:
            self._writer.executescript(_SCHEMA)
        elif ours != STREAMS_ID:
            raise FailedPrecondition(f"{self.path} is a database, but not a {FILE_KIND}; give the streams a file of their own")
        elif version == 1:
            self._writer.executescript(_UPGRADE)
        elif version != STREAMS_VERSION:
            raise FailedPrecondition(f"{self.path} has version {version}; this program knows version {STREAMS_VERSION}")

    def write(self, changes: list[Change]) -> dict[int, int]:
        """Write and commit changes. Return the oldest offset of each stream that has lost its oldest items, or is a copy.

        A stream that is forgotten and is among them has more items to lose: its change is to be written again. A change that
        was written before is left out, so that all can be tried again after an error. Raises `sqlite3.Error`, and `Unavailable`
        when the file is not in its place.
        """
        self._check_place()
        writer = self._writer
        trimmed: dict[int, int] = {}
        writer.execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                result = self._forget(change.key) if change.forgotten else self._write_one(change)
                if result is not None:
                    trimmed[change.key] = result
            writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            raise
        self._check_place()
        return trimmed

    def _forget(self, key: int) -> int | None:
        """Remove a part of a stream, and its name. Return the offset of its oldest item then, None when all of it has left."""
        question = "SELECT first FROM blocks WHERE stream = ? ORDER BY first LIMIT 1 OFFSET ?"
        row = self._writer.execute(question, (key, FORGOTTEN_ROWS)).fetchone()
        if row is None:
            self._writer.execute("DELETE FROM blocks WHERE stream = ?", (key,))
            self._writer.execute("DELETE FROM streams WHERE key = ?", (key,))
            return None
        self._writer.execute("DELETE FROM blocks WHERE stream = ? AND first < ?", (key, row[0]))
        self._writer.execute("UPDATE streams SET name = NULL WHERE key = ?", (key,))
        return cast("int", row[0])

    def _write_one(self, change: Change) -> int | None:
        key, size = change.key, 0
        row = self._writer.execute("SELECT next FROM streams WHERE key = ?", (key,)).fetchone()
        written = 0 if row is None else max(0, cast("int", row[0]) - change.first)
        first = change.first + written
        for items, block_size in _blocks(change, written):
            self._writer.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", (key, first, len(items), block_size, _encode(items))
            )
            first, size = first + len(items), size + block_size
        self._writer.execute(
            "INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, 'open', NULL, NULL, ?, ?, ?, NULL) "
            "ON CONFLICT (key) DO UPDATE SET next = excluded.next, size = size + excluded.size",
            (key, change.name, change.id, first, change.first, size, *change.limits),
        )
        if change.end is not None:
            self._writer.execute("UPDATE streams SET state = ?, outcome = ?, ended = ? WHERE key = ?", (*change.end, key))
        if change.notes is not None:
            self._writer.execute("UPDATE streams SET notes = ? WHERE key = ?", (change.notes, key))
        if change.emptied:
            self._writer.execute("DELETE FROM blocks WHERE stream = ?", (key,))
            self._writer.execute("UPDATE streams SET oldest = next, size = 0 WHERE key = ?", (key,))
        copied = None if change.copied is None or row is not None else self._copy(change.copied, change)
        trimmed = self._trim(key, change.limits)
        return copied if trimmed is None else trimmed

    def _copy(self, source: int, change: Change) -> int:
        """Copy the items of another stream before the first one of a change. Return the oldest offset of the copy."""
        key, end = change.key, change.first
        self._writer.execute(
            "INSERT INTO blocks SELECT ?, first, count, size, items FROM blocks WHERE stream = ? AND first + count <= ?",
            (key, source, end),
        )
        question = "SELECT first, count, items FROM blocks WHERE stream = ? AND first < ? AND first + count > ?"
        for first, count, encoded in self._writer.execute(question, (source, end, end)).fetchall():
            items = self._items_in(encoded, first, count)[: end - first]
            row = (key, first, len(items), size_of(items), _encode(items))
            self._writer.execute("INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", row)
        self._writer.execute(
            "UPDATE streams SET (oldest, size) = (SELECT min(first), sum(size) FROM blocks WHERE stream = ?) "
            "WHERE key = ? AND EXISTS (SELECT 1 FROM blocks WHERE stream = ?)",
            (key, key, key),
        )
        oldest: int = self._writer.execute("SELECT oldest FROM streams WHERE key = ?", (key,)).fetchone()[0]
        return oldest

    def _trim(self, key: int, limits: Limits) -> int | None:
        """Remove the oldest blocks of a stream that is over its limits. Return its oldest offset then."""
        question = "SELECT next, oldest, size FROM streams WHERE key = ?"
        following, oldest, size = cast("tuple[int, int, int]", self._writer.execute(question, (key,)).fetchone())
        if not limits.exceeded(following - oldest, size):
            return None
        question = "SELECT first, count, size FROM blocks WHERE stream = ? ORDER BY first"
        for first, count, block_size in self._writer.execute(question, (key,)):
            if not limits.exceeded(following - oldest, size):
                break
            oldest, size = first + count, size - block_size
        self._writer.execute("DELETE FROM blocks WHERE stream = ? AND first < ?", (key, oldest))
        self._writer.execute("UPDATE streams SET oldest = ?, size = ? WHERE key = ?", (oldest, size, key))
        return oldest

    def read(self, key: int, offset: int) -> tuple[list[msgspec.Raw], int]:
        """Return items from `offset` on, none when it is not kept any more, and the offset of the oldest item in the file.

        Raises `DataLoss` for a damaged block.
        """
        items: list[msgspec.Raw] = []
        size = 0
        for first, count, encoded in self._reader.execute(
            "SELECT first, count, items FROM blocks WHERE stream = ? AND first >= "
            "(SELECT max(first) FROM blocks WHERE stream = ? AND first <= ?) ORDER BY first LIMIT ?",
            (key, key, offset, READ_ROWS),
        ):
            following = offset + len(items)
            if not first <= following < first + count:
                break
            try:
                items += self._items_in(encoded, first, count)[following - first :]
            except DataLoss:
                if not items:
                    raise
                break  # the next read raises, behind them
            size += len(encoded)
            if size >= ROWS_BYTES or len(items) >= ROW_ITEMS:
                break
        row = self._reader.execute("SELECT oldest FROM streams WHERE key = ?", (key,)).fetchone()
        return items, offset if row is None else row[0]

    def _items_in(self, encoded: bytes, first: int, count: int) -> list[msgspec.Raw]:
        """Return the items of a block. Raises `DataLoss`."""
        try:
            items = _raws(encoded)
        except (msgspec.MsgspecError, TypeError) as error:
            raise DataLoss(f"the {FILE_KIND} {self.path} is damaged at item {first}: {error}") from error
        if len(items) != count:
            raise DataLoss(f"the {FILE_KIND} {self.path} is damaged at item {first}: {len(items)} items, and not {count}")
        return items

    def close(self) -> None:
        """Close the file, and give its lock back."""
        self._life.close()


def _blocks(change: Change, written: int) -> Iterator[tuple[list[msgspec.Raw], int]]:
    """Iterate over blocks of the items of a change that are not `written` yet, each with its bytes as `Log` counts."""
    _ttl, max_items, max_bytes = change.limits
    items_max, bytes_max = max(1, min(ROW_ITEMS, max_items // ROWS_MIN)), min(ROW_BYTES, max_bytes // ROWS_MIN)
    block: list[msgspec.Raw] = []
    size = 0
    for item in change.items[written:]:
        block.append(item)
        size += memoryview(item).nbytes + ITEM_BYTES
        if len(block) == items_max or size >= bytes_max:
            yield block, size
            block, size = [], 0
    if block:
        yield block, size
