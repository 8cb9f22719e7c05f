"""Casty 0.30.2's actors (Python ≥ 3.12; its runtime is Rust), in one process and from a client of a cluster of one node.

Its total is a variable of the actor's body, not its saved state: the faster way for Casty. Actors are activated by their first
message, so spawning one is asking one that was never asked.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from casty import ActorSystem, Askable, Client, Cluster, Context, actor

from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._memory import resident_bytes
from benchmarks.sides._ports import free_port
from benchmarks.sides.actors._checks import Asks, now


@dataclass(frozen=True)
class Add(Askable[int]):
    """Asks for the total after `number` was added."""

    number: int


@dataclass(frozen=True)
class More:
    """Tells to add."""

    number: int


@actor(initial=0, idle_after=timedelta(hours=1))
async def counter(ctx: Context[int, Add | More]) -> None:
    """Add up."""
    total = 0
    async for message in ctx.inbox:
        total += message.number
        if type(message) is Add:
            message.reply_to.tell(total)


class _Both:
    """What both drivers do, given a system or a client."""

    _system: Any

    def _use(self, system: Any) -> None:
        self._system = system
        self._keys = itertools.count()
        self._counter = system.ref(counter, "one")
        self._asks = Asks(lambda number: self._counter.ask(Add(number)))

    async def ask(self, count: int) -> Answer:
        """Ask, one after the other."""
        return await self._asks.sequential(count)

    async def ask_in_flight(self, count: int, width: int) -> Answer:
        """Ask, `width` at a time."""
        return await self._asks.at_once(count, width)

    async def tell(self, count: int) -> Answer:
        """Tell, until all were handled."""
        tell = self._counter.tell
        started = now()
        for _ in range(count):
            tell(More(1))
        return await self._asks.told(count, started)

    async def spawn(self, count: int) -> Answer:
        """Activate `count` actors."""
        started = now()
        for _ in range(count):
            await self._system.ref(counter, f"n{next(self._keys)}").ask(Add(1))
        return rate(count, started)


class LocalDriver(_Both):
    """`ActorSystem()` without a cluster: actors and callers on one event loop."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Start the actor system."""
        del url, transport, folder
        self._use(await ActorSystem().__aenter__())

    async def hold(self, count: int) -> int:
        """Activate `count` more; answer how many bytes this process holds then."""
        await self.spawn(count)
        return resident_bytes()


class Server:
    """A cluster of one node."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        del transport, folder
        address = f"127.0.0.1:{free_port()}"
        self._system = await ActorSystem(cluster=Cluster(bind=address)).__aenter__()
        return address


class Driver(_Both):
    """A client of that cluster."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to the node at `url`."""
        del transport, folder
        self._use(await Client(seeds=(url,)).__aenter__())
