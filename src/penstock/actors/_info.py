"""How actors stand, as values: for screens, the command line, a programmer's eye. It changes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from penstock.actors.cell import Cell

#: How many dead letters are kept to be looked at; all are counted.
DEAD_LETTERS_KEPT: Final = 1000


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that nobody will handle, and why."""

    address: str
    type: str
    sender: str | None
    reason: str


class ActorInfo(msgspec.Struct, frozen=True):
    """How an actor stands. `mailbox` messages wait of at most `mailbox_size`; `streams` are beside the mailbox.

    handling: the type of the message that is being handled, "" for none.
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
    """How one stream or channel of an actor stands, seen from the actor. `peer` is empty for a consumer in this process.

    `sent` items, of which the consumer has taken `received`; `lag` are on the way to it or before it, and `credit` more may be
    sent before the actor waits. Of a channel, `received` and `lag` are what the actor has received and not read yet.
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
    """The last messages that nobody handled: iterate over it. `count` has all there ever were."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)

    def add(self, envelope: DeadLetter) -> None:
        """Keep one."""
        self.count += 1
        self._kept.append(envelope)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<DeadLetters {self.count}>"


def info_of(cell: Cell, now_s: float) -> ActorInfo:
    """Tell how an actor stands at `now_s`, a time of the loop's clock."""
    return ActorInfo(
        cell.address,
        cell.id,
        f"{cell.cls.__module__}:{cell.cls.__qualname__}",
        cell.state,
        len(cell.queue.envelopes),
        cell.queue.rules.size,
        sum(not work.is_channel for work in cell.work),
        sum(work.is_channel for work in cell.work),
        len(cell.children or ()),
        cell.restarts,
        cell.handled,
        now_s - cell.started_s if cell.started_s else 0.0,
        cell.error,
        "" if cell.current is None else cell.current.type,
    )


def streams_of(cell: Cell) -> Iterator[StreamInfo]:
    """Tell how its streams and channels stand."""
    for work in cell.work:
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
