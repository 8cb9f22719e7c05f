"""A stream in one process: a bounded buffer between a `Sink` and a `Source`. Items pass by reference and are never copied.

One `PipeState` holds the state; `PipeSink` and `PipeSource` are its two thin ends. One rule makes the bound exact and the
senders fair: **room that opens while senders wait is reserved for the first of them at once** (`Waiters`), so that

    buffered + reserved <= buffer_size       and       senders wait  =>  buffered + reserved == buffer_size
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from threading import get_ident
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from penstock._outcomes import as_failure
from penstock.errors import Aborted, Busy, EndOfStream, StreamCancelled, StreamClosed, WouldBlock
from penstock.streams._abc import (
    SECOND_RECEIVER,
    SOURCE_CLOSED,
    Demand,
    Sink,
    Source,
    Statistics,
    StreamState,
    close_iterator,
    reraisable,
)
from penstock.streams._iteration import READY, InLoop
from penstock.streams._options import checked_size
from penstock.streams._thread import OneThread, finalize_on
from penstock.streams._waiters import Waiters
from penstock.streams._watch import feeding

T = TypeVar("T")


#: How many items a producer may be ahead of its consumer by default.
BUFFER_SIZE: Final = 16


def pipe(buffer_size: int = BUFFER_SIZE) -> tuple[Sink[Any], Source[Any]]:
    """Make a stream inside this process and return its two ends.

    `buffer_size` (items, at least 1, 16 by default) is how far the sender may be ahead of the consumer; ``send`` waits beyond
    it. Use both ends on one event loop. Dropping the last reference to an end is noticed: a dropped `Source` cancels the
    stream, and a dropped `Sink` that was not closed fails it with `Aborted`. Raises `ValueError` for any other `buffer_size`.
    """
    shared: PipeState[Any] = PipeState(checked_size("buffer_size", buffer_size))
    return PipeSink(shared), PipeSource(shared)


class PipeState(OneThread, Generic[T]):
    """The state that both ends share.

    buffer: the items that were sent and not received. senders: the tasks that wait for room. consumer: the future of the task
    that waits for an item. state, outcome: how the stream ended; `outcome` is None while it is open. on_consumer_left: called
    when the consumer cancels the stream. limit: how many items may be sent in all, for a consumer that passes them on; None for
    no limit. size: how many items may be in the buffer now; most: how many may be without a limit.

    The steps of the program end it by `finish` and `cancel`, which check the thread; finalisers by `end` and `leave`.
    """

    __slots__ = (
        "buffer",
        "consumer",
        "consumer_loop",
        "limit",
        "most",
        "on_consumer_left",
        "origin",
        "outcome",
        "senders",
        "sent",
        "size",
        "state",
    )

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = self.most = size
        self.limit: int | None = None
        self.buffer: deque[T] = deque()
        self.sent = 0
        self.senders = Waiters()
        self.senders.line = deque()  # made now, because the loop of a consumer keeps it in a local variable
        self.consumer: asyncio.Future[None] | None = None
        self.consumer_loop: asyncio.AbstractEventLoop | None = None  # on which the consumer has waited
        self.state: StreamState = "open"
        self.outcome: Exception | None = None
        self.origin: TracebackType | None = None
        self.on_consumer_left: Callable[[], None] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop on which a task of either end has waited; None when none has."""
        return self.consumer_loop or self.senders.loop

    def refusal(self) -> Exception:
        """Return the error for a sender after the end of the stream."""
        if self.state == "cancelled":
            return StreamCancelled("the consumer closed this stream; nothing more can be sent")
        return StreamClosed(f"this sink was closed (the stream has {self.state}); nothing more can be sent")

    def wake_consumer(self) -> None:
        waiter = self.consumer
        if waiter is not None:
            self.consumer = None
            if not waiter.done():
                waiter.set_result(None)

    def allow(self, limit: int | None) -> None:
        """Let `limit` items be sent in all; with None, as many as the buffer takes."""
        self.limit = limit
        self.size = self.most if limit is None else min(self.most, limit - self.sent + len(self.buffer))
        if self.senders.line:
            self.wake_senders()

    def keep_ahead(self, items: int | None) -> None:
        """Let the sender be `items` ahead: none with 0, as many as the buffer takes with None."""
        self.most = items or self.most
        self.allow(self.sent if items == 0 else None)

    def let_go(self) -> None:
        """Let the sender of an empty buffer go on, if it may send nothing: it was held for a reader, and one is here now."""
        if self.limit == self.sent:
            self.allow(None)

    def wake_senders(self) -> None:
        """Reserve the free room for the senders that have waited longest."""
        self.senders.wake(self.size - len(self.buffer) - self.senders.reserved)

    async def space(self) -> None:
        """Wait until there is room, without taking it: for the only sender, which makes its next item only then."""
        while self.state == "open" and len(self.buffer) + self.senders.reserved >= self.size:
            await self.senders.wait(self.wake_senders)
        if self.state != "open":
            raise self.refusal()

    def finish(self, state: StreamState, outcome: Exception) -> None:
        """Leave the open state: senders that wait are refused, and a consumer that waits gets the outcome."""
        self.check_home()
        self.end(state, outcome)

    def end(self, state: StreamState, outcome: Exception) -> None:
        """As `finish`, in any thread."""
        if self.state != "open":
            return
        self.state, self.outcome, self.owner = state, outcome, 0
        self.origin = outcome.__traceback__  # where each raise starts, so that a traceback does not grow
        self._refuse_senders()
        self.wake_consumer()

    def cancel(self) -> None:
        """Cancel the stream from the consumer's side: drop the buffered items, and with them an end that was not yet seen."""
        self.check_home()
        self.leave()

    def leave(self) -> None:
        """As `cancel`, in any thread."""
        if self.outcome is None or self.buffer:
            self.state, self.outcome, self.owner = "cancelled", StreamClosed(SOURCE_CLOSED), 0
            self.buffer.clear()
            self._refuse_senders()
            self.wake_consumer()
            if self.on_consumer_left is not None:
                self.on_consumer_left()

    def _refuse_senders(self) -> None:
        self.senders.wake_all()

    def statistics(self) -> Statistics:
        buffered = len(self.buffer)
        credit = self.size - buffered - self.senders.reserved if self.state == "open" else 0
        return Statistics(self.state, self.size, buffered, self.sent, self.sent - buffered, credit, self.senders.waiting)


