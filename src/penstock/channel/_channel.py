"""`Channel`: the object that the program holds at each end, wherever the other end is. It knows neither a network nor a pipe.

A channel has a `Wire`, which reaches the other end, and `ChannelEvents`, where the steps of both sides are noted. The public
verbs are here: each checks the state, and then takes one step of the wire or sends and receives by its two ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from penstock.channel._life import ChannelState, Life
from penstock.channel._wire import Observer, Wire
from penstock.errors import Cancelled, ChannelClosed, ChannelRejected, DeadlineExceeded, StreamCancelled, StreamClosed
from penstock.streams import READY, InLoop, Iteration, Source, checked_seconds, finalize_on

T = TypeVar("T")

#: Seconds that an opener waits by default for the acceptor to accept or to reject.
OPEN_TIMEOUT_S: Final = 30.0


class ChannelStatistics(NamedTuple):
    """The figures of a channel, as one of its ends sees them. All numbers are 0 before the channel was accepted.

    state: opening, open, half-closed, closed, rejected or lost.
    sent: messages that this side sent.
    received: messages that the program at this side received.
    buffered: messages that have arrived at this side and were not received yet.
    buffer_size: how many messages the other side may be ahead of this one.
    credit: messages that may be sent before `send` has to wait.
    waiting_senders: tasks that wait in `send`.
    """

    state: ChannelState
    sent: int
    received: int
    buffered: int
    buffer_size: int
    credit: int
    waiting_senders: int


class Channel(Generic[T]):
    """One end of a two-way pipe of messages. One side opens it, the other accepts or rejects it; both send, either closes it.

    ``async for message in channel`` receives until the other side has closed or half-closed the channel; messages that were
    sent before are delivered first. Leaving such a loop keeps the channel open, because the other direction may be in use.
    ``async with channel`` closes the channel at the end; an exception closes it with the name of its class as the reason. A
    channel that the program drops without closing it fails with `Aborted` at the other side.

    Each direction has its own flow control: `send` waits while the other side has not yet received as many messages as it
    set as its ``buffer_size``. One task at a time may receive, many may send. Use a channel on the event loop that made it.

    ================ =================================== ====================================================
    state            cause                               effect at the other side
    ================ =================================== ====================================================
    closed           `close`                             its loop ends; ``send`` raises `ChannelClosed`
    half-closed      `close_send`                        its loop ends; it may go on sending
    rejected         `reject`                            `ChannelRejected` where it opens the channel
    lost             the connection was lost, `fail`     `ConnectionLost`, or the error of `fail`, both ways
    ================ =================================== ====================================================

    Attributes:
        id: a name for logs, the same at both sides.
        initiator: the opener: the address of an actor, or the name that an outside client gives itself.
        target: the address to which the channel was opened.
        payload: the value that the opener gave; None without one.
    """

    __slots__ = (
        "__weakref__",
        "_events",
        "_life",
        "_loop",
        "_sink",
        "_source",
        "_wire",
        "id",
        "initiator",
        "payload",
        "target",
    )

    def __init__(self, wire: Wire) -> None:
        self._loop = asyncio.get_running_loop()
        self._events = events = wire.events
        self._life = events.life
        sink, source = wire.ends()
        self._sink = sink
        self._source: Source[T] = source
        self.id, self.initiator, self.target, self.payload = events.opening
        self._wire = wire

    @property
    def accepted(self) -> Any:
        """The value that the acceptor gave to `accept`; None without one, and before the acceptance."""
        return self._events.accepted

    @property
    def state(self) -> ChannelState:
        """The state of the channel: opening, open, half-closed, closed, rejected or lost."""
        return self._life.state

    @property
    def reason(self) -> str:
        """Why the channel was closed, rejected or lost; empty before, and when the side that ended it gave no reason."""
        return self._life.reason

    # ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def accept(self, payload: Any = None) -> None:
        """Accept the channel; the opener finds `payload` as ``channel.accepted``. Call `send` and `receive` next.

        It never waits, so it cannot be cancelled half-way. Raises `ChannelClosed` when the opener has left, and
        `FailedPrecondition` at the opener's side or when the channel was accepted before. Between processes it raises
        `InvalidArgument` for a payload that cannot be encoded and `ResourceExhausted` for one that is too large; the channel
        then still waits to be accepted or rejected.
        """
        self._life.check_answerable(opener=self._events.opener)
        self._wire.accept(payload)
        self._events.opened(payload)

    async def reject(self, reason: str = "") -> None:
        """Refuse the channel: the opener gets `ChannelRejected` with `reason`, and this end is over.

        It never waits. Raises `ChannelClosed` when the opener has left, and `FailedPrecondition` at the opener's side or when
        the channel was accepted before.
        """
        _check_reason(reason)
        self._life.check_answerable(opener=self._events.opener)
        self._wire.end_with("rejected", ChannelRejected(reason))

    async def wait_opened(self, timeout: float | None = OPEN_TIMEOUT_S) -> None:
        """Wait until the acceptor accepts. Needed only for the opener's end of `local_channel`; other channels come open.

        Raises `ChannelRejected` with the reason, `DeadlineExceeded` after `timeout` seconds (30 by default, None for no limit),
        or the error with which the acceptor failed. Cancelling it withdraws the opening, as a timeout does: the acceptor finds
        the channel closed.
        """
        try:
            async with asyncio.timeout(checked_seconds("timeout", timeout, above=-inf)):
                await self._life.wait_opened()
        except TimeoutError:
            late = DeadlineExceeded(f"{self.target} neither accepted nor rejected the channel within {timeout:g} s")
            self._wire.end_with("closed", late)
            raise late from None
        except asyncio.CancelledError:
            self._wire.end_with("closed", Cancelled(f"{self.initiator or 'the opener'} gave the channel up"))
            raise
        if not self._life.opened:
            raise self._life.refusal()

    # ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: Any) -> None:
        """Send one message; wait while the other side has not yet received as many messages as its buffer holds.

        Tasks that wait are served in the order in which they came. Raises `ChannelClosed` with the reason after either side has
        closed the channel or this direction, `ConnectionLost` when the connection was lost, the error with which the other side
        failed the channel, and `FailedPrecondition` before the channel was accepted. Between processes a message that cannot be
        encoded raises `InvalidArgument` at the opener and `TypeError` at the acceptor; the channel stays open. A cancelled
        `send` never delivers its message.
        """
        if not self._life.opened:
            raise self._life.refusal()
        try:
            await self._sink.send(message)
        except (StreamClosed, StreamCancelled):
            raise self._life.refusal() from None
        if self._events.observer is not None:
            self._events.passed("out", [message])

    def send_nowait(self, message: Any) -> None:
        """Send one message, or raise `WouldBlock` when the other side has no room for it. Other errors are those of `send`."""
        if not self._life.opened:
            raise self._life.refusal()
        try:
            self._sink.send_nowait(message)
        except (StreamClosed, StreamCancelled):
            raise self._life.refusal() from None
        if self._events.observer is not None:
            self._events.passed("out", [message])

    async def send_many(self, messages: Iterable[Any]) -> None:
        """Send all `messages` in order, under the same bound as `send` and with its errors.

        Cancelling it stops at a message that has to wait. That message was taken from `messages` and is not delivered; all
        messages before it are, and ``statistics().sent`` counts them.
        """
        if not self._life.opened:
            raise self._life.refusal()
        if self._events.observer is not None:
            for message in messages:
                await self.send(message)
            return
        try:
            await self._sink.send_many(messages)
        except (StreamClosed, StreamCancelled):
            raise self._life.refusal() from None

    async def receive(self) -> T:
        """Return the next message; wait for it when none has arrived.

        Raises `EndOfStream` when the other side has closed or half-closed the channel, `ChannelClosed` when this side has
        closed or failed it, the error with which the other side failed it, `ConnectionLost` when the connection was lost,
        `Busy` while another task receives, and `FailedPrecondition` before the channel was accepted. Messages that arrived
        before an end of the other side are returned first. A message that does not fit its type fails the channel, with
        `InvalidArgument` at the acceptor and `DataLoss` at the opener. A cancelled `receive` takes no message: the next one
        returns it.
        """
        if not self._life.opened:
            raise self._life.refusal()
        try:
            message = await self._source.receive()
        except StreamClosed:
            raise self._life.refusal() from None
        if self._events.observer is not None:
            self._events.passed("in", [message])
        return message

    def __aiter__(self) -> Iteration[T]:
        """Iterate over the messages as they arrive, until either side has closed the channel or the other has half-closed it.

        Raises as `receive` does, but for `EndOfStream`, and `ChannelClosed` only after `fail` and not after `close`. Cancelling
        it loses no message, and leaving it keeps the channel open: a second loop goes on where the first one stopped.
        """
        return Iteration(partial(_received, self, aiter(self._source), _single), _stay_open)

    def batches(self, max_items: int = 256) -> Iteration[list[T]]:
        """Iterate over lists of 1 to `max_items` messages: those that have arrived, at least one, without waiting for more.

        It ends and raises as the loop over single messages does. Raises `ValueError` when `max_items` is below 1.
        """
        return Iteration(partial(_received, self, self._source.batches(max_items), list), _stay_open)

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def close_send(self) -> None:
        """Half-close: this side sends nothing more, and the other direction goes on. Idempotent; it never waits.

        The other side's loop ends after the messages that were sent. Receive on until your own loop ends: when both sides have
        half-closed, the channel is closed. `send` then raises `ChannelClosed`. Raises `FailedPrecondition` before the channel
        was accepted.
        """
        life = self._life
        if life.ending is not None or life.ended_here:
            return
        if not life.opened:
            raise life.refusal()
        life.end_sending()
        self._wire.half_close()
        if life.ended_there:
            self._wire.complete()

    async def close(self, reason: str = "") -> None:
        """Close the channel in both directions. Idempotent; it never waits, so it cannot be cancelled half-way.

        Messages that were sent are delivered, messages that wait at this side are dropped. The other side finds `reason` as
        ``channel.reason``. A channel that was not accepted is rejected by its acceptor and withdrawn by its opener. After it,
        `send` and `receive` raise `ChannelClosed`, and a loop ends. After the other side's end, it drops the waiting messages.
        """
        _check_reason(reason)
        if self._life.ending is not None:
            self._wire.drop()
            return
        if not self._life.opened:
            ending = ChannelRejected(reason or "it was closed before it was accepted")
            self._wire.end_with("closed" if self._events.opener else "rejected", ending)
            return
        why = f": {reason}" if reason else ""
        self._events.ended("closed", reason, ChannelClosed(f"this side has closed the channel{why}"))
        self._wire.close(reason)

    def fail(self, error: Exception) -> None:
        """End the channel with `error` in both directions. It does nothing after another end; it never waits.

        The other side gets `error` where it sends, and where it receives after the messages that have arrived. In another
        process it gets a `StatusError` as it is, and any other exception as `Internal` with the name of its class only. At this
        side, `send` and `receive` raise `ChannelClosed`.
        """
        self._wire.end_with("lost", error)

    async def wait_closed(self) -> None:
        """Wait until the channel is over: closed, rejected or lost. It raises no error of the channel, and is safe to cancel.

        `state` and `reason` then say how the channel ended. Messages that arrived before the end may still be received.
        """
        await self._life.wait_over()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(cls.__name__ if cls is not None else "")

    # ── observing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, observer: Observer) -> None:
        """Call ``observer(kind, data)`` for each event of this end, in place of an earlier observer.

        Kinds and data are those of `Tap`: channel_opened, channel_accepted, channel_rejected, channel_message, channel_closed.
        The opening is told at once, and so is an acceptance that has happened before. `observer` must not wait or raise.
        """
        events = self._events
        events.observer = observer
        events.record("channel_opened", initiator=self.initiator, payload=self.payload)
        if self._life.opened:
            events.record("channel_accepted", payload=self.accepted)

    def statistics(self) -> ChannelStatistics:
        """Return the current figures of the channel, in any state; see `ChannelStatistics`."""
        life = self._life
        if not life.opened:
            return ChannelStatistics(life.state, 0, 0, 0, 0, 0, 0)
        out, into = self._sink.statistics(), self._source.statistics()
        credit = 0 if life.ending or life.ended_here else out.credit
        return ChannelStatistics(
            life.state, out.sent, into.received, into.buffered, into.buffer_size, credit, out.waiting_senders
        )

    def __repr__(self) -> str:
        now = self.statistics()
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"<Channel {self.id} {self.initiator or '?'} to {self.target} {now.state}{why}, "
            f"{now.sent} sent, {now.received} received>"
        )

    def __del__(self) -> None:
        if hasattr(self, "_wire"):
            finalize_on(self._loop, self._wire.forget)


def _check_reason(reason: object) -> None:
    """Raise `TypeError` for a reason that is not a string, before the channel has ended at this side only."""
    if not isinstance(reason, str):
        raise TypeError(f"reason is {reason!r:.200}; it is a string")


class _Refusing:
    """The context of a loop over a channel: it ends when this side has closed the channel, and fails after `fail`."""

    __slots__ = ("_life",)

    def __init__(self, life: Life) -> None:
        self._life = life

    def __enter__(self) -> None: ...

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        closed = isinstance(error, StreamClosed)
        if closed and self._life.ending != "closed":
            raise self._life.refusal() from None
        return closed


async def _received(
    channel: Channel[Any], items: Iteration[T], messages_in: Callable[[T], list[Any]], in_loop: InLoop[Any]
) -> AsyncGenerator[T, None]:
    """Yield what a loop over the source of a channel brings, and tell the observer of the messages in it."""
    life, events = channel._life, channel._events
    with in_loop, _Refusing(life):
        yield READY
        if not life.opened:
            raise life.refusal()
        async for item in items:
            if events.observer is not None:
                events.passed("in", messages_in(item))
            yield item
            del item  # the next one may be long in coming


def when_left(channel: Channel[Any], callback: Callable[[], None]) -> None:
    """Call `callback` once when the other side has left: it has closed or failed the channel, or is lost."""
    channel._life.on_left = callback


def is_in_use(channel: Channel[Any]) -> bool:
    """Whether this side has received a message or has one to receive, or a task waits for something of the channel."""
    now = channel.statistics()
    waits = now.waiting_senders or channel._wire.waiter is not None or channel._life.is_awaited
    return bool(now.received or now.buffered or waits)


def _single(message: Any) -> list[Any]:
    return [message]


def _stay_open() -> None:
    """Leaving a loop over a channel keeps it open."""
