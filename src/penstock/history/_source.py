"""The durable source: recorded events from an offset on, and then live ones. This module never polls."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from penstock.errors import EndOfStream, Unavailable
from penstock.history._event import HistoryEvent
from penstock.history._read import Page, Query
from penstock.history._recorder import Recorder
from penstock.retention import PagedSource

Read = Callable[[Query, int | None, int, int | None], Awaitable[Page]]


class HistorySource(PagedSource[HistoryEvent]):
    """Events of a history, read in pages; the next page is read when the consumer has taken the last event of the one before.

    A `Source`; see `History.stream` for the errors that receiving raises.
    """

    __slots__ = ("_query", "_read", "_recorder", "_until")

    def __init__(self, recorder: Recorder, read: Read, query: Query, since: int | None, *, follow: bool) -> None:
        super().__init__(since)
        self._recorder, self._read, self._query = recorder, read, query
        self._until = None if follow else recorder.queue.next

    @property
    def offset(self) -> int | None:
        """The offset to go on from: that of the next event, or of the end of what was read; None before the first page."""
        return self._buffer[0].offset if self._buffer else self._next

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
        page = await self._read(self._query, self._next, self.page_items, self._until)
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

    def _wake(self) -> None:
        self._recorder.bell.notify()
