"""A stream in one process: a bounded buffer between a `Sink` and a `Source`. Items pass by reference, never copied.

One `PipeState` holds the state; `PipeSink` and `PipeSource` are its two thin ends. The rule that makes the bound exact and the
senders fair: **room that opens while senders wait is reserved for the first of them at once**, so that

    buffered + reserved <= buffer_size       and       senders wait  =>  buffered + reserved == buffer_size
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from penstock.errors import Aborted, Busy, EndOfStream, StreamCancelled, StreamClosed, WouldBlock
from penstock.streams._abc import InLoop, Sink, Source, Statistics, StreamState, as_failure, close_iterator, forgotten, raised
from penstock.streams._watch import Pressure, feeding

T = TypeVar("T")


def pipe(buffer_size: int = 16) -> tuple[Sink[Any], Source[Any]]:
    """Make a stream inside this process and return its two ends.

    `buffer_size` (items, at least 1) is how far the sender may be ahead of the consumer. Forgetting an end is noticed: a
    dropped `Source` cancels the stream, a dropped `Sink` that was not closed fails it with `Aborted`.
    """
    if buffer_size < 1:
        raise ValueError(f"buffer_size is {buffer_size}; a pipe holds at least one item")
    shared: PipeState[Any] = PipeState(buffer_size)
    return PipeSink(shared), PipeSource(shared)


class PipeState(Generic[T]):
    """The state both ends share."""

    __slots__ = (
        "buffer",
        "consumer",
        "loop",
        "on_left",
        "origin",
        "outcome",
        "pressure",
        "reserved",
        "senders",
        "sent",
        "size",
        "state",
    )

    def __init__(self, size: int) -> None:
        self.size = size
        self.buffer: deque[T] = deque()
        self.sent = 0
        self.reserved = 0
        self.senders: deque[asyncio.Future[None]] = deque()
        self.consumer: asyncio.Future[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None  # of whoever waits
        self.state: StreamState = "open"
        self.outcome: Exception | None = None
        self.origin: TracebackType | None = None
        self.pressure = Pressure()
        self.on_left: Callable[[], None] | None = None

    def refusal(self) -> Exception:
        """Say why nothing can be sent any more."""
        if self.state == "cancelled":
            return StreamCancelled("the consumer closed this stream; nothing more can be sent")
        return StreamClosed(f"this sink was closed (the stream has {self.state}); nothing more can be sent")

    def wake_consumer(self) -> None:
        waiter = self.consumer
        if waiter is not None:
            self.consumer = None
            if not waiter.done():
                waiter.set_result(None)

    def wake_senders(self) -> None:
        """Reserve the room there is for the senders that wait longest."""
        while self.senders and len(self.buffer) + self.reserved < self.size:
            waiter = self.senders.popleft()
            if not waiter.done():
                self.reserved += 1
                waiter.set_result(None)
        if not self.senders:
            self.pressure.set(False)

    async def room(self) -> None:
        """Wait for room for one item; on return it is the caller's, who must fill it before it awaits again."""
        self.loop = asyncio.get_running_loop()
        waiter = self.loop.create_future()
        self.senders.append(waiter)
        self.pressure.set(True)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.reserved -= 1
            else:
                waiter.cancel()
                if waiter in self.senders:
                    self.senders.remove(waiter)
            self.wake_senders()
            raise
        self.reserved -= 1
        if self.state != "open":
            raise self.refusal()

    async def space(self) -> None:
        """Wait until there is room, without taking it: for one who sends alone, and makes its next item only then."""
        while self.state == "open" and len(self.buffer) + self.reserved >= self.size:
            await self.room()
        if self.state != "open":
            raise self.refusal()

    def finish(self, state: StreamState, outcome: Exception) -> None:
        """Leave the open state: what waits to send is refused, what waits to receive is told."""
        if self.state != "open":
            return
        self.state, self.outcome = state, outcome
        self.origin = outcome.__traceback__  # each raise starts from here: a traceback must not grow with every `receive`
        self._refuse_senders()
        self.wake_consumer()

    def cancel(self) -> None:
        """Leave from the consumer's side: what is buffered is dropped, and a normal end not yet seen becomes a cancellation."""
        if self.outcome is None or self.buffer:
            self.state, self.outcome = "cancelled", StreamClosed("this source was closed; nothing more can be received")
            self.buffer.clear()
            self._refuse_senders()
            self.wake_consumer()
            if self.on_left is not None:
                self.on_left()

    def _refuse_senders(self) -> None:
        while self.senders:
            waiter = self.senders.popleft()
            if not waiter.done():
                waiter.set_exception(self.refusal())
        self.pressure.set(False)

    def statistics(self) -> Statistics:
        buffered = len(self.buffer)
        credit = self.size - buffered - self.reserved if self.state == "open" else 0
        return Statistics(self.state, self.size, buffered, self.sent, self.sent - buffered, credit, len(self.senders))


