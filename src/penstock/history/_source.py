"""The durable source: recorded events from an offset on, and then live ones. This module never polls."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from penstock.errors import Busy, EndOfStream, StreamClosed, Unavailable
from penstock.history._event import HistoryEvent
from penstock.history._read import Page, Query
from penstock.history._recorder import Recorder
from penstock.streams import (
    READY,
    SECOND_RECEIVER,
    SOURCE_CLOSED,
    InLoop,
    Pressure,
    Source,
    Statistics,
    StreamState,
    reraisable,
)

#: How many events are read ahead of the consumer at most.
PAGE_EVENTS: Final = 256


Read = Callable[[Query, int | None, int, int | None], Awaitable[Page]]


class HistorySource(Source[HistoryEvent]):
    """Events of a history, read in pages; the next page is read when the consumer has taken the last event of the one before.

    A `Source`; see `History.stream` for the errors that receiving raises.
    """

    __slots__ = (
        "_buffer",
        "_next",
        "_outcome",
        "_pressure",
        "_query",
        "_read",
        "_received",
        "_recorder",
        "_state",
        "_until",
        "_waits",
    )

    def __init__(self, recorder: Recorder, read: Read, query: Query, since: int | None, *, follow: bool) -> None:
        self._recorder, self._read, self._query, self._next = recorder, read, query, since
        self._until = None if follow else recorder.queue.next
        self._buffer: deque[HistoryEvent] = deque()
        self._received = 0
        self._state: StreamState = "open"
        self._outcome: Exception | None = None
        self._waits = False
        self._pressure = Pressure()

    async def _iterate(self, in_loop: InLoop[Any]) -> AsyncGenerator[HistoryEvent, None]:
        buffer = self._buffer
        with in_loop:
            yield READY
            while True:
                while buffer:
                    self._received += 1
                    yield buffer.popleft()
                if self._outcome is not None:
                    raise reraisable(self._outcome, None)
                await self._readable()

    def _take(self, max_items: int) -> list[HistoryEvent]:
        buffer = self._buffer
        if not buffer and self._outcome is not None:
            raise reraisable(self._outcome, None)
        taken = [buffer.popleft() for _ in range(min(max_items, len(buffer)))]
        self._received += len(taken)
        return taken

    async def _readable(self) -> None:
        if self._waits:
            raise Busy(SECOND_RECEIVER)
        self._waits = True
        try:
            while not self._buffer and self._outcome is None:
                await self._fill()
        except Exception as error:  # noqa: BLE001 - any error is the outcome of this stream
            self._finish("failed", error)
        finally:
            self._waits = False

    async def _fill(self) -> None:
        """Read one page, or wait for the next commit when all events are read. Cancelling it changes nothing."""
        recorder, offset = self._recorder, self._next
        if recorder.closed:
            raise Unavailable(f"the history is closed; continue later with since={offset}")
        committed = recorder.queue.committed
        if self._until is None and offset is not None and committed <= offset <= recorder.queue.next:
            await recorder.bell.wait()
            self._skip(committed)
            return
        if self._until is not None and committed < self._until:
            with contextlib.suppress(Unavailable):  # the events in the file can still be read
                await recorder.flush()
        page = await self._read(self._query, self._next, PAGE_EVENTS, self._until)
        if self._outcome is not None:
            return
        self._next = page.next
        self._buffer.extend(page.events)
        if page.end and self._until is not None:
            self._finish("ended", EndOfStream())

    def _skip(self, before: int) -> None:
        """Skip a block without events of this actor: following a quiet actor costs a busy node nothing."""
        recorder, actor = self._recorder, self._query.actor
        last, committed = recorder.last, recorder.queue.committed
        if last is None or actor is None or actor in last.actors:
            return
        if self._next == before == last.first and committed == last.first + len(last.lines):
            self._next = committed

    def _finish(self, state: StreamState, outcome: Exception) -> None:
        if self._outcome is None:
            self._state, self._outcome = state, outcome

    async def aclose(self) -> None:
        """Stop reading, and drop the events that were read ahead. A task that is receiving gets `StreamClosed`. Idempotent."""
        self._finish("cancelled", StreamClosed(SOURCE_CLOSED))
        self._buffer.clear()
        if self._waits:
            self._recorder.bell.notify()

    def statistics(self) -> Statistics:
        """Return the figures of the stream; `sent` counts the events that were read from the file."""
        buffered = len(self._buffer)
        return Statistics(
            state=self._state,
            buffer_size=PAGE_EVENTS,
            buffered=buffered,
            sent=self._received + buffered,
            received=self._received,
            credit=PAGE_EVENTS - buffered if self._state == "open" else 0,
            waiting_senders=0,
        )

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pressure.watch(on_change)  # no producer ever waits: the file is read when the consumer needs a page

    def __repr__(self) -> str:
        return f"<HistorySource {self._state} at {self._next}, {len(self._buffer)} buffered, {self._received} received>"
