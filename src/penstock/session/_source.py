"""`RemoteSource`: the receiving end of a stream across a connection. It decodes a batch when the consumer reaches it.

An item counts as consumed when the consumer takes it, but no work is done for each item: a C iterator hands out a chunk of at
most half a window, and the chunk is counted just before its last item. Credit is never late or early by more than one chunk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from operator import length_hint
from threading import get_ident
from types import TracebackType
from typing import Any, Final, TypeVar

from penstock._outcomes import text_of
from penstock._values import objects_bytes
from penstock.codec import MSGPACK, UNDECODABLE, Decode, MarkedBatch
from penstock.errors import (
    Busy,
    Cancelled,
    ConnectionLost,
    DataLoss,
    EndOfStream,
    IdleTimeout,
    ResourceExhausted,
    StatusError,
    StreamClosed,
)
from penstock.protocol import Cancel, ReceiveHalf, WireStream
from penstock.session._endpoint import Carrier
from penstock.streams import (
    READY,
    SECOND_RECEIVER,
    SOURCE_CLOSED,
    Dropped,
    InLoop,
    Pressure,
    Source,
    Statistics,
    StreamState,
    check_thread,
    reraisable,
)

T = TypeVar("T")

#: Bytes that a consumer may take before other tasks get a turn: about a third of a millisecond of work.
BURST_BYTES: Final = 512 * 1024
#: To decode and hand out one item costs as much as to copy this many bytes.
ITEM_COST_BYTES: Final = 400
#: Seconds that an idle stream gets for data that has arrived and was not read yet: one turn of any event loop.
LAST_LOOK_S: Final = 0.001
#: Objects of one batch that are not charged: 16,000 streams whose handlers stall hold 256 MiB of them.
UNCHARGED_OBJECTS_BYTES: Final = 16 * 1024
_NOTHING: Final[Any] = object()


class RemoteSource(Source[T]):
    """A `Source` whose sender is at the other side.

    target: the name of the stream in error messages.
    outcome: how the stream ended, None while it is open; buffered items may still be read.
    idle_timeout_s: the longest wait for an item in seconds, after which the stream fails with `IdleTimeout`; None for no limit.
    bad_item: the class of the error for an item that cannot be decoded.
    told: whether the consumer has got the outcome, or has left.
    waiter: the future of the task that waits for an item.
    """

    __slots__ = (
        "__weakref__",
        "_bad",
        "_burst",
        "_chunk",
        "_count",
        "_decode",
        "_dropped",
        "_half",
        "_last",
        "_objects_bytes",
        "_origin",
        "_pending",
        "_pending_bytes",
        "_pressure",
        "_rest",
        "bad_item",
        "idle_timeout_s",
        "outcome",
        "session",
        "target",
        "told",
        "waiter",
        "wire",
    )

    def __init__(self, session: Carrier, target: str, half: ReceiveHalf, decode: Decode) -> None:
        self.session = session
        self.target = target
        self.wire: WireStream | None = None
        self.idle_timeout_s: float | None = None
        self.outcome: Exception | None = None
        self.bad_item: type[StatusError] = DataLoss
        self.told = False
        self.waiter: asyncio.Future[None] | None = None
        self._half = half
        #: Counts items as consumed, in the place of the session; None for the session.
        self._count: Callable[[WireStream, int, int], bool] | None = None
        self._decode = decode
        self._origin: TracebackType | None = None
        self._bad: StatusError | None = None
        self._burst = 0
        self._dropped = 0
        self._pressure: Pressure | None = None
        self._chunk: Iterator[T] = iter(())  # the items being handed out, without the last one
        self._last: Any = _NOTHING
        self._rest: list[T] = []  # decoded items of the same batch, after the chunk
        self._pending = 0  # items of the chunk, to be counted as consumed before its last one leaves
        self._pending_bytes = 0  # bytes of the batch, to be counted with its last chunk
        self._objects_bytes = 0  # the charge for what it has become

    # ── for the consumer ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _iterate(self, in_loop: InLoop[Any]) -> AsyncGenerator[T, None]:
        """Iterate as `Source._iterate`, in chunks. This is the hot loop of a consumer: no call for each item."""
        item: Any = None
        with in_loop:
            yield READY
            while True:
                for item in self._chunk:
                    yield item
                if self._last is not _NOTHING:
                    yield self._take_last()
                elif not self._refill():
                    if self.outcome is not None:
                        raise _told(self, self.outcome)
                    item = None  # what was handed out belongs to the consumer alone
                    await self._readable()
                elif self._burst >= BURST_BYTES:  # give other tasks a turn before the rest of a full window
                    self._burst = 0
                    await asyncio.sleep(0)

    def _take(self, max_items: int) -> list[T]:
        if self.session.thread != get_ident():
            check_thread(self.session.thread, self)
        taken: list[T] = []
        while len(taken) < max_items:
            for item in self._chunk:
                taken.append(item)
                if len(taken) == max_items:
                    return taken
            if self._last is not _NOTHING:
                taken.append(self._take_last())
            elif not self._refill():
                break
        if not taken and self.outcome is not None:
            raise _told(self, self.outcome)
        return taken

    def _readable(self) -> Awaitable[None]:
        if self.session.thread != get_ident():
            check_thread(self.session.thread, self)
        if self.waiter is not None and not self.waiter.done():
            raise Busy(SECOND_RECEIVER)
        self._burst = 0
        self.waiter = waiter = self.session.loop.create_future()
        return waiter if self.idle_timeout_s is None else _idle_at_most(self, waiter, self.idle_timeout_s)

    async def aclose(self) -> None:
        self.discard(StreamClosed(SOURCE_CLOSED))
        if self.wire is not None and not self.wire.over:
            self.session._connection.stop(self.wire, Cancel(message="the handler has closed its stream of requests"))
            self.session.flush_soon()

    def statistics(self) -> Statistics:
        half = self._half
        received = half.grant.consumed_items + self._pending - self._unread()
        window = half.grant.window_items
        credit = max(half.grant.items - half.arrived, 0)
        return Statistics(self.state, window, half.arrived - received, half.arrived, received, credit, 0, self._dropped)

    @property
    def state(self) -> StreamState:
        """The state of the stream, as in `Statistics`."""
        outcome = self.outcome
        if outcome is None:
            return "open"
        return state_of(outcome)

    # ── for the endpoint ──────────────────────────────────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """Wake the waiting consumer: items, or the end, have arrived."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)
                if self._half.queue:
                    self._half.grant.waited_for(self._half.queue[0].first)
        if self._pressure is not None:
            self._pressure.set(self._half.arrived >= self._half.grant.items and self.outcome is None)

    def finish(self, outcome: Exception) -> None:
        """End the stream: the consumer gets `outcome` after the buffered items. Later calls change nothing."""
        if self.outcome is None:
            self._conclude(outcome)
            self.wake()

    def _conclude(self, outcome: Exception) -> None:
        self.outcome = outcome
        self._origin = (
            outcome.__traceback__
        )  # each raise starts from here, so that the traceback does not grow with every `receive`

    def discard(self, outcome: Exception) -> None:
        """Drop the buffered items, and end the stream with `outcome`: the consumer has left. Raises `WrongThread`."""
        check_thread(self.session.thread, self)
        self.told = True
        dropped = bool(self._half.queue or self._unread() or self._rest)
        if self.outcome is None or (dropped and isinstance(self.outcome, EndOfStream)):  # an error stays
            self._conclude(outcome)
        self._half.grant.consumed_items += self._pending - self._unread()
        deque(self._chunk, maxlen=0)  # exhaust it: a loop may be iterating over it
        self._chunk, self._last, self._rest, self._pending, self._pending_bytes = iter(()), _NOTHING, [], 0, 0
        if self.wire is not None:
            self.session._connection.discard(self.wire)
        self.wake()

    def _on_idle(self, waiter: asyncio.Future[None]) -> None:
        """Fail the stream after one more look: an item may have been read in this turn, or may lie unread after a stall."""
        self.session.loop.call_later(LAST_LOOK_S, self._fail_if_idle, waiter)

    def _fail_if_idle(self, waiter: asyncio.Future[None]) -> None:
        if self.waiter is waiter and not waiter.done():
            self.fail_locally(IdleTimeout(f"{self.target}: no item for {self.idle_timeout_s:g} s"))

    def fail_locally(self, error: StatusError) -> None:
        """End the stream because of an error on this side. A subclass that owns the call also cancels it at the peer."""
        self.finish(error)

    # ── batches ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_last(self) -> T:
        """Count the whole chunk as consumed, and return its last item."""
        item: T = self._last
        self._last = _NOTHING
        items, self._pending = self._pending, 0
        size = 0
        if not self._rest:
            size, self._pending_bytes = self._pending_bytes, 0
        if self.wire is not None and (self._count or self.session._connection.consume)(self.wire, items, size):
            self.session.flush_soon()
            if self._pressure is not None:
                self._pressure.set(False)
        return item

    def _refill(self) -> bool:
        """Make the next chunk from the rest of the batch or from the next batch; return False when no item is buffered."""
        items = self._rest
        if not items:
            if self._bad is not None:
                self._fail_at_bad_item(self._bad)
                return False
            if not self._half.queue:
                return False
            items = self._next_batch()
            if not items:  # the first item of the batch cannot be decoded
                return self._refill()
        step = self._half.grant.until_due() if len(items) > 1 else 1
        self._rest = items[step:]
        if self._rest:
            items = items[:step]
        self._pending = len(items)
        self._last = items.pop()
        self._chunk = iter(items)
        return True

    def _fail_at_bad_item(self, error: StatusError) -> None:
        """Fail the stream at an item that cannot be decoded, even if another outcome has arrived behind it."""
        self._bad = None
        if self.outcome is None:
            self.fail_locally(error)
        else:
            self._conclude(error)

    def _next_batch(self) -> list[T]:
        """Decode the next batch. At an item that cannot be decoded, return those before it and keep the error."""
        arrived = self._half.queue.pop(0)
        first, count, payload = arrived.first, arrived.items, arrived.payload
        self._pending_bytes = arrived.size
        self._burst += count * ITEM_COST_BYTES + arrived.size
        if arrived.is_single_bytes:
            if self._decode.of_bytes is not None:
                return [self._decode.of_bytes(payload)]
            payload = arrived.encoded()
        if self._decode.grows and not _charge_objects(self, payload):
            return _dropped_batch(self)
        try:
            items = self._decode.batch(payload)
            if len(items) == count:
                if type(items) is MarkedBatch:
                    self._dropped += _dropped_in(items)
                return items
            raise ValueError(f"{len(items)} items in a batch of {count}")
        except UNDECODABLE as error:
            items, why = self._decode.one_by_one(payload)
            self._bad = self.bad_item(
                f"{self.target}: item {first + len(items)} does not fit its type: {text_of(why or error)}"
            )
            _dropped_batch(self)
            self._dropped += _dropped_in(items)
            return items[:count]

    def _unread(self) -> int:
        """Return the number of items of the chunk that were not handed out."""
        return length_hint(self._chunk) + (self._last is not _NOTHING)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        if self._pressure is None:
            self._pressure = Pressure()
        self._pressure.watch(on_change)

    def __repr__(self) -> str:
        now = self.statistics()
        name = type(self).__name__.removeprefix("Remote")
        return f"<{name} {self.target} {now.state}, {now.buffered} of {now.buffer_size} buffered, {now.received} received>"


