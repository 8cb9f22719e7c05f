"""The caller's end of a lane: messages to one remote actor, in order, and their answers (PROTOCOL.md §12).

A lane runs on the events of its stream and has no task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from penstock._outcomes import text_of
from penstock.calls import CallScope, Request, open_of
from penstock.codec import MSGPACK, UNDECODABLE, WHOLE_MSGPACK
from penstock.errors import Cancelled, DataLoss, DeadlineExceeded, InvalidArgument, StatusError, Unavailable
from penstock.protocol import Accept, CallKind, Cancel, ReceiveHalf, Status, grant_for
from penstock.remote._asks import AskLimits, PendingAsks, ask_within
from penstock.remote._wire import LaneReply, PlainMessage, bound_all, salvaging
from penstock.service import CallOptions
from penstock.session import Endpoint, RemoteSink, error_of
from penstock.streams import mark_retrieved

#: Lanes of one connection. One more closes the oldest idle lane, which opens again at its next message. When all lanes are in
#: use, only the peer's `Settings.max_streams` bounds their number.
LANES_MAX: Final = 1024
_REPLIES: Final = salvaging(LaneReply, 1)
_OPTIONS: Final = CallOptions()


class LaneClient(Endpoint):
    """The lane to one remote actor, made by `Lanes.to` at the first message.

    closing: whether the lane takes no more messages.
    over: done when the lane has ended.
    """

    __slots__ = (
        "_half",
        "_handle",
        "_lanes",
        "_loop",
        "address",
        "asks",
        "closing",
        "over",
        "session",
        "sink",
    )

    def __init__(self, scope: CallScope, lanes: dict[str, LaneClient], address: str) -> None:
        self.session = session = scope.session
        self.address = address
        self.closing = False
        self._loop = session.loop
        self.over: asyncio.Future[None] = session.loop.create_future()
        self._lanes = lanes
        self.asks = PendingAsks()
        self._half = ReceiveHalf(grant_for(session.settings, session.hello, None, None), refuses_items=True)
        request = Request(f"/{address}!lane", CallKind.BIDIRECTIONAL, MSGPACK, None, _REPLIES, _OPTIONS)
        self._handle = session.open(open_of(session, request, {}, None, self._half.grant), self._half, self)
        self.sink: RemoteSink[Any] = self._handle.sink(WHOLE_MSGPACK)

    @property
    def idle(self) -> bool:
        """Whether no ask waits for its answer and no message waits for room."""
        return not self.asks.waiting and not self.sink.statistics().waiting_senders

    async def send(self, message: PlainMessage, before: Callable[[], None] | None = None) -> None:
        """Send a message; wait while the actor's mailbox and the lane to it are full. A cancelled `send` sends nothing.

        `before` is called when the message had to wait, just before it is encoded: it may change the message.

        Raises `InvalidArgument` for a message that cannot be encoded, and the error with which the lane has ended.
        """
        try:
            if not self.sink.try_send(message):
                await self.sink.send(message, before)
        except InvalidArgument as error:
            raise _unfit(self, message, error) from error.__cause__
        if not message.id:
            self.asks.last_id_at_tell = self.asks.last_id

    async def ask(self, message: PlainMessage, decode: Callable[[Any], Any], limits: AskLimits | None = None) -> Any:
        """Send a message, wait for its answer, and return it decoded. Cancelling it cancels the ask at the callee.

        Raises the actor's error, those of `send`, `DataLoss` for an answer that `decode` refuses, and the errors of `limits`.
        """
        asks = self.asks
        asks.last_id = message.id = number = asks.last_id + 1
        future = asks.waiting[number] = self._loop.create_future()
        sent = False
        try:
            if limits is not None:
                result = await ask_within(self, message, future, limits)
            else:
                if not self.sink.try_send(message, write_now=len(asks.waiting) == 1):
                    await self.sink.send(message)
                sent = True
                result = await future
        except BaseException as error:
            mark_retrieved(future)
            if sent and isinstance(error, asyncio.CancelledError):
                self.cancel_ask(number)
            elif not sent and limits is None and isinstance(error, InvalidArgument):
                raise _unfit(self, message, error) from error.__cause__
            raise
        finally:
            asks.waiting.pop(number, None)
            del future  # its error holds this frame, and with it the message
        try:
            return decode(result)
        except UNDECODABLE as error:
            raise DataLoss(f"{self.address}/{message.name}: its result does not fit its type: {text_of(error)}") from error

    def close(self) -> None:
        """Take no more messages. Messages that were sent are still delivered, and open asks are answered."""
        if not self.closing:
            self.closing = True
            remote = self.session.remote
            gone = Unavailable(f"{self.address}: {remote} takes no more messages now", started=False)
            self.sink.finish(gone.came_from(remote))
            if not self._handle.over:  # a GOAWAY that crossed its OPEN has ended it
                self._handle.end()

    def close_now(self) -> bool:
        """Close the lane and cancel its asks; return True if some tells may not have reached the mailbox."""
        asks = self.asks
        for number in tuple(asks.waiting):
            self.cancel_ask(number)
        self.close()
        asks.fail(Cancelled("the connection was closed on this side"))
        return asks.highest_answered <= asks.last_id_at_tell

    def cancel_ask(self, number: int) -> None:
        """Cancel the ask at the callee, as soon as there is room: a message that the actor has not begun is skipped."""
        if not self.over.done() and not self.closing:
            self.asks.abandoned.append(number)
            self.asks.send_cancels(self.sink)

    # ── the events of the stream ──────────────────────────────────────────────────────────────────────────────────────

    def on_accepted(self, accept: Accept) -> None:
        self.sink.on_room()

    def on_room(self) -> None:
        if self.asks.abandoned and not self.closing:
            self.asks.send_cancels(self.sink)
        self.sink.on_room()

    def on_items(self) -> None:
        """Give the answers to their asks. They count as consumed at once, because the asks bound their number."""
        half = self._half
        for arrived in half.queue:
            try:
                replies: list[LaneReply] = _REPLIES.batch(arrived.encoded())
                if len(replies) != arrived.items:
                    raise ValueError(f"{len(replies)} answers in a batch of {arrived.items}")
            except UNDECODABLE as error:
                self._fail(DataLoss(f"{self.address}: an answer cannot be decoded: {text_of(error)}"))
                return
            if arrived.is_over_values:
                bound_all(replies, self.session.settings.max_item_values)
            self.asks.resolve(replies, self.session.remote)
            self._handle.consume(arrived.items, arrived.size)
        half.queue.clear()

    def on_ended(self, status: Status | None) -> None:
        if status is not None and status.code:
            self.on_lost(cast("StatusError", error_of(status, self.session.remote)))
        else:
            self.on_lost(Unavailable(f"{self.address}: the other side has ended the lane"))

    def on_stop_sending(self, cancel: Cancel) -> None:
        self._fail(Unavailable(f"{self.address}: the other side takes no more messages. {cancel.message}".rstrip()))

    def _fail(self, error: StatusError) -> None:
        """Cancel the lane because of `error`; all its asks fail."""
        self._handle.discard()
        self._handle.cancel(error)
        self.on_lost(error)

    def on_lost(self, error: StatusError) -> None:
        """End the lane on this side: every open ask fails with `error`, every waiting `send` with an unstarted copy."""
        self._handle.attach()
        self.closing = True
        self.asks.abandoned.clear()
        if self._lanes.get(self.address) is self:
            del self._lanes[self.address]
        if not self.over.done():
            self.over.set_result(None)
        unsent = error.fresh_copy()
        unsent.started = False
        self.sink.finish(unsent)
        self.asks.fail(error)

    def __repr__(self) -> str:
        return f"<LaneClient {self.address} {'closing' if self.closing else 'open'}, {len(self.asks.waiting)} asks>"


def _unfit(lane: LaneClient, message: PlainMessage, error: InvalidArgument) -> InvalidArgument:
    """Return the error of a message that cannot travel, with the name of its method instead of the lane's target."""
    return InvalidArgument(f"{lane.address}/{message.name}: {error.__cause__ or error}", started=False)