class PipeSink(Sink[T]):
    """The sending end of a `pipe`."""

    __slots__ = ("_pipe",)

    def __init__(self, shared: PipeState[T]) -> None:
        self._pipe = shared

    async def send(self, item: T) -> None:
        shared = self._pipe
        buffer = shared.buffer
        if shared.state != "open":
            raise shared.refusal()
        if len(buffer) + shared.reserved >= shared.size:
            await shared.room()
        buffer.append(item)
        shared.sent += 1
        if shared.consumer is not None:
            shared.wake_consumer()

    def send_nowait(self, item: T) -> None:
        shared = self._pipe
        if shared.state != "open":
            raise shared.refusal()
        if len(shared.buffer) + shared.reserved >= shared.size:
            raise WouldBlock(f"the buffer holds {shared.size} items that are not consumed; use `await send()` to wait")
        shared.buffer.append(item)
        shared.sent += 1
        shared.wake_consumer()

    async def send_many(self, items: Iterable[T]) -> None:
        shared = self._pipe
        buffer = shared.buffer
        for item in items:
            if shared.state != "open":
                raise shared.refusal()
            if len(buffer) + shared.reserved >= shared.size:
                await shared.room()
            buffer.append(item)
            shared.sent += 1
            if shared.consumer is not None:
                shared.wake_consumer()

    async def feed(self, items: AsyncIterable[T]) -> None:
        """Send all `items`, pulling the next one only when there is room for it, and close the iterator at the end.

        For the only sender of this pipe. Cancelling it closes the iterator.
        """
        shared = self._pipe
        buffer, size = shared.buffer, shared.size
        feeding.set(self)
        iterator: AsyncIterator[Any] = aiter(items)
        try:
            await shared.space()
            async for item in iterator:
                if shared.state != "open":
                    raise shared.refusal()
                buffer.append(item)
                shared.sent += 1
                if shared.consumer is not None:
                    shared.wake_consumer()
                if len(buffer) >= size:
                    await shared.space()
        finally:
            await close_iterator(iterator)
            if items is not iterator:
                await close_iterator(items)

    def close(self) -> None:
        self._pipe.finish("ended", EndOfStream())

    def fail(self, error: Exception) -> None:
        self._pipe.finish("failed", as_failure(error))

    def statistics(self) -> Statistics:
        return self._pipe.statistics()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pipe.pressure.watch(on_change)

    def _when_left(self, tell: Callable[[], None] | None) -> None:
        self._pipe.on_left = tell
        if tell is not None and self._pipe.state == "cancelled":
            tell()

    def __del__(self) -> None:
        shared = self._pipe
        if shared.state == "open":
            dropped = Aborted("the sink of this stream was dropped without close() or fail()")
            forgotten(shared.loop, lambda: shared.finish("failed", dropped))

    def __repr__(self) -> str:
        return f"<Sink {describe(self.statistics())}>"


class PipeSource(Source[T]):
    """The receiving end of a `pipe`."""

    __slots__ = ("_pipe",)

    def __init__(self, shared: PipeState[T]) -> None:
        self._pipe = shared

    def __aiter__(self) -> AsyncIterator[T]:
        return self._iterate()

    async def _iterate(self) -> AsyncIterator[T]:
        shared = self._pipe
        buffer, senders, take = shared.buffer, shared.senders, shared.buffer.popleft
        with InLoop(self):
            while True:
                while buffer:
                    item = take()
                    if senders:
                        shared.wake_senders()
                    yield item
                if shared.outcome is not None:
                    raise raised(shared.outcome, shared.origin)
                await self._readable()

    def _take(self, max_items: int) -> list[T]:
        shared = self._pipe
        buffer = shared.buffer
        if buffer:
            taken = [buffer.popleft() for _ in range(min(max_items, len(buffer)))]
            if shared.senders:
                shared.wake_senders()
            return taken
        if shared.outcome is not None:
            raise raised(shared.outcome, shared.origin)
        return []

    async def _readable(self) -> None:
        shared = self._pipe
        if shared.consumer is not None:
            raise Busy("another task is receiving from this source; a stream has one receiver")
        shared.loop = asyncio.get_running_loop()
        shared.consumer = waiter = shared.loop.create_future()
        try:
            await waiter
        finally:
            if shared.consumer is waiter:
                shared.consumer = None

    async def aclose(self) -> None:
        self._pipe.cancel()

    def statistics(self) -> Statistics:
        return self._pipe.statistics()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pipe.pressure.watch(on_change)

    def __del__(self) -> None:
        forgotten(self._pipe.loop, self._pipe.cancel)

    def __repr__(self) -> str:
        return f"<Source {describe(self.statistics())}>"


def describe(now: Statistics) -> str:
    """Say in one line how a stream stands."""
    return f"{now.state}, {now.buffered} of {now.buffer_size} buffered, {now.sent} sent, {now.received} received"
