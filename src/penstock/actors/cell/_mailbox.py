"""The bounded queue before an actor. It never runs a message.

Room that opens while senders wait is reserved for the first of them at once, as in a pipe, so that the bound is exact and
nobody is overtaken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final, Literal, get_args

import msgspec

from penstock.actors.cell._envelope import Envelope
from penstock.errors import ActorStopped, MailboxFull
from penstock.streams import Waiters

Overflow = Literal["wait", "reject", "drop_oldest"]
OVERFLOWS: Final[tuple[Overflow, ...]] = get_args(Overflow)


class Mailbox(msgspec.Struct, frozen=True):
    """How many messages may wait for an actor, and what happens to the next one.

    size: messages that may wait, at least 1; 1,000 take about half a megabyte with small arguments.
    overflow: "wait" (the sender waits for room), "reject" (it gets `MailboxFull`), "drop_oldest" (the message that waited
    longest becomes a dead letter, and its asker gets `MailboxFull`).
    """

    size: int = 1000
    overflow: Overflow = "wait"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size!r}; a mailbox holds at least one message")
        if self.overflow not in OVERFLOWS:
            raise ValueError(f"overflow is {self.overflow!r}; it is one of {', '.join(OVERFLOWS)}")


DEFAULT_MAILBOX: Final = Mailbox()
#: A message from elsewhere of more than this is counted in bytes, too …
LARGE_BYTES: Final = 16 * 1024
#: … and no message is taken while those that wait are more than this: a peer must not make a mailbox as large as it likes.
HELD_BYTES_MAX: Final = 64 * 1024 * 1024


class MailboxQueue:
    """The messages that wait for one actor."""

    __slots__ = ("closed", "envelopes", "heavy", "held_bytes", "rules", "senders")

    def __init__(self, rules: Mailbox) -> None:
        self.rules = rules
        self.envelopes: deque[Envelope] = deque()
        self.held_bytes = 0  # by large messages
        self.heavy = False  # too much
        self.closed = ""  # why nothing is taken any more
        self.senders = Waiters()

    def has_room(self) -> bool:
        """Whether one more is taken at once, if any is."""
        return len(self.envelopes) + self.senders.reserved < self.rules.size and not self.heavy

    def load(self) -> str:
        """Say what a full mailbox is full of."""
        return f"{self.held_bytes} bytes" if self.heavy else f"{self.rules.size} messages (Mailbox.size)"

    def make_room(self, address: str) -> list[Envelope]:
        """Do what the policy says about a full mailbox: return the dropped envelopes; none when the sender has to wait.

        Raises `MailboxFull` for a mailbox that rejects.
        """
        self.check()
        if self.rules.overflow == "reject":
            raise MailboxFull(f"{address}: its mailbox holds {self.load()} and rejects more", started=False)
        dropped: list[Envelope] = []
        while self.rules.overflow == "drop_oldest" and self.envelopes and not self.has_room():
            dropped.append(self.envelopes.popleft())
            self.hold(-dropped[-1].size)
        return dropped

    def hold(self, size: int) -> None:
        """Count a large message that came, or, below zero, one that went."""
        if size:
            self.held_bytes += size
            self.heavy = self.held_bytes >= HELD_BYTES_MAX

    def room(self, reply: asyncio.Future[Any] | None = None) -> Coroutine[Any, Any, None]:
        """Wait for room; then the caller calls `check`, and fills the room before it awaits again.

        An error that `reply` gets meanwhile, because nobody wants the answer any more, is raised.
        """
        if reply is None:
            return self.senders.wait(self.wake)
        waiter = asyncio.get_running_loop().create_future()
        reply.add_done_callback(partial(_give_up, waiter))
        return self.senders.wait(self.wake, waiter)

    def wake(self) -> None:
        """Reserve the room there is for the senders that wait longest."""
        senders = self.senders
        if self.closed:
            senders.wake_all()
        elif not self.heavy:
            senders.wake(self.rules.size - len(self.envelopes) - senders.reserved)

    def take(self) -> Envelope:
        """Return the next message."""
        envelope = self.envelopes.popleft()
        self.hold(-envelope.size)
        if self.senders.line:
            self.wake()
        return envelope

    def close(self, why: str) -> list[Envelope]:
        """Take nothing any more; return what waited."""
        self.closed = why
        left = list(self.envelopes)
        self.envelopes.clear()
        self.wake()
        return left

    def check(self) -> None:
        """Raise `ActorStopped` when nothing is taken any more."""
        if self.closed:
            raise ActorStopped(self.closed, started=False)


def _give_up(waiter: asyncio.Future[None], reply: asyncio.Future[Any]) -> None:
    if not waiter.done() and not reply.cancelled():
        waiter.set_exception(reply.exception() or asyncio.InvalidStateError("answered before it was sent"))
