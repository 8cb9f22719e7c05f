"""The durable source: recorded events from an offset on, then live ones. This module never polls and never sleeps."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from penstock.errors import Busy, EndOfStream, StreamClosed, Unavailable
from penstock.history._event import HistoryEvent
from penstock.history._read import Page, Query
from penstock.history._recorder import Recorder
from penstock.streams import SECOND_RECEIVER, SOURCE_CLOSED, Pressure, Source, Statistics, StreamState, reraisable

#: How many events are read ahead of the consumer.
PAGE_EVENTS: Final = 256


Read = Callable[[Query, int | None, int, int | None], Awaitable[Page]]


class HistorySource(Source[HistoryEvent]):
    """Events of a history, read in pages, only when the consumer has come to the end of the last one."""

    __slots__ = (
        "_buffer",
        "_outcome",
        "_place",
        "_pressure",
        "_read",
        "_received",
        "_recorder",
        "_state",
        "_until",
        "_waits",
        "_wanted",
    )

    def __init__(self, recorder: Recorder, read: Read, wanted: Query, since: int | None, *, follow: bool) -> None:
        self._recorder, self._read, self._wanted, self._place = recorder, read, wanted, since
        self._until = None if follow else recorder.queue.next
        self._buffer: deque[HistoryEvent] = deque()
        self._received = 0
        self._state: StreamState = "open"
        self._outcome: Exception | None = None
        self._waits = False
        self._pressure = Pressure()

    def __aiter__(self) -> AsyncIterator[HistoryEvent]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[HistoryEvent]:
        buffer = self._buffer
        while True:
            while buffer:
                self._received += 1
                yield buffer.popleft()
            if isinstance(self._outcome, EndOfStream):
                return
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
        except Exception as error:  # noqa: BLE001 - whatever it is, it is how this stream ended
            self._finish("failed", error)
        finally:
            self._waits = False

    async def _fill(self) -> None:
        """Read one page, or wait for the next commit when all is read. Cancelling it changes nothing."""
        recorder, place = self._recorder, self._place
        if recorder.closed:
            raise Unavailable(f"the history is closed; go on later with since={place}")
        committed = recorder.queue.committed
        if self._until is None and place is not None and committed <= place <= recorder.queue.next:
            await recorder.bell.wait()
            self._skip(committed)
            return
        if self._until is not None and committed < self._until:
            with contextlib.suppress(Unavailable):  # what is in the file can be read all the same
                await recorder.flush()
        page = await self._read(self._wanted, self._place, PAGE_EVENTS, self._until)
        if self._outcome is not None:
            return
        self._place = page.next
        self._buffer.extend(page.events)
        if page.end and self._until is not None:
            self._finish("ended", EndOfStream())

    def _skip(self, before: int) -> None:
        """Go past a block without this actor, unread: who follows a quiet actor costs a busy node nothing."""
        recorder, actor = self._recorder, self._wanted.actor
        last, committed = recorder.last, recorder.queue.committed
        if last is None or actor is None or actor in last.actors:
            return
        if self._place == before == last.first and committed == last.first + len(last.lines):
            self._place = committed

    def _finish(self, state: StreamState, outcome: Exception) -> None:
        if self._outcome is None:
            self._state, self._outcome = state, outcome

    async def aclose(self) -> None:
        """Stop reading; what was read ahead is dropped. Idempotent."""
        self._finish("cancelled", StreamClosed(SOURCE_CLOSED))
        self._buffer.clear()
        if self._waits:
            self._recorder.bell.notify()

    def statistics(self) -> Statistics:
        """Return how the stream stands; `sent` counts what was read from the file."""
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
        self._pressure.watch(on_change)  # no producer ever waits: the file is read when the consumer asks

    def __repr__(self) -> str:
        return f"<HistorySource {self._state} at {self._place}, {len(self._buffer)} buffered, {self._received} received>"
