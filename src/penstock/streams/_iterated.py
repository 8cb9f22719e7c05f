"""Sources of other sources: `source_of` makes one of any async iterable, `Converted` converts the items of one.

A source of an iterable pulls one item at a time, and only while the consumer waits for it. Each pull is a task of its own, so
that cancelling a consumer that waits does not throw its cancellation into the iterator.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import TracebackType
from typing import Any, TypeVar

from penstock.errors import Busy, EndOfStream, StreamClosed
from penstock.streams._abc import (
    SECOND_RECEIVER,
    SOURCE_CLOSED,
    Demand,
    Source,
    Statistics,
    StreamState,
    as_failure,
    reraisable,
    stops_the_program,
)
from penstock.streams._backlog import Dropped
from penstock.streams._watch import Pressure

T = TypeVar("T")


def source_of(items: AsyncIterable[T]) -> Source[T]:
    """Return `items` itself when it is a `Source`, else a new source that pulls its items from `items`.

    The new source runs at most one item ahead. Its `aclose` cancels a pull that is under way, waits for it, and closes `items`
    and its iterator. An error of the iterator fails the source.
    """
    return items if isinstance(items, Source) else _Iterated(items)


class _Iterated(Source[T]):
    __slots__ = ("_busy", "_item", "_items", "_iterator", "_origin", "_outcome", "_pressure", "_pull", "_received")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._pull: asyncio.Task[T] | None = None
        self._items = items
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
            raise reraisable(self._outcome, self._origin)
        return []

    async def _readable(self) -> None:
        """Pull one item, or wait for the pull that is under way. A cancelled wait leaves the pull running for the next one."""
        if self._busy:
            raise Busy(SECOND_RECEIVER)
        self._busy = True
        pull = self._pull = self._pull or asyncio.ensure_future(_next(self._iterator))
        self._pressure.set(False)
        try:
            if (
                not pull.done()
            ):  # `wait` would take a turn of the loop, and a reader with very short time-outs would get no item
                await asyncio.wait([pull])
        finally:
            self._busy = False
        if self._pull is pull:
            self._pull = None
            self._pressure.set(True)
            self._pulled(pull)

    def _pulled(self, pull: asyncio.Task[T]) -> None:
        """Store the item or the outcome that a finished pull brought."""
        try:
            self._item = [pull.result()]
        except _IteratorEnded:
            self._finish(EndOfStream())
        except BaseException as error:
            self._finish(as_failure(error, "the iterator of this source"))
            if stops_the_program(error):
                raise

    def _finish(self, outcome: Exception) -> None:
        if self._outcome is None:
            self._outcome, self._origin = outcome, outcome.__traceback__

    async def aclose(self) -> None:
        """Cancel the pull that is under way, wait for it, and close the iterator and its iterable. Idempotent."""
        pull, self._pull = self._pull, None
        if self._outcome is None or self._item:
            self._item = []
            self._outcome = StreamClosed(SOURCE_CLOSED)
        if pull is not None:
            pull.cancel()
            await asyncio.wait([pull])
        for part in (self._iterator, self._items):
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
        return f"<Source {self._state}, of {self._items!r}, {self._received} received>"


class _IteratorEnded(EndOfStream):
    """The end of the iterator itself. An `EndOfStream` that the iterator raises is a failure instead."""


async def _next(iterator: AsyncIterator[Any]) -> Any:
    try:
        return await anext(iterator)
    except StopAsyncIteration:
        raise _IteratorEnded from None


class Converted(Source[T]):
    """The items of `source`, each as `convert` returns it; the marks of a port stay as they are.

    The error of `convert` fails this source behind the items before it, and is given to `on_bad_item`, which ends the stream.
    """

    __slots__ = ("__weakref__", "_bad", "_convert", "_on_bad_item", "_source")

    def __init__(self, source: Source[Any], convert: Callable[[Any], T], on_bad_item: Callable[[Exception], object]) -> None:
        self._source = source
        self._convert = convert
        self._on_bad_item = on_bad_item
        self._bad: Exception | None = None

    def _take(self, max_items: int) -> list[T]:
        converted: list[Any] = []
        if self._bad is None:
            for item in self._source._take(max_items):
                try:
                    converted.append(item if type(item) is Dropped else self._convert(item))
                except Exception as error:  # noqa: BLE001 - any error of a type is the outcome of the stream
                    self._bad = error.with_traceback(None)
                    self._on_bad_item(self._bad)
                    break
        if self._bad is not None and not converted:
            raise reraisable(self._bad, None)
        return converted

    async def _readable(self) -> None:
        await self._source._readable()

    async def aclose(self) -> None:
        await self._source.aclose()

    def statistics(self) -> Statistics:
        return self._source.statistics()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._source._watch(on_change)

    def _on_loop_left(self) -> None:
        self._source._on_loop_left()

    def _keep_ahead(self, items: int | None) -> None:
        self._source._keep_ahead(items)

    def _follow(self) -> Demand | None:
        return self._source._follow()

    def __repr__(self) -> str:
        return repr(self._source)
