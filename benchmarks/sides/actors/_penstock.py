"""Penstock's actors, in one process and from another, with and without a history. No option set: what a user gets at first."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import penstock
from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._memory import resident_bytes
from benchmarks.sides._penstock import listen_url
from benchmarks.sides.actors._checks import Asks, now
from penstock.history import History


class Counter(penstock.Actor):
    """Adds up."""

    def __init__(self) -> None:
        self._total = 0

    async def add(self, number: int) -> int:
        """Add, and answer the total."""
        self._total += number
        return self._total


class Waiting(Counter):
    """Adds up, and may wait: it is handled by way of its mailbox, always."""

    async def add(self, number: int) -> int:
        """Add, and answer the total; wait for nothing."""
        if number < 0:
            await asyncio.sleep(0)
        self._total += number
        return self._total


class _Both:
    """What both drivers do, given the stub of one actor."""

    def _use(self, counter: Counter) -> None:
        self._told: Any = penstock.tell(counter)
        self._asks = Asks(counter.add)

    async def ask(self, count: int) -> Answer:
        """Ask, one after the other."""
        return await self._asks.sequential(count)

    async def ask_in_flight(self, count: int, width: int) -> Answer:
        """Ask, `width` at a time."""
        return await self._asks.at_once(count, width)

    async def tell(self, count: int) -> Answer:
        """Tell, until all were handled."""
        told = self._told
        started = now()
        for _ in range(count):
            await told.add(1)
        return await self._asks.told(count, started)


class LocalDriver(_Both):
    """`penstock.ActorSystem()`: actors and callers on one event loop."""

    actor: type[Counter] = Counter

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Start the actor system."""
        del url, transport
        self._stack = AsyncExitStack()
        tap = await self._tap(folder)
        self._system = await self._stack.enter_async_context(penstock.ActorSystem(tap=tap))
        self._use(await self._system.spawn(self.actor, name="one"))

    async def _tap(self, folder: str) -> Any:
        """Return who is told what happens: nobody."""
        del folder

    async def spawn(self, count: int) -> Answer:
        """Start `count` actors, one after the other; they are stopped after the clock."""
        started = now()
        actors = [await self._system.spawn(Counter) for _ in range(count)]
        answer = rate(count, started)
        for actor in actors:
            await penstock.ref(actor).stop()
        return answer

    async def hold(self, count: int) -> int:
        """Start `count` more; answer how many bytes this process holds then."""
        for _ in range(count):
            await self._system.spawn(Counter)
        return resident_bytes()


class MailboxLocalDriver(LocalDriver):
    """An actor whose handler may wait: nothing is handled where it is sent."""

    actor = Waiting


class HistoryLocalDriver(LocalDriver):
    """The same, and a history keeps every message."""

    async def _tap(self, folder: str) -> Any:
        return await self._stack.enter_async_context(History(f"{folder}/history.db"))


class HistoryMailboxLocalDriver(HistoryLocalDriver):
    """A handler that may wait, and a history."""

    actor = Waiting


class Server:
    """An actor system that is served."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        self._stack = AsyncExitStack()
        tap = await self._tap(folder)
        system = await self._stack.enter_async_context(penstock.ActorSystem(tap=tap))
        await system.spawn(Counter, name="one")
        server = await self._stack.enter_async_context(penstock.serve(system, listen=listen_url(transport, folder)))
        return str(server.urls[0])

    async def _tap(self, folder: str) -> Any:
        """Return who is told what happens: nobody."""
        del folder


class HistoryServer(Server):
    """The same, and a history keeps every message."""

    async def _tap(self, folder: str) -> Any:
        return await self._stack.enter_async_context(History(f"{folder}/history.db"))


class Driver(_Both):
    """`penstock.connect(url)` and the stub of the actor there."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to `url`."""
        del transport, folder
        self._stack = AsyncExitStack()
        peer = await self._stack.enter_async_context(penstock.connect(url))
        self._use(peer.actor(Counter, "one"))


class HistoryDriver(Driver):
    """The caller does not see the difference."""
