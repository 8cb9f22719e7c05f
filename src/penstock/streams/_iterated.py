"""Any async iterable as a `Source`. It pulls one item at a time, and none before the consumer waits for it.

Each pull is a task of its own, so that a consumer which gives up waiting does not throw its cancellation into the iterator.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import TracebackType
from typing import Any, TypeVar

from penstock.errors import Busy, EndOfStream, StreamClosed
from penstock.streams._abc import Source, Statistics, StreamState, as_failure, raised
from penstock.streams._watch import Pressure

T = TypeVar("T")


def source_of(items: AsyncIterable[T]) -> Source[T]:
    """Return `items` itself when it is a `Source`, else a source that pulls from it and closes it."""
    return items if isinstance(items, Source) else _Iterated(items)


class _Iterated(Source[T]):
    __slots__ = ("_busy", "_given", "_item", "_iterator", "_origin", "_outcome", "_pressure", "_pull", "_received")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._pull: asyncio.Task[T] | None = None
        self._given = items
        self._iterator = aiter(items)
        self._item: list[T] = []
        self._busy = False
        self._received = 0
        self._outcome: Exception | None = None
        self._origin: TracebackType | None = None
        self._pressure = Pressure()

    def _take(self, max_items: int) -> list[T]:
        if self._item:
            taken, self._item = self._item, []
            self._received += 1
            return taken
        if self._outcome is not None:
            raise raised(self._outcome, self._origin)
        return []

    async def _readable(self) -> None:
        if self._busy:
            raise Busy("another task is receiving from this source; a stream has one receiver")
        self._busy = True
        pull = self._pull = self._pull or asyncio.ensure_future(_next(self._iterator))
        self._pressure.set(False)
        try:
            await asyncio.wait([pull])
        finally:
            self._busy = False
        if self._pull is pull:
            self._pull = None
            self._pressure.set(True)
            self._pulled(pull)

    def _pulled(self, pull: asyncio.Task[T]) -> None:
        """The iterator has given an item, or its end."""
        try:
            self._item = [pull.result()]
        except EndOfStream as end:
            self._finish(EndOfStream() if isinstance(end, _IteratorEnded) else as_failure(end))
        except asyncio.CancelledError:
            self._finish(StreamClosed("the producer of this source was cancelled"))
        except Exception as error:  # noqa: BLE001 - whatever a producer raises is the outcome of its stream
            self._finish(error)

    def _finish(self, outcome: Exception) -> None:
        if self._outcome is None:
            self._outcome, self._origin = outcome, outcome.__traceback__

    async def aclose(self) -> None:
        pull, self._pull = self._pull, None
        if self._outcome is None or self._item:
            self._item = []
            self._outcome = StreamClosed("this source was closed; nothing more can be received")
        if pull is not None:
            pull.cancel()
            await asyncio.wait([pull])
        for part in (self._iterator, self._given):
            close = getattr(part, "aclose", None)
            if close is not None:
                await close()

    def statistics(self) -> Statistics:
        buffered = len(self._item)
        return Statistics(self._state, 1, buffered, self._received + buffered, self._received, 1 - buffered, 0)

    @property
    def _state(self) -> StreamState:
        outcome = self._outcome
        if outcome is None:
            return "open"
        return "ended" if isinstance(outcome, EndOfStream) else "cancelled" if isinstance(outcome, StreamClosed) else "failed"

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pressure.watch(on_change)

    def __del__(self) -> None:
        if self._pull is not None:
            self._pull.cancel()

    def __repr__(self) -> str:
        return f"<Source {self._state}, of {self._given!r}, {self._received} received>"


class _IteratorEnded(EndOfStream):
    """The end of the iterator itself: one that raises an `EndOfStream` has failed."""


async def _next(iterator: AsyncIterator[Any]) -> Any:
    try:
        return await anext(iterator)
    except StopAsyncIteration:
        raise _IteratorEnded from None
