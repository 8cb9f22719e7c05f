"""What actors live in, as the run-time of one sees it: an `ActorSystem` is one. It has no code."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextvars import Context
from typing import TYPE_CHECKING, Protocol

from penstock.actors._supervision import Supervision
from penstock.actors.cell._envelope import Envelope
from penstock.errors import StatusError
from penstock.observe import Tap

if TYPE_CHECKING:
    from penstock.actors._ref import Router
    from penstock.actors.cell._cell import Cell


class Host(Protocol):
    """The surroundings of an actor.

    context: what its tasks begin with. inline: messages handled where they were sent since others had a turn. supervision: of
    actors without a parent. stop_grace_s: what a message that is being handled has left when its actor is to stop.
    """

    id: str
    context: Context
    inline: int
    stop_grace_s: float
    supervision: Supervision
    tap: Tap | None

    @property
    @abstractmethod
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs the actors."""

    @abstractmethod
    def next_number(self) -> int:
        """Return a number that nothing else here has."""

    @abstractmethod
    def cell(self, address: str) -> Cell:
        """Find an actor by name or id. Raises `NotFound`."""

    @abstractmethod
    def family(self, cell: Cell) -> dict[str, Cell]:
        """Return an actor and its siblings, in the order they were spawned."""

    @abstractmethod
    def remove(self, cell: Cell) -> None:
        """This actor has stopped, or never began."""

    @abstractmethod
    def dead_letter(self, envelope: Envelope, reason: str, error: StatusError | None = None) -> None:
        """Nobody will handle this message: keep it where it can be seen, and tell its asker."""

    @abstractmethod
    def seen_from_here(self, peer: Router, address: str) -> str:
        """Return the address, by a bridge if there is one, of an actor at the other side of a connection."""