class PipeSink(Sink[T]):
    """The sending end of a `pipe`; see `Sink`."""

    __slots__ = ("_pipe",)

    def __init__(self, shared: PipeState[T]) -> None:
        self._pipe = shared

    async def send(self, item: T) -> None:
        shared = self._pipe
        buffer = shared.buffer
        if shared.owner != get_ident():
            shared.check_owner()
        if len(buffer) + shared.senders.reserved >= shared.size:
            await shared.senders.wait(shared.wake_senders)
            if shared.outcome is not None:
                raise shared.refusal()
        buffer.append(item)
        shared.sent += 1
        if shared.consumer is not None:
            shared.wake_consumer()

    def send_nowait(self, item: T) -> None:
        shared = self._pipe
        if shared.owner != get_ident():
            shared.check_owner()
        if len(shared.buffer) + shared.senders.reserved >= shared.size:
            raise WouldBlock(f"the buffer holds {shared.size} items that are not consumed; use `await send()` to wait")
        shared.buffer.append(item)
        shared.sent += 1
        if shared.consumer is not None:
            shared.wake_consumer()

    async def send_many(self, items: Iterable[T]) -> None:
        shared = self._pipe
        buffer = shared.buffer
        shared.check_home()
        for item in items:
            if shared.outcome is not None:
                raise shared.refusal()
            if len(buffer) + shared.senders.reserved >= shared.size:
                await shared.senders.wait(shared.wake_senders)
                if shared.outcome is not None:
                    raise shared.refusal()
            buffer.append(item)
            shared.sent += 1
            if shared.consumer is not None:
                shared.wake_consumer()

    async def feed(self, items: AsyncIterable[T] | Iterable[T]) -> None:
        """Send all `items`, pulling the next one only when there is room for it, and close the iterator at the end.

        Only for the only sender of this pipe. It raises the errors of `send` and those of the iterator, and leaves the pipe
        open. Cancelling it closes the iterator.
        """
        if not isinstance(items, AsyncIterable):
            await self.send_many(items)
            return
        shared = self._pipe
        shared.check_home()
        buffer = shared.buffer
        feeding.set(self)
        iterator: AsyncIterator[Any] = aiter(items)
        try:
            await shared.space()
            async for item in iterator:
                if shared.outcome is not None:
                    raise shared.refusal()
                buffer.append(item)
                shared.sent += 1
                if shared.consumer is not None:
                    shared.wake_consumer()
                del item  # the next one may be long in coming
                if len(buffer) >= shared.size:
                    await shared.space()
        finally:
            await close_iterator(iterator)
            if items is not iterator:
                await close_iterator(items)

    def close(self) -> None:
        self._pipe.finish("ended", EndOfStream())

    async def aclose(self) -> None:
        self.close()
        if self._pipe.state == "cancelled":
            raise self._pipe.refusal()

    def fail(self, error: Exception) -> None:
        self._pipe.finish("failed", as_failure(error))

    def statistics(self) -> Statistics:
        return self._pipe.statistics()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._pipe.senders.watch(on_change)

    def _on_consumer_left(self, callback: Callable[[], None] | None) -> None:
        self._pipe.on_consumer_left = callback
        if callback is not None and self._pipe.state == "cancelled":
            callback()

    def __del__(self) -> None:
        shared = self._pipe
        if shared.state == "open":
            dropped = Aborted("the sink of this stream was dropped without close() or fail()")
            finalize_on(shared.loop, lambda: shared.end("failed", dropped))

    def __repr__(self) -> str:
        return f"<Sink {describe(self.statistics())}>"


