"""The two ends of a stream, and its four outcomes; the other end may live in this process or in another one.

A stream carries items from a `Sink` to a `Source`. Four things can happen to it, and they are never confused:

========== ======================================= =====================================================
outcome    cause                                   what the other end sees
========== ======================================= =====================================================
ends       ``sink.close()``                        the loop ends, after the buffered items
fails      ``sink.fail(error)``                    `error`, after the buffered items
cancelled  the consumer left: ``source.aclose()``  `StreamCancelled` in ``send``
lost       the connection went away                `ConnectionLost` at both ends
========== ======================================= =====================================================

All decisions are made without waiting (`_take`, `send_nowait`); the coroutines only wait and try again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Literal, NamedTuple, Self, TypeVar

from penstock._outcomes import as_failure
from penstock.errors import (
    ChannelClosed,
    EndOfStream,
    StatusError,
    StreamClosed,
    WouldBlock,
)
from penstock.streams._iteration import READY, InLoop, Iteration

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)

#: The message of `Busy`, when a second task receives.
SECOND_RECEIVER: Final = "another task is receiving from this source; a stream has one receiver"
#: The message of `StreamClosed`, when the consumer itself has closed its source.
SOURCE_CLOSED: Final = "this source was closed; nothing more can be received"

StreamState = Literal["open", "ended", "failed", "cancelled", "lost"]


class Statistics(NamedTuple):
    """The figures of a stream, as one of its ends sees them.

    state: open, ended, failed, cancelled or lost. It is the state of the sink: after the end, `buffered` items may still wait.
    buffer_size: how many items the producer may be ahead of the consumer.
    buffered: items on this side that are not yet consumed.
    sent: items that the sink accepted. At a remote source: items that arrived.
    received: items that the consumer took. At a remote sink: as far as the consumer has reported.
    credit: items that may be sent before the sink has to wait.
    waiting_senders: tasks that wait in ``send``.
    dropped: items that the overflow policy of a port dropped, at a remote source as far as it has read them; else zero.
    """

    state: StreamState
    buffer_size: int
    buffered: int
    sent: int
    received: int
    credit: int
    waiting_senders: int
    dropped: int = 0


def reraisable(outcome: Exception, origin: TracebackType | None) -> Exception:
    """Return an exception to raise for a stored outcome: a fresh copy, or the outcome itself with the traceback `origin`.

    An outcome that is raised many times would collect the frames of each time, and with them the stream that stores it.
    """
    if isinstance(outcome, StatusError):
        return outcome.fresh_copy()
    if isinstance(outcome, ChannelClosed | EndOfStream | StreamClosed):
        return type(outcome)(*outcome.args)
    return outcome.with_traceback(origin)


async def close_iterator(items: object) -> None:
    """Await ``items.aclose()``, if there is such a method. Raises what it raises.

    A `Sink` that can be iterated over, as a retained stream, stays open: its end is for its writer.
    """
    close = getattr(items, "aclose", None)
    if close is not None and not isinstance(items, Sink):
        await close()


#: The demand of a reader that passes items on: how many items it may have got in all, and how many its own reader has consumed.
#: Both numbers only grow. The producer is then no further ahead of the last reader than that reader allows.
Demand = Callable[[int, int], None]


class Paced:
    """Two steps that keep the producer of a source to the demand of a reader that passes items on. They do nothing here."""

    __slots__ = ()

    def _keep_ahead(self, items: int | None) -> None:
        """Let a producer of the program's own be `items` ahead of its reader: 0 until it has one, None for its own buffer."""

    def _follow(self) -> Demand | None:
        """Return the function by which a reader that passes items on gives its own demand; None where there is none."""
        return None