async def _idle_at_most(source: RemoteSource[Any], waiter: asyncio.Future[None], seconds: float) -> None:
    """Wait for an item, and look at the stream again when the time has passed without one."""
    timer = source.session.loop.call_later(seconds, source._on_idle, waiter)
    try:
        await waiter
    finally:
        timer.cancel()


def _charge_objects(source: RemoteSource[Any], payload: bytes | bytearray) -> bool:
    """Charge what a batch for a handler can become, until its next batch or the end of its call; False when it does not fit.

    A handler may stall in the middle of a batch, and a byte can become an object of 72 bytes.
    """
    wire, connection = source.wire, source.session._connection
    if wire is None or not wire.handled or source._count is not None:
        return True
    weight = objects_bytes(payload, len(payload), json=wire.opened.codec != MSGPACK.number)
    more = max((weight if weight > UNCHARGED_OBJECTS_BYTES else 0) - source._objects_bytes, -wire.held_bytes)
    if more > 0 and not connection.budget.fits(more):
        source._bad = ResourceExhausted(connection.budget.refusal(more, f"{source.target}: the objects of items"))
        return False
    connection.hold(wire, more)
    source._objects_bytes += more
    return True


def _dropped_batch(source: RemoteSource[Any]) -> list[Any]:
    """Drop the batch that was taken, and those behind it; return no items."""
    if source.wire is not None:
        source.session._connection.discard(source.wire)
    source._pending_bytes = 0  # `discard` has counted the batch
    return []


def _told(source: RemoteSource[Any], outcome: Exception) -> Exception:
    """Return a copy of the outcome of a source to raise, and note that the consumer has it."""
    source.told = True
    error = reraisable(outcome, source._origin)
    if isinstance(error, ConnectionLost):
        error.offset = source.statistics().received
    return error


def _dropped_in(items: list[Any]) -> int:
    """Return the number of items for which the `Dropped` marks of a batch stand."""
    return sum(item.count for item in items if type(item) is Dropped)


def state_of(outcome: Exception) -> StreamState:
    """Return the state of a stream that has ended with `outcome`."""
    if isinstance(outcome, EndOfStream):
        return "ended"
    if isinstance(outcome, ConnectionLost):
        return "lost"
    if isinstance(outcome, Cancelled | StreamClosed):
        return "cancelled"
    return "failed"