class Lanes:
    """The lanes of one connection, by the address of their actor. Beyond `LANES_MAX` (1024), idle ones are closed."""

    def __init__(self, scope: CallScope) -> None:
        self._scope = scope
        self.open: dict[str, LaneClient] = {}
        self._left: set[LaneClient] = set()  # to a side that shuts down, where they end; later messages go to the next one

    async def to(self, address: str, deadline: float | None = None) -> LaneClient:
        """Return the lane to an actor; open it when there is none. Safe to cancel.

        A closing lane must end first, or the next message would overtake its messages. That wait ends at `deadline` (a time of
        the loop's clock) with `DeadlineExceeded`. Raises `Unavailable` on a connection that is draining or gone.
        """
        scope = self._scope
        lanes, session = self.open, await scope.session_for_calls(deadline)
        while (lane := lanes.get(address)) is not None:
            if not lane.closing:
                return lane
            if lane.session is not session:
                self._leave(lane)
                break
            if not session.takes_calls:
                raise Unavailable(
                    f"{address}: {session.remote} is draining and takes no new messages", started=False
                ).came_from(session.remote)
            try:
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(lane.over)
            except TimeoutError:
                raise DeadlineExceeded(f"{address}: the deadline passed before anything could be sent", started=False) from None
        if len(lanes) >= LANES_MAX:
            idle = next((lane for lane in lanes.values() if not lane.closing and lane.idle), None)
            if idle is not None:
                idle.close()
        lane = lanes[address] = LaneClient(scope, lanes, address)
        return lane

    async def send(self, address: str, message: PlainMessage) -> None:
        """Send a tell to an actor, as `LaneClient.send`; one that has not left for a side that shuts down goes to the next."""
        while True:
            lane = self.open.get(address)
            if lane is None or lane.closing:
                lane = await self.to(address)
            try:
                await lane.send(message)
            except Unavailable as error:
                if not self.go_again(lane, error):
                    raise
            else:
                return

    def go_again(self, lane: LaneClient, error: Unavailable, again: int = 0) -> bool:
        """Whether a message that a lane has not delivered goes to the session that follows, or an ask once more.

        Its side shuts down or is lost, and the message has surely not arrived there, or may be handled `again`.
        """
        return not lane.session.takes_calls and self._scope.next_session is not None and (again > 0 or not error.started)

    def _leave(self, lane: LaneClient) -> None:
        self._left.add(lane)
        lane.over.add_done_callback(lambda _over: self._left.discard(lane))

    def drain(self) -> None:
        """Close every lane, because one of the sides shuts down. Open asks are still answered."""
        for lane in tuple(self.open.values()):
            lane.close()

    async def end(self, patience_s: float) -> None:
        """Close every lane and cancel its asks, because this side closes the connection.

        Waits at most `patience_s` seconds until all tells are in their mailboxes. Cancelling it leaves the lanes closing.
        """
        unconfirmed = [lane.over for lane in (*self.open.values(), *self._left) if lane.close_now()]
        if unconfirmed:
            await asyncio.wait(unconfirmed, timeout=patience_s)