class Source(Paced, ABC, Generic[T_co]):
    """The receiving end of a stream: ``async for item in source``.

    One task at a time may receive; a second one gets `Busy`. Leaving a loop over a `Source` keeps it open, and a second
    loop continues where the first one stopped. `aclose`, leaving an ``async with`` block, and dropping the last reference to
    the object all cancel the stream. Each use in another thread than that of its event loop raises `WrongThread`.
    """

    __slots__ = ()

    async def receive(self) -> T_co:
        """Return the next item; wait for it when none is buffered.

        Raises `EndOfStream` at the normal end, the error with which the stream failed, `ConnectionLost` when the connection was
        lost, `StreamClosed` after your own `aclose`, and `Busy` while another task is receiving. A cancelled `receive` takes
        no item: the next one returns it.
        """
        while not (taken := self._take(1)):
            await self._readable()
        return taken[0]

    def receive_nowait(self) -> T_co:
        """Return the next item, or raise `WouldBlock` when none is buffered. Other errors are those of `receive`."""
        taken = self._take(1)
        if not taken:
            raise WouldBlock("no item is here; use `await receive()` to wait for one")
        return taken[0]

    def batches(self, max_items: int = 256) -> Iteration[list[T_co]]:
        """Iterate over lists of 1 to `max_items` items: those that are buffered, at least one, without waiting for more.

        It ends and raises as the loop over single items does. Cancelling it loses no item. Raises `ValueError` when `max_items`
        is below 1.
        """
        if max_items < 1:
            raise ValueError(f"max_items is {max_items}; a batch holds at least one item")
        return Iteration(partial(self._batches, max_items), self._on_loop_left)

    def __aiter__(self) -> Iteration[T_co]:
        """Iterate over the items until the end. Raises the error with which the stream failed. Cancelling it loses no item.

        So does a time-out of one ``anext``: the next ``anext`` of the same iterator returns the item.
        """
        return Iteration(self._iterate, self._on_loop_left)

    async def _iterate(self, in_loop: InLoop[Any]) -> AsyncGenerator[T_co, None]:
        """Yield the items, inside ``with in_loop:``. A class may have a faster way than this one."""
        with in_loop:
            yield READY
            while True:
                while not (taken := self._take(1)):
                    await self._readable()
                yield taken[0]

    async def _batches(self, max_items: int, in_loop: InLoop[Any]) -> AsyncGenerator[list[T_co], None]:
        with in_loop:
            yield READY
            while True:
                while not (taken := self._take(max_items)):
                    await self._readable()
                yield taken

    def _on_loop_left(self) -> None:
        """React to the end of a loop over this source, at the end of the stream or before it. By default: keep it open."""

    async def __anext__(self) -> T_co:
        try:
            return await self.receive()
        except EndOfStream:
            raise StopAsyncIteration from None

    @abstractmethod
    async def aclose(self) -> None:
        """Cancel the stream: buffered items are dropped, and the sink sees `StreamCancelled`. Idempotent.

        After it, receiving raises `StreamClosed`, or `EndOfStream` when the end was already reached.
        """

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return the current figures of the stream; see `Statistics`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @abstractmethod
    def _take(self, max_items: int) -> list[T_co]:
        """Return up to `max_items` buffered items, or an empty list. At the end it raises `EndOfStream` or the failure."""

    @abstractmethod
    def _readable(self) -> Awaitable[None]:
        """Wait until `_take` may return an item or raise the outcome. Raises `Busy` when another task waits already."""

    @abstractmethod
    def _watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change` with True when the producer has to wait, and with False when it can continue."""


class KeptEncoded(AsyncIterable[T_co]):
    """Items that are kept as they travel, in msgpack: a stream across a connection passes them on as they are."""

    __slots__ = ()

    @abstractmethod
    def _encoded(self) -> Source[Any]:
        """Return a source of the items, each of them a `msgspec.Raw`."""


class Sink(ABC, Generic[T_contra]):
    """The sending end of a stream: ``await sink.send(item)``. Many tasks may send at the same time.

    Call `aclose`, `close` or `fail` at the end. An ``async with`` block does it: leaving it normally is `aclose`; an exception
    fails the stream with itself, a cancellation with `Cancelled`, and anything else that stops the producer with `Aborted`.
    Each use in another thread than that of its event loop raises `WrongThread`.
    """

    __slots__ = ()

    @abstractmethod
    async def send(self, item: T_contra) -> None:
        """Send one item; wait while `buffer_size` items are not yet consumed.

        Tasks that wait are served in the order in which they came. Raises `StreamCancelled` when the consumer left,
        `ConnectionLost` when the connection was lost, and `StreamClosed` after your own `close` or `fail`. A cancelled `send`
        never delivers its item.
        """

    @abstractmethod
    def send_nowait(self, item: T_contra) -> None:
        """Send one item, or raise `WouldBlock` when it would have to wait. Other errors are those of `send`."""

    @abstractmethod
    async def send_many(self, items: Iterable[T_contra]) -> None:
        """Send all `items` in order under the same bound as `send`, with fewer switches.

        Cancelling it stops at an item that has to wait. That item was taken from `items` and is not delivered; all items before
        it are, and ``statistics().sent`` is their number.
        """

    @abstractmethod
    def close(self) -> None:
        """End the stream normally, after the buffered items. Idempotent. Tasks that wait in `send` get `StreamClosed`."""

    async def aclose(self) -> None:
        """End the stream normally, as `close` does, and return when everything that was sent has arrived at the other end.

        Arrived means: in the buffer of the consumer, in its process. The sink of a call (`Call.sink`) waits for the write only,
        because the outcome of the call says the rest; a port does not wait for its subscribers elsewhere. Raises
        `StreamCancelled` when the consumer left before the end, and `ConnectionLost` or another error when the items may not
        have arrived. Idempotent; after `fail` it only waits. Cancelling it leaves the stream ended, and its items on their way.
        """
        self.close()

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End the stream with `error`, which the consumer gets after the buffered items. After `close` it does nothing.

        Tasks that wait in `send` get `StreamClosed`. In another process the consumer gets a `StatusError`.
        """

    @abstractmethod
    def statistics(self) -> Statistics:
        """Return the current figures of the stream; see `Statistics`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.aclose()
        else:
            self.fail(as_failure(error))

    @abstractmethod
    def _watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change` with True when a sender has to wait, and with False when all senders can continue."""

    def _on_consumer_left(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` when the consumer leaves; None removes it. By default a sink learns of it at the next `send`."""
