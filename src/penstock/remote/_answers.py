"""The callee's asks of one lane: `OpenAsks`, those without an answer yet, and `Answers`, the answers on their way back.

An answer leaves at once as far as the caller's credit goes. Beyond the credit it is kept here, charged to the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from penstock._outcomes import as_answer, as_internal, ends_the_loop, text_of
from penstock._values import objects_bytes
from penstock.codec import WHOLE_MSGPACK
from penstock.errors import Cancelled, DeadlineExceeded, PenstockError, StatusError
from penstock.protocol import NO_DETAILS, SendHalf
from penstock.remote._wire import LaneError, LaneReply, PlainReply
from penstock.session import RemoteSink, StreamHandle, status_of
from penstock.streams import Bell

if TYPE_CHECKING:
    from penstock.actors.cell import Envelope
    from penstock.calls import CallInfo

#: Asks without an answer and answers without credit, together, of one lane. At this number the lane is not read.
ASKS_MAX: Final = 4096
#: What a message weighs beside its arguments, with its envelope, its reply and its call.
MESSAGE_BYTES: Final = 1024
#: An error up to this size is kept even over the limit: it may stand for an answer that was dropped, and errors are few.
ERROR_BYTES: Final = 16 * 1024


class Answers(RemoteSink[Any]):
    """The sending end of a lane's answers.

    unsent: encoded answers for which the caller has given no credit yet. The connection counts their bytes as held.
    """

    __slots__ = ("_exposed", "_handle", "address", "unsent")

    def __init__(self, handle: StreamHandle, address: str, *, exposed: bool) -> None:
        super().__init__(handle.session, handle.wire, cast("SendHalf", handle.wire.send), WHOLE_MSGPACK)
        self._handle = handle
        self._exposed = exposed  # whether askers get the text of unexpected errors
        self.address = address
        self.unsent: deque[bytes] = deque()

    @property
    def holds_too_much(self) -> bool:
        """Whether the unsent answers have reached the limit of bytes: no more asks are read until some have left."""
        return bool(self.unsent) and self._handle.holds_too_much

    def answer(self, number: int, result: Any, *, flush: bool) -> None:
        """Encode and send an answer; later changes by the actor do not reach the asker. With `flush` it is written at once."""
        try:
            self._send(PlainReply(number, result), flush=flush)
        except PenstockError as error:  # too large, or it contains a ref that cannot be sent
            self.refuse(number, error)
        except BaseException as error:
            failure = TypeError(f"{self.address} returned a value that cannot travel: {text_of(error)}")
            failure.__cause__ = error  # for the log
            self.refuse(number, failure)
            del failure  # it holds this frame, by its cause
            if ends_the_loop(error):
                raise

    def refuse(self, number: int, error: BaseException, error_id: str = "") -> None:
        """Send an error as an answer. A `StatusError` travels whole; any other error is logged, and its log id travels.

        error_id: the id of an error that the log has already, as that of a crash; empty for any other.
        """
        if isinstance(error, asyncio.CancelledError):
            error = Cancelled(f"{self.address}: the handler was cancelled")
        elif (answer := as_answer(error, self.address)) is not None:
            error = answer
        else:
            error = as_internal(error, self.address, exposed=self._exposed, error_id=error_id)
        failure = LaneError.of(status_of(error))
        try:
            self._send(LaneReply(number, error=failure))
        except StatusError:  # its details are too large
            failure.details = NO_DETAILS
            with suppress(StatusError):  # a peer that takes no message of this size gets none
                self._send(LaneReply(number, error=failure))

    def on_room(self) -> None:
        unsent, half = self.unsent, self._half
        while unsent and half.has_room() and self.outcome is None:
            self._push(msgspec.Raw(self._pop_unsent()))
        self._register_for_room()
        super().on_room()

    def drop_unsent(self) -> None:
        """Drop the unsent answers: the asker is gone."""
        while self.unsent:
            self._pop_unsent()

    def _send(self, reply: PlainReply | LaneReply, *, flush: bool = False) -> None:
        """Send an answer, or keep it when the caller has given no credit. Raises `ResourceExhausted` over the limit."""
        if self.outcome is not None:
            return
        if not self.unsent and self._half.has_room():
            self._half.push(self._encode_into, reply)
            if not self.wire.ready:
                self._handle.line_up()
                if not flush:
                    self.session.flush_soon()
            if flush or self._half.count == 0:
                self.session.flush()
        else:
            self._keep(reply)

    def _keep(self, reply: PlainReply | LaneReply) -> None:
        """Keep an answer until the caller gives credit. Raises `ResourceExhausted` when the kept bytes reach the limit."""
        encoded = WHOLE_MSGPACK.encode(reply)
        is_small = isinstance(reply, LaneReply) and len(encoded) <= ERROR_BYTES
        self._handle.hold(len(encoded), answer=not is_small)
        self.unsent.append(encoded)
        self._register_for_room()

    def _pop_unsent(self) -> bytes:
        encoded = self.unsent.popleft()
        self._handle.hold(-len(encoded))
        return encoded

    def _register_for_room(self) -> None:
        """Have `on_room` called after the next write when frames, and not credit, are in the way."""
        if self.unsent and self._half.is_stuffed():
            self.session.waiting_sinks[self] = None


class AskedMessage(Protocol):
    """A message whose asker may cancel its ask.

    error_id: the id under which the log has the crash of its handler; empty without one.
    """

    error_id: str

    def withdraw(self, error: StatusError, /) -> None:
        """End the message because of `error`, unless its handler has begun."""


class RemoteReply:
    """The reply of one ask, with as much of a future's interface as an actor needs.

    It needs no timer: the deadline is compared with the clock when the actor begins or answers the message.
    message: withdrawn when the asker cancels its ask; None before it is in the mailbox, and after its answer.
    """

    __slots__ = ("_asks", "_deadline", "_info", "_number", "message")

    def __init__(self, asks: OpenAsks, number: int, info: CallInfo) -> None:
        self._asks: OpenAsks | None = asks
        self._number = number
        self._info = info
        self._deadline = info.deadline
        self.message: AskedMessage | None = None

    def done(self) -> bool:
        """Whether the ask was answered or cancelled, or its deadline has passed."""
        asks = self._asks
        if asks is None:
            return True
        if self._deadline is None or asks.loop.time() < self._deadline:
            return False
        self.set_exception(DeadlineExceeded(f"{self._info.target}: the deadline passed before it was answered"))
        return True

    def cancel(self, error: StatusError) -> None:
        """End the ask without an answer: the asker has cancelled it, for the reason `error`."""
        message = self.message
        if self._remove() is not None and message is not None:
            message.withdraw(error)

    def set_result(self, result: Any) -> None:
        """Answer with `result`."""
        asks = self._remove()
        if asks is not None:
            asks.answers.answer(self._number, result, flush=not asks.open)

    def set_exception(self, error: BaseException) -> None:
        """Answer with `error`, how the handler has ended."""
        self.refuse(error, "" if self.message is None else self.message.error_id)

    def refuse(self, error: BaseException, error_id: str) -> None:
        """Answer with `error`, which the log has under `error_id`, if that is not empty."""
        asks = self._remove()
        if asks is not None:
            asks.answers.refuse(self._number, error, error_id)

    def _remove(self) -> OpenAsks | None:
        """Take the reply out of the open asks; return them, None when it was taken out before."""
        asks, self._asks, self.message = self._asks, None, None
        if asks is not None:
            asks.open.pop(self._number, None)
            if self._deadline is not None:
                self._info._end()
            asks.changed.notify()
        return asks


class OpenAsks:
    """The asks of one lane that have no answer yet, and what the messages of the lane hold while they are posted.

    open: their replies, by id. answers: the sending end for their answers. changed: rung when an ask was answered or cancelled,
    when an answer has left, and when a message was handled.
    """

    __slots__ = ("_budget", "_posted_bytes", "_values_max", "answers", "changed", "loop", "open")

    def __init__(self, handle: StreamHandle, answers: Answers) -> None:
        self.loop = handle.session.loop
        self.answers = answers
        self.open: dict[int, RemoteReply] = {}
        self.changed = Bell()
        self._budget = handle.budget
        self._values_max = handle.session.settings.max_item_values
        self._posted_bytes = 0

    def post(self, envelope: Envelope, body: bytes) -> None:
        """Charge a message with these arguments, until it was handled or refused."""
        envelope.size = MESSAGE_BYTES + len(body) + objects_bytes(body, self._values_max, json=False)
        envelope.held_by = self
        self._posted_bytes += envelope.size
        self._budget.take(envelope.size)

    def give(self, size: int) -> None:
        """Note that a message of this size is over."""
        self._posted_bytes -= size
        self._budget.give(size)
        self.changed.notify()

    def expect(self, number: int, info: CallInfo) -> RemoteReply:
        """Make the reply of the ask with id `number`, which is open from now on."""
        reply = self.open[number] = RemoteReply(self, number, info)
        return reply

    def is_full(self) -> bool:
        """Whether the lane is to be read no further: too many asks are open, or answers and posted messages hold too much.

        With no message posted it is read however tight the budget is: its next message frees what it holds as it waits.
        """
        return (
            len(self.open) + len(self.answers.unsent) >= ASKS_MAX
            or self.answers.holds_too_much
            or (self._posted_bytes > 0 and self._budget.is_tight)
        )

    def is_busy(self) -> bool:
        """Whether an ask is open or an answer is unsent."""
        return bool(self.open or self.answers.unsent)

    async def wait_while(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition`, one of the two above, is False. Safe to cancel."""
        while condition():
            await self.changed.wait()

    def cancel(self, number: int, error: StatusError) -> None:
        """Cancel the ask with id `number`; an id without an open ask is ignored."""
        ask = self.open.get(number)
        if ask is not None:
            ask.cancel(error)

    def cancel_all(self, error: StatusError) -> None:
        """Cancel every open ask."""
        for ask in tuple(self.open.values()):
            ask.cancel(error)
