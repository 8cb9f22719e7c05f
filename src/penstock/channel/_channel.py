"""A channel as its two users hold it, wherever the other one lives. This module knows neither a network nor a pipe.

`Channel` is the same for both sides and for both places: `_local` joins two ends by two pipes, `_remote` by a bidirectional
stream of a session. They implement six steps, of which five tell the other side. Sending and receiving is in `_messages`,
what an end knows of itself in `_life`; here is how it opens and ends.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from penstock.channel._life import ChannelState, Ending, Observer
from penstock.channel._messages import Messages
from penstock.errors import (
    Aborted,
    Cancelled,
    ChannelClosed,
    ChannelRejected,
    DeadlineExceeded,
    FailedPrecondition,
)
from penstock.streams import finalize_on

T = TypeVar("T")

#: How many messages may wait at the side that receives them, when it does not say.
BUFFER_SIZE: Final = 16
#: How long an opener waits for somebody to accept or to reject.
OPEN_TIMEOUT_S: Final = 30.0


class ChannelStatistics(NamedTuple):
    """How a channel stands, seen from one end.

    sent: messages that this side sent.
    received: messages that this side's program took.
    buffered: messages that are here and were not taken.
    buffer_size: how far the other side may be ahead of this one.
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


class Channel(Messages[T], ABC):
    """A two-way pipe of messages between two sides: one opens it, the other accepts or rejects it, both send, either closes it.

    ``async for message in channel`` receives, until the other side has closed, or half-closed, the channel; what it sent before
    is delivered first. Leaving such a loop does not close anything: the channel has two ways. ``async with channel`` closes it
    at the end, with the name of an exception as the reason. A channel that everybody has forgotten fails at the other side.

    Each direction is flow controlled for itself: `send` waits while the other side has as many messages before it as it
    set as its buffer.
    One task at a time may receive; many may send.

    ================ =================================== ====================================================
    state            because                             the other side sees
    ================ =================================== ====================================================
    closed           `close`                             its loop ends; ``send`` raises `ChannelClosed`
    half-closed      `close_send`                        its loop ends; it may go on sending
    rejected         `reject`                            `ChannelRejected` where it opens the channel
    lost             the peer died, `fail`               `ConnectionLost`, or the error of `fail`, in both ways
    ================ =================================== ====================================================

    Attributes:
        id: a name for logs, the same at both sides.
        initiator: who opened it: the address of an actor, or whatever an outside client calls itself.
        target: to whom it was opened.
        payload: what the opener gave.
        accepted: what `accept` gave.
    """

    __slots__ = ("__weakref__", "_loop", "accepted", "initiator", "opener", "payload", "target")

    def __init__(self, id_: str, initiator: str, target: str, payload: Any, *, opener: bool) -> None:
        super().__init__(id_)
        self.initiator = initiator
        self.target = target
        self.payload = payload
        self.accepted: Any = None
        self.opener = opener
        self._loop = asyncio.get_running_loop()

    @property
    def state(self) -> ChannelState:
        """How the channel stands: opening, open, half-closed, closed, rejected or lost."""
        return self._life.state

    @property
    def reason(self) -> str:
        """Why it was closed, rejected or lost; empty while it is not, and when nobody said."""
        return self._life.reason

    # ── to open ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def accept(self, payload: Any = None) -> None:
        """Accept the channel; the opener finds `payload` as ``channel.accepted``. Returns at once.

        Raises `ChannelClosed` when the opener has left, `FailedPrecondition` when it was accepted before, and for the opener.
        """
        self._check_acceptor()
        self._tell_accepted(payload)
        self._opened(payload)

    async def reject(self, reason: str = "") -> None:
        """Refuse the channel: the opener gets `ChannelRejected` with `reason`. Raises as `accept`. Returns at once."""
        self._check_acceptor()
        self._end_with("rejected", ChannelRejected(reason))

    async def wait_opened(self, timeout: float | None = OPEN_TIMEOUT_S) -> None:
        """Wait until the other side accepts. Only for who made an end with `local_channel`.

        Raises `ChannelRejected`, `DeadlineExceeded` after `timeout` seconds (None: never), and what the other side failed with.
        Cancelling it withdraws the opening.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._life.wait_opened()
        except TimeoutError:
            late = DeadlineExceeded(f"{self.target} neither accepted nor rejected the channel within {timeout:g} s")
            self._end_with("closed", late)
            raise late from None
        except asyncio.CancelledError:
            self._end_with("closed", Cancelled(f"{self.initiator or 'the opener'} gave the channel up"))
            raise
        if not self._life.opened:
            raise self._life.refusal()

    # ── to end ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def close_send(self) -> None:
        """Half-close: nothing more will be sent from here, the other direction goes on. Idempotent.

        When both sides have done so, the channel is closed. Raises `FailedPrecondition` before it was accepted.
        """
        life = self._life
        if life.ending is not None or life.ended_here:
            return
        if not life.opened:
            raise life.refusal()
        life.ended_here = True
        self._tell_half_closed()
        if life.ended_there:
            self._complete()

    async def close(self, reason: str = "") -> None:
        """Close the channel in both directions: what was sent is delivered, what waits here is dropped. Idempotent.

        The other side finds `reason` as ``channel.reason``. A channel that was not accepted is rejected. Returns at once.
        """
        if self._life.ending is not None:
            self._drop()
            return
        if not self._life.opened:
            left = ChannelRejected(reason or "it was closed before it was accepted")
            self._end_with("closed" if self.opener else "rejected", left)
            return
        why = f": {reason}" if reason else ""
        self._ended("closed", reason, ChannelClosed(f"this side has closed the channel{why}"))
        self._tell_closed(reason)

    def fail(self, error: Exception) -> None:
        """End the channel with `error`, which the other side gets where it receives and sends. Idempotent."""
        self._end_with("lost", error)

    async def wait_closed(self) -> None:
        """Wait until the channel is over, whatever the way. Safe to cancel."""
        await self._life.wait_over()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(kind.__name__ if kind is not None else "")

    # ── to watch ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def observe(self, observer: Observer) -> None:
        """Call ``observer(kind, data)`` for all that happens, beginning with the opening. It must neither wait nor raise.

        Kinds and data are those of `Tap`: channel_opened, _accepted, _rejected, _message, _closed.
        """
        self._life.observer = observer
        self._record("channel_opened", initiator=self.initiator, payload=self.payload)
        if self._life.opened:
            self._record("channel_accepted", payload=self.accepted)

    def statistics(self) -> ChannelStatistics:
        """Return how the channel stands now."""
        if self._sink is None or self._source is None:
            return ChannelStatistics(self.state, 0, 0, 0, 0, 0, 0)
        out, into = self._sink.statistics(), self._source.statistics()
        credit = 0 if self._life.ending or self._life.ended_here else out.credit
        return ChannelStatistics(
            self.state, out.sent, into.received, into.buffered, into.buffer_size, credit, out.waiting_senders
        )

    def __repr__(self) -> str:
        now = self.statistics()
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"<Channel {self.id} {self.initiator or '?'} to {self.target} {now.state}{why}, "
            f"{now.sent} sent, {now.received} received>"
        )

    def __del__(self) -> None:
        if hasattr(self, "_loop"):
            finalize_on(self._loop, self._forget)

    # ── what the other side did ───────────────────────────────────────────────────────────────────────────────────────

    def _opened(self, payload: Any) -> None:
        """The channel was accepted, here or there."""
        self.accepted = payload
        self._life.open()
        self._record("channel_accepted", payload=payload)

    def _half_closed_there(self) -> None:
        """The other side sends nothing more."""
        self._life.ended_there = True
        if self._life.ended_here:
            self._complete()

    def _closed_there(self, reason: str) -> None:
        """The other side has closed the channel."""
        why = f": {reason}" if reason else ""
        self._ended("closed", reason, ChannelClosed(f"the other side has closed the channel{why}"))

    def _failed_there(self, error: Exception) -> None:
        """The other side has failed the channel, rejected it, or is gone."""
        reason = str(error)
        if self._life.opened:
            self._ended("lost", reason, error)
        elif isinstance(error, ChannelRejected):
            self._ended("rejected", reason, error)
        elif self.opener:
            self._ended("lost", reason, error)
        else:
            self._ended("closed", reason, ChannelClosed(f"the opener has left before the channel was accepted: {reason}"))

    # ── steps that tell the other side ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _tell_accepted(self, payload: Any) -> None:
        """Accept. Raises what makes it impossible; then nothing was sent."""

    @abstractmethod
    def _tell_half_closed(self) -> None:
        """End our direction."""

    @abstractmethod
    def _tell_closed(self, reason: str) -> None:
        """End our direction after what was sent, and drop the other one."""

    @abstractmethod
    def _tell_failed(self, error: Exception) -> None:
        """End both directions with an error."""

    @abstractmethod
    def _complete(self) -> None:
        """Both directions have ended normally."""

    @abstractmethod
    def _drop(self) -> None:
        """Drop what waits here."""

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_acceptor(self) -> None:
        life = self._life
        if self.opener:
            raise FailedPrecondition("this side has opened the channel; the other one accepts or rejects it")
        if life.ending is not None:
            raise life.refusal()
        if life.opened:
            raise FailedPrecondition("the channel was accepted before")

    def _end_with(self, ending: Ending, error: Exception) -> None:
        """This side ends the channel with an error."""
        mine = error if self.opener and not self._life.opened else ChannelClosed(f"this side has ended the channel: {error}")
        if self._ended(ending, str(error), mine):
            self._tell_failed(error)

    def _ended(self, ending: Ending, reason: str, outcome: Exception) -> bool:
        """The channel is over; return whether it was not before."""
        if not self._life.end(ending, reason, outcome):
            return False
        if ending == "rejected":
            self._record("channel_rejected", reason=reason)
        else:
            self._record("channel_closed", outcome=ending, reason=reason)
        return True

    def _forget(self) -> None:
        if self._life.ending is not None:
            self._drop()
        elif self._life.opened or self.opener:
            self.fail(Aborted("the channel was forgotten without close()"))
        else:
            self._end_with("rejected", ChannelRejected(f"{self.target} neither accepted nor rejected the channel"))
