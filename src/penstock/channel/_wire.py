"""The seam of a channel: a `Wire` takes the steps of this side to the other end, `ChannelEvents` notes the steps of both.

A `Channel` calls the six steps of its wire: `_local` has two pipes, `_remote` one bidirectional stream. No step waits. The wire
calls `opened`, `half_closed`, `closed` and `failed` for the steps of the other side. They set the state (`Life`) and tell the
observer. No `ChannelEvents` holds its channel or wire, so a channel that the program forgets is freed at once, without a cycle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from penstock._outcomes import text_of
from penstock.channel._life import Ending, Life
from penstock.errors import Aborted, ChannelClosed, ChannelRejected
from penstock.observe import Kind
from penstock.streams import Sink, Source

#: Called with the kinds of `Tap` that begin with "channel", and with the data of each.
Observer = Callable[[Kind, dict[str, Any]], None]


class Opening(NamedTuple):
    """The names and the payload with which a channel is opened; the attributes of `Channel` with these names explain them."""

    id: str
    initiator: str
    target: str
    payload: Any


class ChannelEvents:
    """What happens to one end of a channel.

    opening: how the channel was opened. opener: this side has opened it. accepted: the payload of `accept`; None before.
    life: the state. observer: called for each event; None without one.
    """

    __slots__ = ("accepted", "life", "observer", "opener", "opening")

    def __init__(self, opening: Opening, *, opener: bool) -> None:
        self.opening = opening
        self.opener = opener
        self.accepted: Any = None
        self.life = Life()
        self.observer: Observer | None = None

    # ── steps of the other side ───────────────────────────────────────────────────────────────────────────────────────

    def opened(self, payload: Any) -> None:
        """Note that the channel was accepted with `payload`, by this side or by the other one."""
        self.accepted = payload
        self.life.open()
        self.record("channel_accepted", payload=payload)

    def half_closed(self) -> bool:
        """Note that the other side sends nothing more; return whether both directions have ended now."""
        self.life.end_receiving()
        return self.life.ended_here

    def closed(self, reason: str) -> None:
        """Note that the other side has closed the channel."""
        why = f": {reason}" if reason else ""
        self.ended("closed", reason, ChannelClosed(f"the other side has closed the channel{why}"))
        self.life.leave()

    def failed(self, error: Exception) -> None:
        """Note that the other side has failed or rejected the channel, or that the connection was lost."""
        reason = text_of(error)
        if self.life.opened:
            self.ended("lost", reason, error)
        elif isinstance(error, ChannelRejected):
            self.ended("rejected", reason, error)
        elif self.opener:
            self.ended("lost", reason, error)
        else:
            self.ended("closed", reason, ChannelClosed(f"the opener has left before the channel was accepted: {reason}"))
        self.life.leave()

    # ── steps of either side ──────────────────────────────────────────────────────────────────────────────────────────

    def completed(self) -> None:
        """Note that both directions have ended normally."""
        self.ended("closed", "", ChannelClosed("both sides have ended the channel"))
        self.life.leave()

    def ended(self, ending: Ending, reason: str, outcome: Exception) -> bool:
        """Note how the channel ended; return False, and change nothing, when it had ended already."""
        if not self.life.end(ending, reason, outcome):
            return False
        if ending == "rejected":
            self.record("channel_rejected", reason=reason)
        else:
            self.record("channel_closed", outcome=ending, reason=reason)
        return True

    # ── the observer ──────────────────────────────────────────────────────────────────────────────────────────────────

    def passed(self, direction: Literal["in", "out"], messages: Iterable[Any]) -> None:
        """Tell the observer, if there is one, of messages that the program received ("in") or sent ("out")."""
        if self.observer is not None:
            for message in messages:
                self.record("channel_message", direction=direction, message=message)

    def record(self, kind: Kind, **data: Any) -> None:
        """Tell the observer, if there is one, of one event."""
        if self.observer is not None:
            self.observer(kind, {"channel": self.opening.id, **data})


class Wire(ABC):
    """The connection of one end of a channel to the other end.

    events: where the steps of both sides are noted. waiter: the future of the task that waits here for a message.
    """

    __slots__ = ()
    events: ChannelEvents
    waiter: Any

    @abstractmethod
    def ends(self) -> tuple[Sink[Any], Source[Any]]:
        """Return the sink and the source for the messages of this end; call it once. They are in use from the acceptance on."""

    # ── the six steps ─────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def accept(self, payload: Any) -> None:
        """Tell the opener that the channel is accepted. Raises the error that prevents it; then nothing was sent."""

    @abstractmethod
    def half_close(self) -> None:
        """End this direction, after the messages that were sent."""

    @abstractmethod
    def close(self, reason: str) -> None:
        """End this direction after the messages that were sent, and drop the other one."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End both directions with `error`."""

    @abstractmethod
    def complete(self) -> None:
        """Note that both directions have ended normally, and end the channel if that is this side's part."""

    @abstractmethod
    def drop(self) -> None:
        """Drop the messages that wait here."""

    # ── endings that begin here ───────────────────────────────────────────────────────────────────────────────────────

    def end_with(self, ending: Ending, error: Exception) -> None:
        """End the channel from this side with `error`, unless it had ended already."""
        events = self.events
        opening = events.opener and not events.life.opened  # then `error` is for the task that waits for the acceptance
        reason = text_of(error)
        outcome = error if opening else ChannelClosed(f"this side has ended the channel: {reason}")
        if events.ended(ending, reason, outcome):
            self.fail(error)

    def forget(self) -> None:
        """End the channel that the program has dropped without closing it."""
        events = self.events
        if events.life.ending is not None:
            self.drop()
        elif events.life.opened or events.opener:
            self.end_with("lost", Aborted("the channel was forgotten without close()"))
        else:
            self.end_with("rejected", ChannelRejected(f"{events.opening.target} neither accepted nor rejected the channel"))
