"""An open history file: its lock, and the two threads that write and read it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from penstock._database import FileLock, check_regular_files, connect, is_damage
from penstock.errors import DataLoss, Unavailable
from penstock.history._connect import HEAD, UNREADABLE, check_file
from penstock.history._file import HistoryFile, Retention, chain_of, move_aside
from penstock.history._read import Page, Query, read_last, read_page, read_unended

T = TypeVar("T")

_log = logging.getLogger("penstock.history")


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
            check_regular_files(self.path, "history", HEAD)
            self._life.callback(FileLock(self.path, "history").release)
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
