"""An open history file: its lock, and the two threads that write and read it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from penstock._files import open_regular
from penstock._fork import hold, release
from penstock.errors import DataLoss, FailedPrecondition, Unavailable
from penstock.history._connect import UNREADABLE, check_file, check_regular_files, connect, is_damage
from penstock.history._file import HistoryFile, Retention, chain_of, move_aside
from penstock.history._read import Page, Query, read_last, read_page, read_unended

if sys.platform != "win32":
    import fcntl

T = TypeVar("T")

_log = logging.getLogger("penstock.history")


class FileLock:
    """A lock file, ``<file>-lock``, that contains the id of the process. The system releases it when the process ends.

    SQLite holds its own locks only during a statement, so they do not stop two programs that both append and fork the chain.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises `FailedPrecondition` when this process or another one holds it."""
        self._descriptor = open_regular(f"{path}-lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._acquire(path)
        except BaseException:
            self.release()
            raise
        hold(self._descriptor)

    def _acquire(self, path: Path) -> None:
        """Lock the file and write the id of this process into it."""
        if sys.platform == "win32":
            return  # it has no flock
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "another process"
            raise FailedPrecondition(
                f"the history {path} is being written by process {holder}; a history has one writer, "
                "so stop that process or give this one another file"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        """Release the lock: at once, also while a child that was forked a moment ago still has a copy of the descriptor."""
        release(self._descriptor)
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


class OpenedFile(NamedTuple):
    """An open file: its writer, the offset of the next event, and, after a torn file was renamed, the data of its event."""

    file: HistoryFile
    offset: int
    torn: dict[str, Any] | None


class Archive:
    """Opens, reads and closes a history file. `writing` is the thread in which the methods of `HistoryFile` run."""

    def __init__(self, path: Path, retention: Retention) -> None:
        self.path = path
        self._retention = retention
        self._life = contextlib.ExitStack()
        self._reader: sqlite3.Connection | None = None
        self._is_open = False

    async def open(self) -> OpenedFile:
        """Take the lock and open the file. Raises as entering a `History` does. A failure or cancellation closes everything."""
        self._loop = asyncio.get_running_loop()
        self.writing = ThreadPoolExecutor(1, "penstock-history-writer")
        self._reading = ThreadPoolExecutor(1, "penstock-history-reader")
        try:
            opened = await self._loop.run_in_executor(self.writing, self._open)
        except BaseException:
            self.close()
            raise
        self._is_open = True
        return opened

    def close(self) -> None:
        """Close everything, after the threads have finished their current work. It blocks for that long."""
        self._is_open = False
        self.writing.shutdown()
        self._reading.shutdown()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._life.close()

    async def page(self, query: Query, since: int | None, limit: int, until: int | None) -> Page:
        """Return the first events that match, from `since` on; see `read_page`."""
        return await self._read(lambda connection: read_page(connection, query, since, limit, until=until))

    async def last(self, query: Query, since: int | None, limit: int, until: int | None) -> Page:
        """Return the last events that match, from `since` on and before `until`; see `read_last`."""
        return await self._read(lambda connection: read_last(connection, query, since, limit, until=until))

    async def unended(self) -> tuple[list[str], int]:
        """Return the actors without an end; see `read_unended`."""
        return await self._read(read_unended)

    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run `question` in the reading thread. Raises `Unavailable` when the file is not open, `DataLoss` when damaged."""
        if not self._is_open:
            raise Unavailable(f"the history {self.path} is not open")
        return await self._loop.run_in_executor(self._reading, self._answer, question)

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:
            raise Unavailable(f"the history {self.path} is not open")
        try:
            return question(self._reader)
        except UNREADABLE as error:
            if not is_damage(error):
                raise Unavailable(f"the history {self.path} cannot be read now: {error}") from error
            raise DataLoss(f"the history {self.path} cannot be read: {error}") from error

    def _open(self) -> OpenedFile:
        """Take the lock, check the format and open the file, in the writing thread."""
        try:
            check_regular_files(self.path)
            self._life.callback(FileLock(self.path).release)
            check_file(self.path)
            opened = self._begin()
            self._reader = connect(self.path, "mode=ro")
            chain_of(self._reader)  # now: at its path there may be another file later
        except FileNotFoundError as error:
            folder = self.path.absolute().parent
            raise Unavailable(
                f"the history {self.path} cannot be opened: the folder {folder} does not exist; create it first"
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"the history {self.path} cannot be opened: {error}") from error
        return opened

    def _begin(self) -> OpenedFile:
        file = HistoryFile(self.path, self._retention)
        self._life.callback(file.close)
        try:
            return OpenedFile(file, file.begin().next, None)
        except DataLoss as error:
            file.close()
            return self._begin_anew(error.message)

    def _begin_anew(self, why: str) -> OpenedFile:
        aside, offset = move_aside(self.path)
        _log.error("the end of the history %s is torn: %s; it was put aside as %s", self.path, why, aside)
        file = HistoryFile(self.path, self._retention)
        self._life.callback(file.close)
        file.begin(offset)
        return OpenedFile(file, offset, {"file": str(aside), "why": why})
