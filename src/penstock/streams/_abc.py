"""The two ends of a stream, wherever the other end lives. This module never stores an item.

A stream carries items from a `Sink` to a `Source`. Four things can happen to it, and they are never confused:

========== ======================================= =====================================================
it         because                                 the other end sees
========== ======================================= =====================================================
ends       ``sink.close()``                        the loop ends, after what is buffered
fails      ``sink.fail(error)``                    `error`, after what is buffered
cancelled  the consumer left: ``source.aclose()``  `StreamCancelled` in ``send``
lost       the connection went away                `ConnectionLost` at both ends
========== ======================================= =====================================================

All decisions are taken without waiting (`_take`, `send_nowait`); the coroutines only wait and try again.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar

from penstock.errors import Aborted, Busy, Cancelled, ChannelClosed, EndOfStream, StatusError, StreamClosed, WouldBlock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

StreamState = Literal["open", "ended", "failed", "cancelled", "lost"]


class Statistics(NamedTuple):
    """How a stream stands, seen from one end; `repr` it, or draw it.

    state: open, ended, failed, cancelled or lost; it says how the sink's side stands, `buffered` items may still wait.
    buffer_size: how many items the producer may be ahead of the consumer.
    buffered: items that are here and not yet consumed.
    sent: items the sink took. At a remote source: the items that arrived.
    received: items the consumer took. At a remote sink: as far as the consumer has told.
    credit: items that may be sent before the sink has to wait.
    waiting_senders: tasks that wait in ``send``.
    dropped: items that an overflow policy of a port let go of; zero everywhere else.
    """

    state: StreamState
    buffer_size: int
    buffered: int
    sent: int
    received: int
    credit: int
    waiting_senders: int
    dropped: int = 0


def as_failure(error: Exception) -> Exception:
    """Return `error` as it ends a stream: a producer that tripped over the end of *another* stream has not ended its own."""
    if not isinstance(error, EndOfStream):
        return error
    failure = Aborted("the producer stopped because another stream, which it reads, had ended")
    failure.__cause__ = error
    return failure


def raised(outcome: Exception, origin: TracebackType | None) -> Exception:
    """Return what to raise for an outcome that is kept: a twin, or itself with the traceback it came with.

    An outcome raised again and again would hold the frames of each time, and with them the stream that holds the outcome.
    """
    if isinstance(outcome, StatusError):
        return outcome.fresh_copy()
    if isinstance(outcome, ChannelClosed | EndOfStream | StreamClosed):
        return type(outcome)(*outcome.args)
    return outcome.with_traceback(origin)


def mark_retrieved(future: asyncio.Future[Any]) -> None:
    """Mark the exception of a future as retrieved: its waiter has left by another way, and that is not an error."""
    if future.done() and not future.cancelled():
        future.exception()


def forgotten(loop: asyncio.AbstractEventLoop | None, action: Callable[[], None]) -> None:
    """Do what follows from an end that everybody has forgotten, on its loop: the collector may notice it in any thread."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if loop is None or running is loop:
        action()
    elif loop.is_running():
        loop.call_soon_threadsafe(action)
    elif not loop.is_closed():
        action()


async def close_iterator(items: object) -> None:
    """Close what was iterated over, if it can be closed."""
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