class PipeSource(Source[T]):
    """The receiving end of a `pipe`; see `Source`."""

    __slots__ = ("_pipe",)

    def __init__(self, shared: PipeState[T]) -> None:
        self._pipe = shared

    def _iterate(self, in_loop: InLoop[Any]) -> AsyncGenerator[T, None]:
        return _iterate(self, in_loop) if self._pipe.limit is None else super()._iterate(in_loop)

    def _take(self, max_items: int) -> list[T]:
        shared = self._pipe
        buffer = shared.buffer
        if shared.home != get_ident():
            shared.check_home()
        if buffer:
            taken = [buffer.popleft() for _ in range(min(max_items, len(buffer)))]
            if shared.limit is not None:
                shared.allow(shared.limit)
            elif shared.senders.line:
                shared.wake_senders()
            return taken
        if shared.outcome is not None:
            raise reraisable(shared.outcome, shared.origin)
        if shared.limit is not None:
            shared.let_go()
        return []

    async def _readable(self) -> None:
        shared = self._pipe
        if shared.consumer is not None:
            raise Busy(SECOND_RECEIVER)
        if shared.limit is not None:
            shared.let_go()
        shared.consumer_loop = asyncio.get_running_loop()
        shared.consumer = waiter = shared.consumer_loop.create_future()
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
        self._pipe.senders.watch(on_change)

    def _follow(self) -> Demand | None:
        shared = self._pipe
        before = shared.sent - len(shared.buffer)
        return lambda limit, _consumed: shared.allow(before + limit)

    def __del__(self) -> None:
        finalize_on(self._pipe.loop, self._pipe.leave)

    def __repr__(self) -> str:
        return f"<Source {describe(self.statistics())}>"


async def _iterate(source: PipeSource[T], in_loop: InLoop[Any]) -> AsyncGenerator[T, None]:
    """Iterate as `Source._iterate` does, without a call for each item."""
    shared = source._pipe
    shared.check_home()
    buffer, line, take = shared.buffer, shared.senders.line, shared.buffer.popleft
    item: Any = None
    with in_loop:
        yield READY
        while True:
            while buffer:
                item = take()
                if line:
                    shared.wake_senders()
                yield item
            if shared.outcome is not None:
                raise reraisable(shared.outcome, shared.origin)
            item = None  # what was handed out belongs to the consumer alone
            await source._readable()


def describe(now: Statistics) -> str:
    """Return the figures of a stream in one line, for a `repr`."""
    return f"{now.state}, {now.buffered} of {now.buffer_size} buffered, {now.sent} sent, {now.received} received"
