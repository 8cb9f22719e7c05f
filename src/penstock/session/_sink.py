"""`RemoteSink`: the sending end of a stream across a connection. It never encodes an item before there is room for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from threading import get_ident
from typing import Any, Final, TypeVar

from penstock._outcomes import as_failure, sole_error, text_of
from penstock.codec import UNENCODABLE, Codec, refuse_value
from penstock.errors import InvalidArgument, StatusError, StreamClosed, WouldBlock
from penstock.protocol import BATCH_BYTES, SINGLE_BYTES_MIN, SendHalf, WireStream
from penstock.session._endpoint import Carrier
from penstock.session._source import state_of
from penstock.session._status import status_of
from penstock.streams import Demand, Sink, Source, Statistics, Waiters, check_thread, close_iterator, feeding, reraisable

T = TypeVar("T")

#: Large `bytes` items are written when this many bytes are queued: as many as one write takes.
LARGE_TURN_BYTES: Final = 4 * BATCH_BYTES


class RemoteSink(Sink[T]):
    """A `Sink` whose consumer is at the other side. The peer's credit is its bound: `buffer_size` unconsumed items.

    outcome: how the stream ended, None while it is open.
    drops: whether items that are fed after the end are dropped without a word; None for no, without a question.
    """

    __slots__ = ("_demand", "_encode_into", "_half", "_owes_turn", "_waiters", "drops", "outcome", "session", "wire")

    def __init__(self, session: Carrier, wire: WireStream, half: SendHalf, codec: Codec) -> None:
        self.session = session
        self.wire = wire
        self.outcome: Exception | None = None
        self._half = half
        self._owes_turn = False
        self.drops: Callable[[], bool] | None = None
        self._demand: Demand | None = None  # of the source that is fed into this sink
        self._encode_into = codec.encode_into
        self._waiters = Waiters()

    # ── for the producer ──────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, item: T, before: Callable[[], None] | None = None) -> None:
        """As `Sink.send`. `before` is called when the item had to wait, just before it is encoded: it may change the item."""
        if self._owes_turn:  # before the item is pushed, so that a cancelled send delivers nothing
            self._owes_turn = False
            await asyncio.sleep(0)
        waiters = self._waiters
        if waiters.line or waiters.reserved or not self._half.has_room():
            await self._wait_for_room()
            try:
                self._check()
                if before is not None:
                    before()
                self._push(item)
            finally:
                self.on_room()  # there may be room for the next task, also when this item cannot be encoded
        else:
            self._check()
            self._push(item)
        if self._half.count == 0:
            self.session.flush()
            self._owes_turn = True

    def send_nowait(self, item: T) -> None:
        self._check()
        waiters = self._waiters
        if waiters.line or waiters.reserved or not self._half.has_room():
            raise WouldBlock("the consumer has given no more credit; use `await send()` to wait")
        self._push(item)

    def try_send(self, item: T, *, write_now: bool = False) -> bool:
        """Send an item unless it has to wait for room or for a turn of the loop; return whether it was sent. Raises as `send`.

        With `write_now` the item is written at once, because a lone item would lose more by waiting for the next turn.
        """
        self._check()
        waiters = self._waiters
        if waiters.line or waiters.reserved or self._owes_turn or not self._half.has_room():
            return False
        if write_now and not self.wire.ready:
            self.session._connection.ready(self.wire)
        self._push(item)
        if self._half.count == 0:
            self._owes_turn = True
            write_now = True
        if write_now:
            self.session.flush()
        return True

    async def send_many(self, items: Iterable[T]) -> None:
        for item in items:
            await self.send(item)

    async def feed(self, items: AsyncIterable[T] | Iterable[T]) -> None:
        """Send all `items`, and close their iterator. The next item is pulled only when there is room for it.

        Raises the errors of the iterator and of `send`. Cancelling it closes the iterator, too.
        """
        if not isinstance(items, AsyncIterable):
            await self.send_many(items)
            return
        check_thread(self.session.thread, self)
        half, wire, encode_into, touch = self._half, self.wire, self._encode_into, self.session.touch
        feeding.set(self)
        if isinstance(items, Source):
            self._demand = items._follow()
            self.on_room()
        iterator: AsyncIterator[Any] = aiter(items)
        try:
            if self.outcome is not None or not half.has_room():
                await self._wait_for_room()
                self.on_room()
            async for item in iterator:
                large = type(item) is bytes and len(item) >= SINGLE_BYTES_MIN
                try:
                    has_room = self._push(item) if large else half.push(encode_into, item)
                except UNENCODABLE as error:
                    refuse_value(error, *_unfit(self.wire))
                if not wire.ready:
                    touch(wire)
                if half.count == 0 and (not large or half.pushed_bytes - half.sent_bytes >= LARGE_TURN_BYTES):
                    self.session.flush()  # a batch is full: write it, and give other tasks a turn
                    await asyncio.sleep(0)
                    has_room = half.has_room()
                del item  # the next one may be long in coming
                if self.outcome is not None or not has_room:
                    await self._wait_for_room()
                    self.on_room()
        finally:
            self._demand = None
            await close_iterator(iterator)
            if items is not iterator:  # closing an iterator over a pipe keeps the pipe open
                await close_iterator(items)

    def close(self) -> None:
        check_thread(self.session.thread, self)
        if self.outcome is None:
            self.finish(StreamClosed("this side has ended its direction; nothing more can be sent"))
            self.session._connection.end(self.wire)
            self.session.flush_soon()

    async def aclose(self) -> None:
        """As `close`, and wait until everything is written. The outcome of the call says whether it has arrived.

        The other side says no sooner what has arrived, and the call may end only after its responses are read. Raises
        `ConnectionLost`.
        """
        self.close()
        if self.wire.over:
            return
        await self.session.wait_written()
        if self.session.lost is not None:
            raise self.session.lost.fresh_copy()

    def fail(self, error: Exception) -> None:
        check_thread(self.session.thread, self)
        if self.outcome is None:
            self.finish(StreamClosed("this side has failed the stream; nothing more can be sent"))
            failure = sole_error(as_failure(error))
            status = failure if isinstance(failure, StatusError) else StatusError(text_of(failure))
            self.session._connection.fail(self.wire, status_of(status))
            self.session.flush_soon()

    def statistics(self) -> Statistics:
        half = self._half
        consumed = half.limit.consumed
        credit = max(half.limit.items - half.pushed, 0)
        state = "open" if self.outcome is None else state_of(self.outcome)
        window = half.limit.items - consumed
        return Statistics(state, window, half.pushed - consumed, half.pushed, consumed, credit, self._waiters.waiting)

    # ── for the endpoint ──────────────────────────────────────────────────────────────────────────────────────────────

    def on_room(self) -> None:
        """Wake the first waiting sender if there is room, and pass the demand of the peer on to the source that is fed."""
        if self._demand is not None:
            self._demand(self._half.limit.items, self._half.limit.consumed)
        waiters = self._waiters
        if not waiters.line or waiters.reserved:
            return
        if self._half.has_room():
            waiters.wake(1)
        elif self._half.is_stuffed():
            self.session.waiting_sinks[self] = None

    def finish(self, outcome: Exception) -> None:
        """End the stream for its senders: they get `outcome`. Later calls change nothing."""
        if self.outcome is None:
            self.outcome = outcome
            self._waiters.wake_all()

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check(self) -> None:
        """Raise the outcome of a stream that is over, and `WrongThread` in another thread."""
        if self.session.thread != get_ident():
            check_thread(self.session.thread, self)
        if self.outcome is not None:
            raise reraisable(self.outcome, None)

    def _push(self, item: Any) -> bool:
        """Encode an item into the sending half and have it written; return whether there is room for another one."""
        half = self._half
        try:
            if type(item) is bytes and len(item) >= SINGLE_BYTES_MIN and not half.layout.end:
                has_room = half.push_bytes(item)
            else:
                has_room = half.push(self._encode_into, item)
        except UNENCODABLE as error:
            refuse_value(error, *_unfit(self.wire))
        if not self.wire.ready:
            self.session.touch(self.wire)
        return has_room

    async def _wait_for_room(self) -> None:
        """Wait until one item may be pushed, first come, first served. Raises the outcome when the stream is over."""
        again = False
        while self.drops is None or not self.drops():
            self._check()
            if self._half.is_stuffed():
                self.session.waiting_sinks[self] = None
            await self._waiters.wait(self.on_room, None, again)
            if self.outcome is None and self._half.has_room():
                return
            again = True  # other streams of this connection took the room
        self._half.discard()
        await asyncio.sleep(0)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._waiters.watch(on_change)

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Sink {self.wire.opened.target} {now.state}, {now.sent} sent, {now.received} consumed, credit {now.credit}>"


def _unfit(wire: WireStream) -> tuple[str, type[Exception]]:
    """Return the text and the class of the error of an item that cannot be encoded, at a caller and at a callee."""
    if wire.callee:
        return f"{wire.opened.target} yielded or returned a value that cannot travel", TypeError
    return wire.opened.target, InvalidArgument
