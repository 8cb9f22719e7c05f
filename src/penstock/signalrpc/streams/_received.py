"""A stream that this peer receives: `Received`, its state, and `ReceivedSource`, the end that the program holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from penstock.errors import Busy, EndOfStream, InvalidArgument, ResourceExhausted, StatusError, StreamClosed
from penstock.signalrpc._messages import value_of
from penstock.signalrpc._rates import Rate
from penstock.signalrpc.streams._ledgers import InLedger
from penstock.streams import SECOND_RECEIVER, SOURCE_CLOSED, Pressure, Source, Statistics, StreamState, finalize_on, reraisable

#: How many items of a stream without flow control may wait, and how many bytes of any stream.
QUEUED_ITEMS: Final = 1024
QUEUED_BYTES: Final = 16 * 1024 * 1024

#: Bytes of a stream with flow control that may wait: those at the last credit, and what was on its way before and behind it.
FLOWING_BYTES_MAX: Final = 3 * QUEUED_BYTES


class Replies(Protocol):
    """The frames that a received stream sends back."""

    def credit(self, stream: Received, *, resend: bool = False) -> None:
        """Tell the sender how far it may go."""

    def left(self, stream: Received) -> None:
        """Tell the sender that the program has left, and forget the stream."""


class Received:
    """The state of one stream.

    sender: its address, when it is known. flow: whether it has flow control; None before a frame says so. claimed: whether the
    program has asked for it. dropped: it has waited too long for that. over: its sender
    has ended it. outcome: how it has ended, None before.
    """

    def __init__(self, stream_id: str, answers: Replies) -> None:
        self.id = stream_id
        self.answers = answers
        self.ledger = InLedger(QUEUED_ITEMS, QUEUED_BYTES)
        self.sender: str | None = None
        self.flow: bool | None = None
        self.claimed = False
        self.expected: Any = Any
        self.rate: tuple[float | None, float | None] | None = None
        self.outcome: Exception | None = None
        self.state: StreamState = "open"
        self.pressure = Pressure()
        self.reader: asyncio.Future[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.loop = asyncio.get_running_loop()
        self.asked_at = -1
        self.whole = False
        self.dropped = False
        self.over = False
        self.run = ""
        self.buffer_size = QUEUED_ITEMS

    def claim(self, size: int, expected: Any, rate: Rate) -> None:
        """Let the program have the stream."""
        self.claimed, self.expected, self.rate, self.buffer_size = True, expected, rate.asked, size
        if self.flow:
            self.ledger.size = size
        self.credit(resend=False)

    def begin_flow(self, sender: str, run: str) -> None:
        """Learn that the stream has flow control, and give the sender credit if the program has asked for it."""
        if self.flow is None:
            self.flow, self.sender, self.run = True, sender, run
            self.ledger.size = self.buffer_size
            self.credit(resend=False)

    def credit(self, *, resend: bool) -> None:
        """Send credit where there is some, or where items are to be sent again."""
        if self.outcome is None and self.flow and self.claimed and (self.ledger.grant() is not None or resend):
            self.answers.credit(self, resend=resend)

    def take_items(self, seq: int | None, items: Sequence[msgspec.Raw]) -> None:
        """Take items that have arrived. Too many of them, or items beyond the credit, end the stream.

        They wait as JSON until the program takes them: a value can need many times the bytes of its text.
        """
        if self.outcome is not None:
            return
        fitting: list[msgspec.Raw] = []
        try:
            try:
                fitting.extend(item for item in items if _is_a(self.expected, item))
            finally:  # the items before one that does not fit its type
                self._take_in(seq, fitting)
        except StatusError as error:
            self.end("failed", error)
            self.answers.left(self)
        self._wake()

    def _take_in(self, seq: int | None, items: Sequence[msgspec.Raw]) -> None:
        if (seq is not None) is not bool(self.flow):
            raise InvalidArgument(f"an item {'without' if self.flow else 'with'} a number")
        if seq is None:
            self._take_plain(items)
        else:
            self._take_numbered(seq, items)

    def _take_numbered(self, seq: int, items: Sequence[msgspec.Raw]) -> None:
        if self.ledger.take_in(seq, [(item.copy(), len(item)) for item in items]).gap:
            if self.asked_at != self.ledger.arrived:
                self.asked_at = self.ledger.arrived
                self.answers.credit(self, resend=True)
        elif self.ledger.waiting_bytes > FLOWING_BYTES_MAX:
            raise ResourceExhausted(_held(self))
        self.pressure.set(self.ledger.arrived >= self.ledger.granted)

    def _take_plain(self, items: Sequence[msgspec.Raw]) -> None:
        for item in items:
            if self.ledger.full:
                raise ResourceExhausted(f"{_held(self)}, whose sender has no flow control")
            self.ledger.put((item.copy(), len(item)))

    def take(self, max_items: int) -> list[Any]:
        """Return up to `max_items` values for the program. One of a wrong type ends the stream behind those before it."""
        values: list[Any] = []
        try:
            values.extend(value_of(item, self.expected) for item in self.ledger.take_out(max_items))
        except StatusError as error:
            was_open, self.outcome = self.outcome is None, None
            self.ledger.take_out(len(self.ledger.waiting))
            self.end("failed", error)
            if was_open:
                self.answers.left(self)
        return values

    def take_end(self, seq: int | None, outcome: Exception) -> bool:
        """Take the end, when all items before it are here; return whether it is taken."""
        if self.outcome is None and seq is not None and self.flow and seq > self.ledger.arrived:
            self.answers.credit(self, resend=True)
            return False
        if self.flow and seq != self.ledger.arrived and isinstance(outcome, EndOfStream):
            outcome = InvalidArgument(f"the end has the number {seq}, and {self.ledger.arrived} items have arrived")
        self.end("ended" if isinstance(outcome, EndOfStream) else "failed", outcome)
        if seq is not None and self.flow:
            self.whole = True
            self.answers.credit(self)
        return True

    @property
    def next(self) -> int:
        """The number that is expected next: the end has one, as an item has."""
        return self.ledger.arrived + self.whole

    def end(self, state: StreamState, outcome: Exception) -> None:
        """End it, behind the items that wait."""
        if self.outcome is None:
            self.state, self.outcome = state, outcome
            self.pressure.set(False)
            if self.timer is not None and self.claimed:
                self.timer.cancel()
            self._wake()

    def drop(self, state: StreamState, outcome: Exception) -> None:
        """Drop the items of a stream that the program has not asked for; it gets `outcome` when it asks later."""
        self.ledger.take_out(len(self.ledger.waiting))
        self.state, self.outcome, self.dropped = state, outcome, True
        if self.timer is not None:
            self.timer.cancel()

    def leave(self) -> None:
        """Leave it: the items that wait are dropped, and the sender is told."""
        self.ledger.take_out(len(self.ledger.waiting))
        if self.outcome is None:
            self.end("cancelled", StreamClosed(SOURCE_CLOSED))
            self.answers.left(self)
        elif self.state != "ended":
            self.outcome = StreamClosed(SOURCE_CLOSED)

    def _wake(self) -> None:
        if self.reader is not None and not self.reader.done() and (self.ledger.waiting or self.outcome is not None):
            self.reader.set_result(None)


def _is_a(expected: Any, item: msgspec.Raw) -> bool:
    """Return True. Raises the error of an item of another type."""
    if expected is not Any:
        value_of(item, expected)
    return True


def _held(stream: Received) -> str:
    waiting = f"{len(stream.ledger.waiting)} items, {stream.ledger.waiting_bytes} bytes"
    return f"{waiting} wait for the reader of the stream {stream.id}"


class ReceivedSource(Source[Any]):
    """The receiving end of a stream of another peer; see `Source`."""

    __slots__ = ("_state",)

    def __init__(self, state: Received) -> None:
        self._state = state

    def _take(self, max_items: int) -> list[Any]:
        state = self._state
        taken = state.take(max_items)
        if taken:
            state.credit(resend=False)
            state.pressure.set(state.flow is True and state.outcome is None and state.ledger.arrived >= state.ledger.granted)
        elif state.outcome is not None:
            raise reraisable(state.outcome, None)
        return taken

    async def _readable(self) -> None:
        state = self._state
        if state.reader is not None:
            raise Busy(SECOND_RECEIVER)
        state.reader = waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            state.reader = None

    async def aclose(self) -> None:
        self._state.leave()

    def statistics(self) -> Statistics:
        state, ledger = self._state, self._state.ledger
        credit = max(0, ledger.granted - ledger.arrived) if state.flow else 0
        return Statistics(state.state, ledger.size, len(ledger.waiting), ledger.arrived, ledger.taken, credit, 0)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._state.pressure.watch(on_change)

    def __del__(self) -> None:
        if self._state.outcome is None or self._state.ledger.waiting:
            finalize_on(self._state.loop, self._state.leave)

    def __repr__(self) -> str:
        return f"<ReceivedSource {self._state.id} {self._state.state}>"
