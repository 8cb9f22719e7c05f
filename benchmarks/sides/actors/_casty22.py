"""Casty 0.22.1's actors (Python ≥ 3.12), in one process and from a client. No figure is tuned: its defaults are its own.

It has no tell from outside an actor: its tell is `emit`, an actor's message to itself, less work than one from elsewhere.
Actors are activated by their first message, so spawning one is asking one that was never asked.
"""

from __future__ import annotations

import itertools

import casty

from benchmarks.sides._casty import Server
from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._memory import resident_bytes
from benchmarks.sides.actors._checks import Asks, now

__all__ = ["Driver", "LocalDriver", "Server"]


@casty.actor(idle_timeout=float("inf"))
class Counter:
    """Adds up."""

    total: int = 0

    async def add(self, number: int) -> int:
        """Add, and answer the total."""
        self.total += number
        return self.total

    async def _add(self, number: int) -> None:
        self.total += number

    async def tell_itself(self, count: int) -> None:
        """Send itself `count` messages."""
        emit = casty.context().emit
        for _ in range(count):
            emit(self._add, 1)


class LocalDriver:
    """`casty.local()`: actors and callers on one event loop."""

    def __init__(self) -> None:
        self._keys = itertools.count()

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Start the actor system."""
        del url, transport, folder
        self._system = casty.local()
        self._counter = self._system.actor(Counter, "one")
        self._asks = Asks(self._counter.add)

    async def ask(self, count: int) -> Answer:
        """Ask, one after the other."""
        return await self._asks.sequential(count)

    async def ask_in_flight(self, count: int, width: int) -> Answer:
        """Ask, `width` at a time."""
        return await self._asks.at_once(count, width)

    async def tell(self, count: int) -> Answer:
        """Tell, until all were handled."""
        started = now()
        await self._counter.tell_itself(count)
        return await self._asks.told(count, started)

    async def spawn(self, count: int) -> Answer:
        """Activate `count` actors."""
        started = now()
        for _ in range(count):
            await self._system.actor(Counter, f"n{next(self._keys)}").add(1)
        return rate(count, started)

    async def hold(self, count: int) -> int:
        """Activate `count` more; answer how many bytes this process holds then."""
        await self.spawn(count)
        return resident_bytes()


class Driver:
    """A client of that cluster. It cannot tell."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to the node at `url`."""
        del transport, folder
        self._client = await casty.connect([url])
        self._asks = Asks(self._client.actor(Counter, "one").add)

    async def ask(self, count: int) -> Answer:
        """Ask, one after the other."""
        return await self._asks.sequential(count)

    async def ask_in_flight(self, count: int, width: int) -> Answer:
        """Ask, `width` at a time."""
        return await self._asks.at_once(count, width)
