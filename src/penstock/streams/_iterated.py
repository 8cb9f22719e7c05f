"""Sources of other sources: `source_of` makes one of any async iterable, `Converted` converts the items of one.

A source of an iterable pulls one item at a time, and only while the consumer waits for it. One task pulls all of them, so that
cancelling a consumer that waits does not throw its cancellation into the iterator, and a time-out, a task group or a context
variable inside a generator has the same task from its first item to its last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from penstock._outcomes import as_exception, as_failure, ends_the_loop
from penstock.errors import Busy, EndOfStream, StreamClosed
from penstock.streams._abc import (
    SECOND_RECEIVER,
    SOURCE_CLOSED,
    Demand,
    Source,
    Statistics,
    StreamState,
    close_iterator,
    reraisable,
)
from penstock.streams._backlog import Dropped
from penstock.streams._thread import finalize_on
from penstock.streams._watch import Pressure

T = TypeVar("T")


def source_of(items: AsyncIterable[T]) -> Source[T]:
    """Return `items` itself when it is a `Source`, else a new source that pulls its items from `items`.

    The new source runs at most one item ahead. Its `aclose` cancels a pull that is under way, waits for it, and closes `items`
    and its iterator. An error of the iterator fails the source.
    """
    return items if isinstance(items, Source) else _Iterated(items)


class _Pulls(Generic[T]):
    """The items of an iterable, pulled by one task when they are asked for. The task does not hold the source.

    item: the item that waits for the consumer, or nothing. outcome: how the items have ended; None before.
    consumer: the future of the consumer that waits. task: None before the first pull.
    """

    __slots__ = ("_iterator", "_wanted", "consumer", "item", "items", "origin", "outcome", "pressure", "task")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._iterator = aiter(items)
        self._wanted: asyncio.Future[None] | None = None
        self.items = items
        self.item: list[T] = []
        self.outcome: Exception | None = None
        self.origin: TracebackType | None = None
        self.consumer: asyncio.Future[None] | None = None
        self.pressure = Pressure()
        self.task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Have the next item pulled, unless a pull is under way."""
        self.pressure.set(False)
        wanted, self._wanted = self._wanted, None
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._run())
        elif wanted is not None and not wanted.done():
            wanted.set_result(None)

    def finish(self, outcome: Exception) -> None:
        """End the items with `outcome`, unless they have ended."""
        if self.outcome is None:
            self.outcome, self.origin = outcome, outcome.__traceback__
        self.tell()

    def tell(self) -> None:
        """Wake the consumer: an item or the outcome is here."""
        self.pressure.set(True)
        if self.consumer is not None and not self.consumer.done():
            self.consumer.set_result(None)

    async def close(self) -> None:
        """Close the iterator and its iterable."""
        await close_iterator(self._iterator)
        if self.items is not self._iterator:
            await close_iterator(self.items)

    async def _run(self) -> None:
        """Pull item after item, each when it is asked for; close the iterator at the end."""
        try:
            while True:
                self.item = [await anext(self._iterator)]
                self._wanted = wanted = asyncio.get_running_loop().create_future()
                self.tell()
                await wanted
        except StopAsyncIteration:
            self.finish(EndOfStream())
        except BaseException as error:
            self.finish(as_failure(error, "the iterator of this source"))
            if ends_the_loop(error):
                raise
        finally:
            try:
                await self.close()
            except BaseException as error:  # `aclose` of the source raises it
                raise error if ends_the_loop(error) else as_exception(error, "the end of an iterator") from error


class _Iterated(Source[T]):
    __slots__ = ("_pulls", "_received")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._pulls = _Pulls(items)
        self._received = 0

    def _take(self, max_items: int) -> list[T]:
        pulls = self._pulls
        if pulls.item:
            taken, pulls.item = pulls.item, []
            self._received += 1
            return taken
        if pulls.outcome is not None:
            raise reraisable(pulls.outcome, pulls.origin)
        return []

    async def _readable(self) -> None:
        """Pull one item, or wait for the pull that is under way. A cancelled wait leaves the pull running for the next one."""
        pulls = self._pulls
        if pulls.consumer is not None:
            raise Busy(SECOND_RECEIVER)
        pulls.ask()
        if pulls.item or pulls.outcome is not None:  # the task was eager
            return
        pulls.consumer = asyncio.get_running_loop().create_future()
        try:
            await pulls.consumer
        finally:
            pulls.consumer = None

    async def aclose(self) -> None:
        """Cancel the pull that is under way, wait for it, and close the iterator and its iterable. Idempotent."""
        pulls = self._pulls
        if pulls.outcome is None or pulls.item:
            pulls.item, pulls.outcome = [], None
            pulls.finish(StreamClosed(SOURCE_CLOSED))
        if pulls.task is None:
            await pulls.close()
            return
        if not pulls.task.cancelling():
            pulls.task.cancel()
        await asyncio.wait([pulls.task])
        if not pulls.task.cancelled() and (error := pulls.task.exception()) is not None:
            raise error

    def statistics(self) -> Statistics:
        buffered = len(self._pulls.item)
        return Statistics(self._state, 1, buffered, self._received + buffered, self._received, 1 - buffered, 0)

    @property
    def _state(self) -> StreamState:
        outcome = self._pulls.outcome
        if outcome is None:
            return "open"
        return "ended" if isinstance(outcome, EndOfStream) else "cancelled" if isinstance(outcome, StreamClosed) else "failed"

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pulls.pressure.watch(on_change)

    def __del__(self) -> None:
        task = self._pulls.task if hasattr(self, "_pulls") else None
        if task is not None and not task.done():
            finalize_on(task.get_loop(), task.cancel)

    def __repr__(self) -> str:
        return f"<Source {self._state}, of {self._pulls.items!r}, {self._received} received>"


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