class Source(ABC, Generic[T_co]):
    """The receiving end of a stream: ``async for item in source``.

    One task at a time may receive; a second one gets `Busy`. Leaving a loop over a `Source` keeps it open, and a second
    loop goes on where the first one stopped; `aclose`, ``async with`` and forgetting the object cancel the stream.
    """

    __slots__ = ()

    async def receive(self) -> T_co:
        """Return the next item.

        Raises `EndOfStream` at the normal end, or what the stream failed with. Cancelling it loses no item.
        """
        while not (taken := self._take(1)):
            await self._readable()
        return taken[0]

    def receive_nowait(self) -> T_co:
        """Return the next item, or raise `WouldBlock` when none is here; else as `receive`."""
        taken = self._take(1)
        if not taken:
            raise WouldBlock("no item is here; use `await receive()` to wait for one")
        return taken[0]

    async def batches(self, max_items: int = 256) -> AsyncGenerator[list[T_co], None]:
        """Iterate over lists of 1 to `max_items` items: whatever is there, without waiting for more.

        Ends and raises as the loop over single items does. Cancelling it loses no item.
        """
        if max_items < 1:
            raise ValueError(f"max_items is {max_items}; a batch holds at least one item")
        with InLoop(self):
            while True:
                while not (taken := self._take(max_items)):
                    await self._readable()
                yield taken

    def _left_loop(self) -> None:
        """The consumer left a loop over this source, by its end or in the middle."""

    async def __aiter__(self) -> AsyncIterator[T_co]:
        """Iterate over the items until the end; what the stream failed with is raised. Cancelling it loses no item."""
        with InLoop(self):
            while True:
                while not (taken := self._take(1)):
                    await self._readable()
                yield taken[0]

    async def __anext__(self) -> T_co:
        try:
            return await self.receive()
        except EndOfStream:
            raise StopAsyncIteration from None

    @abstractmethod
    async def aclose(self) -> None:
        """Cancel the stream: what is buffered is dropped and the sink's side sees `StreamCancelled`. Idempotent."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return how the stream stands now."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @abstractmethod
    def _take(self, max_items: int) -> list[T_co]:
        """Return up to `max_items` items, none when none is here; at the end raise `EndOfStream` or the failure."""

    @abstractmethod
    async def _readable(self) -> None:
        """Wait until `_take` has something to say. Raises `Busy` when another task waits already."""

    @abstractmethod
    def _watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change` with True when the producer has to wait and with False when it can go on."""


class InLoop:
    """Around a loop over a source: the end of the stream is its end, and leaving it in any way is told to the source.

    Who was refused as a second reader has not left, for it never had the source.
    """

    __slots__ = ("_source",)

    def __init__(self, source: Source[object]) -> None:
        self._source = source

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Busy):
            self._source._left_loop()
        return isinstance(error, EndOfStream)


class Sink(ABC, Generic[T_contra]):
    """The sending end of a stream: ``await sink.send(item)``. Many tasks may send at the same time."""

    __slots__ = ()

    @abstractmethod
    async def send(self, item: T_contra) -> None:
        """Send one item; waits while `buffer_size` items are not yet consumed.

        Raises `StreamCancelled` when the consumer left, `ConnectionLost` when the connection did, `StreamClosed` after your
        own `close` or `fail`. A cancelled `send` never delivers its item.
        """

    @abstractmethod
    def send_nowait(self, item: T_contra) -> None:
        """Send one item, or raise `WouldBlock` when the buffer is full; else as `send`."""

    @abstractmethod
    async def send_many(self, items: Iterable[T_contra]) -> None:
        """Send all `items` in order under the same bound as `send`, with fewer switches.

        Cancelling it stops before an item that had to wait: that one was taken from `items` and is not delivered, all before
        it are, and ``statistics().sent`` tells how many.
        """

    @abstractmethod
    def close(self) -> None:
        """End the stream normally, after what is buffered. Idempotent. Tasks that wait in `send` get `StreamClosed`."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End the stream with `error`, which the consumer gets after what is buffered. After `close` it does nothing."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return how the stream stands now."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.fail(error)
        elif error is not None:
            self.fail(Cancelled(f"the producer was stopped by {type(error).__name__} before the end of the stream"))
        else:
            self.close()

    @abstractmethod
    def _watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change` with True when a sender has to wait and with False when it can go on."""

    def _when_left(self, tell: Callable[[], None] | None) -> None:
        """Call `tell` when the consumer has left, if this kind of sink hears of it before it sends again; None: no more."""
