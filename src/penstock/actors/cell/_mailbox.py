"""The bounded queue before an actor, and the system messages that go before it.

Room that opens while senders wait is reserved for the first of them at once, as in a pipe: the bound is exact, and no sender
overtakes another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Literal, get_args

import msgspec

from penstock.actors.cell._envelope import Envelope
from penstock.errors import ActorStopped, MailboxFull
from penstock.streams import Waiters, checked_size

Overflow = Literal["wait", "reject", "drop_oldest"]
_OVERFLOWS: Final[tuple[Overflow, ...]] = get_args(Overflow)


class Mailbox(msgspec.Struct, frozen=True):
    """How many messages may wait for an actor, and what happens to a message when the mailbox is full.

    size: messages that may wait, at least 1 (1,000); 1,000 take about half a megabyte with small arguments.
    overflow: "wait" (the sender waits for room), "reject" (the sender gets `MailboxFull`), "drop_oldest" (the message that
    has waited longest becomes a dead letter, and its asker gets `MailboxFull`).

    Set it for a class (``mailbox = Mailbox(size=10)``) or for one actor (``spawn(..., mailbox=...)``). Raises `ValueError` for
    other values.
    """

    size: int = 1000
    overflow: Overflow = "wait"

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "size", checked_size("size", self.size))
        if self.overflow not in _OVERFLOWS:
            raise ValueError(f"overflow is {self.overflow!r}; it is one of {', '.join(_OVERFLOWS)}")


DEFAULT_MAILBOX: Final = Mailbox()

#: A message of the run-time itself: a method to run (a tick, news of a child), or a step in the life of the actor.
SystemMessage = Envelope | Callable[[], Coroutine[Any, Any, None]]


class MailboxQueue:
    """The messages that wait for one actor.

    rules: its bounds. envelopes: the waiting messages, and empty envelopes of those that were withdrawn. bound: how many
    envelopes it may hold: `rules.size`, and the empty ones. system_messages: handled before these, and not bounded; None before
    the first. closed: why the mailbox takes no message any more; empty while it does. senders: the line of tasks that wait for
    room. The bytes of messages from other processes are charged to their connections.
    """

    __slots__ = ("bound", "closed", "envelopes", "rules", "senders", "system_messages")

    def __init__(self, rules: Mailbox) -> None:
        self.rules = rules
        self.bound = rules.size
        self.envelopes: deque[Envelope] = deque()
        self.system_messages: deque[SystemMessage] | None = None
        self.closed = ""
        self.senders = Waiters()

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self.envelopes) - (self.bound - self.rules.size)

    # ── room ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def has_room(self) -> bool:
        """Whether an open mailbox takes one more message at once."""
        return len(self.envelopes) + self.senders.reserved < self.bound

    def load(self) -> str:
        """Describe the contents of a full mailbox, for an error."""
        return f"{self.rules.size} messages (Mailbox.size)"

    def check(self) -> None:
        """Raise `ActorStopped` when the mailbox is closed."""
        if self.closed:
            raise ActorStopped(self.closed, started=False)

    def check_accepts(self, address: str) -> None:
        """Raise `ActorStopped` when the mailbox is closed, `MailboxFull` when it rejects messages and has no room."""
        self.check()
        if self.rules.overflow == "reject" and not self.has_room():
            raise MailboxFull(f"{address}: its mailbox holds {self.load()} and rejects more", started=False)

    def make_room(self, address: str) -> list[Envelope]:
        """Apply the overflow policy of a full mailbox: return the dropped messages; none when the sender has to wait.

        Raises as `check_accepts`.
        """
        self.check_accepts(address)
        dropped: list[Envelope] = []
        while self.rules.overflow == "drop_oldest" and self.envelopes and not self.has_room():
            oldest = self.envelopes.popleft()
            if not self.skip(oldest):
                dropped.append(oldest)
        return dropped

    def room(self, reply: asyncio.Future[Any] | None = None) -> Coroutine[Any, Any, None]:
        """Wait for room. Then the caller calls `check`, and fills the room before it awaits again.

        An error that `reply` gets during the wait, because its asker has given up, is raised.
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
        else:
            senders.wake(self.bound - len(self.envelopes) - senders.reserved)

    # ── messages that were given up ───────────────────────────────────────────────────────────────────────────────────

    def withdraw(self, envelope: Envelope) -> None:
        """Free the place and the values of a waiting message at once, because its asker has given it up.

        The empty envelope stays in line, and counts for nothing. When most envelopes are empty, all empty ones leave, so a
        withdrawal takes the same time in a mailbox of any length.
        """
        envelope.empty()
        self.bound += 1
        if (self.bound - self.rules.size) * 2 > len(self.envelopes):
            waiting = [each for each in self.envelopes if not each.is_over]
            self.envelopes.clear()  # the task of the actor holds this deque
            self.envelopes.extend(waiting)
            self.bound = self.rules.size
        if self.senders.line:
            self.wake()

    def skip(self, envelope: Envelope) -> bool:
        """Note that an envelope has left the mailbox and will not be handled; return whether it was withdrawn before."""
        if envelope.is_over:
            self.bound -= 1
            return True
        envelope.leave()
        if self.senders.line:
            self.wake()
        return False

    # ── system messages ───────────────────────────────────────────────────────────────────────────────────────────────

    def add_system(self, message: SystemMessage) -> None:
        """Put a message before all that are not of the system."""
        if self.system_messages is None:
            self.system_messages = deque()
        self.system_messages.append(message)

    def drop_ticks(self, tick: Envelope | None = None) -> None:
        """Drop that tick of a timer, if it waits; without one all ticks, because their incarnation has ended."""
        if self.system_messages:
            left = (each for each in self.system_messages if (each is not tick if tick is not None else not _is_tick(each)))
            self.system_messages = deque(left)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, why: str) -> tuple[list[Envelope], list[SystemMessage]]:
        """Take no message any more; return the messages that waited, and those of the system."""
        self.closed = why
        envelopes = [each for each in self.envelopes if not self.skip(each)]
        system = list(self.system_messages or ())
        self.envelopes.clear()
        self.system_messages = None
        self.wake()
        return envelopes, system


def _is_tick(message: SystemMessage) -> bool:
    return isinstance(message, Envelope) and message.via == "timer"


def _give_up(waiter: asyncio.Future[None], reply: asyncio.Future[Any]) -> None:
    if not waiter.done() and not reply.cancelled():
        waiter.set_exception(reply.exception() or asyncio.InvalidStateError("answered before it was sent"))
