"""The state of actors, streams and dead letters as values, for screens, the command line and tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from penstock.actors.cell import Cell

#: How many dead letters are kept; all are counted.
DEAD_LETTERS_KEPT: Final = 1000


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that no actor will handle. `sender` is the address of an actor, None for a sender that is not one."""

    address: str
    type: str
    sender: str | None
    reason: str


class ActorInfo(msgspec.Struct, frozen=True):
    """The state of an actor.

    actor: its class, ``module:name``. state: starting, running, restarting, stopping or stopped. mailbox: how many messages
    wait, of at most `mailbox_size`. streams, channels: how many run beside the mailbox. children: how many it has. restarts:
    how often it was made anew. messages: how many it has handled. uptime_s: seconds since its last start. error: its last
    crash, "" for none. handling: the type of the message that is being handled, "" for none.
    """

    address: str
    id: str
    actor: str
    state: str
    mailbox: int
    mailbox_size: int
    streams: int
    channels: int
    children: int
    restarts: int
    messages: int
    uptime_s: float
    error: str
    handling: str = ""


class StreamInfo(msgspec.Struct, frozen=True):
    """The state of one stream or channel of an actor, seen from the actor.

    peer: where the other side is, empty for this process. sent: items that the actor has sent. received: how many of them the
    consumer has taken. lag: how many are on the way or wait for the consumer. credit: how many more may be sent before the
    actor waits. Of a channel, `received` counts the messages that came to the actor, and `lag` those it has not read yet.
    """

    address: str
    number: int
    name: str
    channel: bool
    peer: str
    state: str
    sent: int
    received: int
    lag: int
    credit: int


class DeadLetters:
    """The messages that no actor handled: iterate over the last `DEAD_LETTERS_KEPT`. count: how many there ever were."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)

    def add(self, dead_letter: DeadLetter) -> None:
        """Count a message, and keep it."""
        self.count += 1
        self._kept.append(dead_letter)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<DeadLetters {self.count}>"


def info_of(cell: Cell, now_s: float) -> ActorInfo:
    """Return the state of an actor at `now_s`, a time of the loop's clock."""
    return ActorInfo(
        cell.address,
        cell.id,
        f"{cell.cls.__module__}:{cell.cls.__qualname__}",
        cell.state,
        len(cell.queue),
        cell.queue.rules.size,
        sum(not work.is_channel for work in cell.belongings.side_tasks),
        sum(work.is_channel for work in cell.belongings.side_tasks),
        len(cell.belongings.children),
        cell.restarts,
        cell.handled,
        now_s - cell.started_s if cell.started_s else 0.0,
        cell.failures.last,
        "" if cell.current is None else cell.current.type,
    )


def streams_of(cell: Cell) -> Iterator[StreamInfo]:
    """Iterate over the state of an actor's streams and channels."""
    for work in cell.belongings.side_tasks:
        if work.statistics is not None:
            now = work.statistics()
            yield StreamInfo(
                cell.address,
                work.number,
                work.name,
                work.is_channel,
                work.peer,
                now.state,
                now.sent,
                now.received,
                now.buffered,
                now.credit,
            )
