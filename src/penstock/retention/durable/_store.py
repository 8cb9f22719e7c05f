"""`Store`: the durable streams of one file, on the event loop. The changes of several streams are one commit.

All state belongs to the loop. The writing thread gets a list of changes and returns; meanwhile the next ones gather. So a lone
item is written at once, and a thousand that come together are written together.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakSet

import msgspec

from penstock._database import is_damage
from penstock._outcomes import named
from penstock.errors import DataLoss, Unavailable
from penstock.retention.durable._file import FILE_KIND, Change, StreamFile
from penstock.streams import Bell

#: The bytes of all items that wait to be written. Beyond them, senders wait.
WAITING_BYTES: Final = 16 * 1024 * 1024
#: How long after a problem the write is tried again.
WRITTEN_AGAIN_S: Final = 1.0
#: How much of a durable stream stays in memory for followers that are not far behind; others read the file.
TAIL_ITEMS: Final = 1024
TAIL_BYTES: Final = 1024 * 1024

_log = logging.getLogger("penstock.retained")


class Written(Protocol):
    """A stream, as its store sees it.

    bell: rings when its followers are to look again.
    """

    bell: Bell

    def change(self) -> Change:
        """Return the change that is to be written now."""
        ...

    def committed(self, change: Change, oldest: int | None) -> None:
        """Note that a change is written, and the new offset of the oldest item in the file; None for the one before."""


class Store:
    """The durable streams of one file.

    rows: the streams that the file had when it was opened.
    waiting: the bytes of the items that are not written yet. problem: why nothing can be written now; else None.
    changed: rings after each commit, at problems, and at the end. closed: whether the file is closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = StreamFile(path)
        self.waiting = 0
        self.problem: str | None = None
        self.changed = Bell()
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._writing = ThreadPoolExecutor(1, "penstock-retained-writer")
        self._reading = ThreadPoolExecutor(1, "penstock-retained-reader")
        self._dirty: dict[Written, None] = {}
        self._under_way: asyncio.Future[Any] | None = None
        self._soon: asyncio.Handle | None = None
        self.rows = self.file.rows
        self._last_key = max((row.key for row in self.rows), default=0)
        self._streams: WeakSet[Written] = WeakSet()  # to be told of the end

    def new_key(self) -> int:
        """Return the key of a new stream."""
        self._last_key += 1
        return self._last_key

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def full(self) -> bool:
        """Whether a sender has to wait."""
        return self.waiting >= WAITING_BYTES

    async def room(self) -> None:
        """Wait until an item may be sent. Raises `Unavailable` when the file is closed. Safe to cancel."""
        while self.full:
            self.check()
            await self.changed.wait()

    def check(self) -> None:
        """Raise `Unavailable` when the file is closed."""
        if self.closed:
            raise Unavailable(f"the {FILE_KIND} {self.path} is closed")

    def note(self, stream: Written) -> None:
        """Note that a stream has items, an end or a name to write; it is written in the next turn of the loop."""
        self._dirty[stream] = None
        self._streams.add(stream)
        if self._under_way is None and self._soon is None and not self.closed:
            self._soon = self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._soon = None
        if self._under_way is not None or self.closed or not self._dirty:
            return
        streams = list(self._dirty)
        try:
            changes = [stream.change() for stream in streams]
            self._under_way = self._loop.run_in_executor(self._writing, self.file.write, changes)
        except Exception as error:  # noqa: BLE001 - no caller is here, and the changes have to stay
            self._failed(named(error))
            self.changed.notify()
            return
        self._dirty.clear()
        self._under_way.add_done_callback(lambda done: self._written(done, streams, changes))

    def _written(self, done: asyncio.Future[Any], streams: list[Written], changes: list[Change]) -> None:
        self._under_way = None
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._dirty = dict.fromkeys([*streams, *self._dirty])
            self._failed(named(error))
        else:
            if self.problem is not None:
                self.problem = None
                _log.warning("the %s %s is written again", FILE_KIND, self.path)
            trimmed = done.result()
            for stream, change in zip(streams, changes, strict=True):
                stream.committed(change, trimmed.get(change.key))
            self._write()
        self.changed.notify()

    def _failed(self, problem: str) -> None:
        """Keep the changes, and try again later."""
        if not self.closed:
            self._soon = self._loop.call_later(WRITTEN_AGAIN_S, self._write)
        if problem != self.problem:
            self.problem = problem
            _log.error(
                "the %s %s cannot be written; it is tried every %g s: %s", FILE_KIND, self.path, WRITTEN_AGAIN_S, problem
            )

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, key: int, offset: int) -> tuple[list[msgspec.Raw], int]:
        """Return items of a stream from an offset on, and the offset of the oldest one in the file.

        Raises `DataLoss` and `Unavailable`. Safe to cancel.
        """
        self.check()
        try:
            return await self._loop.run_in_executor(self._reading, self.file.read, key, offset)
        except sqlite3.Error as error:
            if is_damage(error):
                raise DataLoss(f"the {FILE_KIND} {self.path} cannot be read: {error}") from error
            raise Unavailable(f"the {FILE_KIND} {self.path} cannot be read now: {error}") from error

    async def aclose(self) -> None:
        """Write the changes that wait, as far as that is possible, and close the file. Cancelling it closes the file."""
        try:
            while (self._dirty or self._under_way is not None) and self.problem is None and not self.closed:
                await self.changed.wait()
        finally:
            if self._dirty:
                _log.error("%d streams of %s %s are not whole: %s", len(self._dirty), FILE_KIND, self.path, self.problem)
            self.abort()

    def abort(self) -> None:
        """Close the file, and tell all that wait. It blocks until the threads have ended."""
        self.closed = True
        if self._soon is not None:
            self._soon.cancel()
        self._writing.shutdown()
        self._reading.shutdown()
        self.file.close()
        self.changed.notify()
        for stream in tuple(self._streams):
            stream.bell.notify()
