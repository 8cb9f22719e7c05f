"""Writes the queued events to the file, in one writer thread. This module never blocks the loop.

All state belongs to the loop. The thread gets a block and writes it; when the loop has learned of the result, the thread gets
the next one. The two share no state, so no lock is needed. While the thread writes, the next block fills.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from penstock._outcomes import ends_the_loop, log_error, named
from penstock.errors import PenstockError, Unavailable
from penstock.history._file import Block
from penstock.history._queue import EventQueue, OnFull
from penstock.streams import Bell

OnProblem = Callable[[str | None], None]

#: How long an event may wait for other events to be committed with it: a commit costs as much as fifty events.
LINGER_S: Final = 0.02
#: How long after a problem the write is tried again.
RETRY_S: Final = 1.0

_log = logging.getLogger("penstock.history")


class Writer(Protocol):
    """Writes blocks, in the writer thread. An error that it raises is a problem, and it gets the same block again."""

    def append(self, block: Block) -> None:
        """Write and commit `block`."""


class Recorder:
    """Writes its `queue` to a file, from `start` to `stop`.

    bell: notified at commits, at problems, and at the end. closed: whether it is not running. last: the last committed block.
    """

    def __init__(self, *, queue_events: int, on_full: OnFull, on_problem: OnProblem | None) -> None:
        self.queue = EventQueue(size=queue_events, on_full=on_full, on_waiting=self._on_waiting)
        self.bell = Bell()
        self.closed = True
        self.last: Block | None = None
        self._on_problem = on_problem
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    def start(self, writer: Writer, executor: ThreadPoolExecutor, offset: int) -> None:
        """Accept events and write them with `writer` in `executor`. The first event gets `offset`."""
        self._loop = asyncio.get_running_loop()
        self._writer, self._executor = writer, executor
        self.closed = False
        self.queue.begin(offset)

    async def wait_for_room(self) -> None:
        """Wait until more events can be recorded; see `penstock.observe.Tap.room`."""
        while self.queue.next >= self.queue.full_at:
            await self.bell.wait()

    async def flush(self) -> None:
        """Wait until all events recorded so far are in the file. Raises `Unavailable` when they cannot be written."""
        queue = self.queue
        target = queue.next
        while queue.committed < target and not self.closed:
            self.write()
            await self.bell.wait()
            if queue.problem is not None:
                raise Unavailable(f"{target - queue.committed} events are not written: {queue.problem}")
        if queue.committed < target:
            raise Unavailable(f"{target - queue.committed} events are not written: the history was closed")

    async def stop(self) -> None:
        """Write the waiting events, as far as that is possible, and accept no more. Events that are left are logged."""
        queue = self.queue
        try:
            while queue.committed < queue.next or queue.unrecorded:
                if queue.committed == queue.next:
                    queue.report_unrecorded()
                await self.flush()
        except Unavailable:
            pass  # the events that are left are logged below
        finally:
            if queue.committed < queue.next:
                why = queue.problem or "closing it was cancelled"
                _log.error("the history ends too early: %d events are not written: %s", queue.next - queue.committed, why)
            self.closed = True
            queue.end()
            self._disarm()
            self.bell.notify()

    def _on_waiting(self, closed: bool) -> None:  # noqa: FBT001 - a callback of the queue
        if closed:
            self.write()
        else:
            self._write_in(LINGER_S)

    def _write_in(self, seconds: float) -> None:
        if self._timer is None and self._writing is None:
            self._timer = self._loop.call_later(seconds, self.write)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def write(self) -> None:
        """Give the next block to the thread, unless it has one."""
        if self._writing is not None:
            return
        self._disarm()
        block = self.queue.next_block()
        if block is not None:
            self._writing = self._loop.run_in_executor(self._executor, self._writer.append, block)
            self._writing.add_done_callback(self._written)

    def _written(self, done: asyncio.Future[None]) -> None:
        self._writing = None
        if self.closed:  # no task waits for the result; the file has the block or not
            return
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            self._failed(str(error) if isinstance(error, PenstockError) else named(error))
        else:
            self._committed()
        self.bell.notify()

    def _committed(self) -> None:
        queue = self.queue
        if queue.problem is not None:
            queue.problem = None
            _log.warning("the history is written again; %d events were not recorded", queue.unrecorded)
            self._report(None)
        self.last = queue.block_written()
        if queue.has_block:
            self.write()
        elif queue.committed < queue.next:
            self._write_in(LINGER_S)

    def _failed(self, problem: str) -> None:
        """Keep the waiting events and try again later. Until then no actor waits for room."""
        self._write_in(RETRY_S)
        if problem == self.queue.problem:
            return
        self.queue.problem = problem
        self.queue.update_bounds()
        _log.error("the history cannot be written, and is tried again every %g s: %s", RETRY_S, problem)
        self._report(problem)

    def _report(self, problem: str | None) -> None:
        if self._on_problem is None:
            return
        try:
            self._on_problem(problem)
        except BaseException as error:  # it is code of the user, without a caller to raise to
            log_error(_log, error, "the on_problem function of the history raised")
            if ends_the_loop(error):
                raise
