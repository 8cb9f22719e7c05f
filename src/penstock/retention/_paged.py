"""`PagedSource`: a source that reads its items from a record of them, page by page, and then follows that record live."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, ClassVar, TypeVar

from penstock.errors import Busy, StreamClosed
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

T = TypeVar("T")


class PagedSource(Source[T]):
    """Items with offsets, from one of them on. The consumer has its own place, and no producer waits for it.

    A class for one kind of record gives `_fill`, `_wake` and `offset`, and `_load` where a page can be read without waiting.

    page_items: how many items are read ahead of the consumer at most.
    """

    page_items: ClassVar[int] = 256

    __slots__ = ("_buffer", "_next", "_outcome", "_pressure", "_received", "_state", "_waits")

    def __init__(self, offset: Any) -> None:
        self._next = offset  # of the item behind those in the buffer
        self._buffer: deque[T] = deque()
        self._received = 0
        self._state: StreamState = "open"
        self._outcome: Exception | None = None
        self._waits = False
        self._pressure = Pressure()

    @property
    @abstractmethod
    def offset(self) -> int | None:
        """The offset of the next item that the program receives: store it with your results, and go on from there later."""

    @abstractmethod
    async def _fill(self) -> None:
        """Put the next items into the buffer, or wait until there may be some. Cancelling it changes nothing."""

    @abstractmethod
    def _wake(self) -> None:
        """Wake the task that waits in `_fill`."""

    def _load(self) -> None:
        """Put the next items into the buffer, as far as that is possible without waiting, or end the source."""

    async def _iterate(self, in_loop: InLoop[Any]) -> AsyncGenerator[T, None]:
        buffer = self._buffer
        with in_loop:
            yield READY
            while True:
                while buffer:
                    self._received += 1
                    yield buffer.popleft()
                if self._outcome is None:
                    self._load()
                if not buffer:
                    if self._outcome is not None:
                        raise reraisable(self._outcome, None)
                    await self._readable()

    def _take(self, max_items: int) -> list[T]:
        buffer = self._buffer
        if not buffer and self._outcome is None:
            self._load()
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

    def _finish(self, state: StreamState, outcome: Exception) -> None:
        """End the source behind the items in the buffer, unless it has ended."""
        if self._outcome is None:
            self._state, self._outcome = state, outcome

    async def aclose(self) -> None:
        """Stop reading, and drop the items that were read ahead. A task that is receiving gets `StreamClosed`. Idempotent."""
        self._finish("cancelled", StreamClosed(SOURCE_CLOSED))
        self._next = self.offset  # the items that were read ahead were not received
        self._buffer.clear()
        if self._waits:
            self._wake()

    def statistics(self) -> Statistics:
        """Return the figures of the stream; `sent` counts the items that were read from the record."""
        buffered = len(self._buffer)
        return Statistics(
            state=self._state,
            buffer_size=self.page_items,
            buffered=buffered,
            sent=self._received + buffered,
            received=self._received,
            credit=max(0, self.page_items - buffered) if self._state == "open" else 0,
            waiting_senders=0,
        )

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pressure.watch(on_change)  # no producer ever waits: a page is read when the consumer needs it

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._state} at {self._next}, {len(self._buffer)} buffered, {self._received} received>"
