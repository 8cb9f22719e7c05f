"""What the server and the clients of a program serve. Every handler knows its flow by number, and tells it what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import penstock
from penstock import Actor, Channel, Mailbox, SinkRef, SourceRef
from tests.soak.model import Crash, Flow, Item

#: Messages of a `Narrow` that may wait.
NARROW: int = 2
#: How long a `Herald` waits for its subscriber: longer than a session is kept.
SUBSCRIBER_S: float = 25.0


class Hall:
    """The service of the server."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._kept: dict[int, SourceRef[Item]] = {}

    def _flow(self, number: int) -> Flow:
        flow: Flow = self._world.flows[number]
        return flow

    async def add(self, number: int, message: int) -> int:
        self._flow(number).handled.append(message)
        await self._world.pause(self._flow(number).pause_s)
        return message + 1

    async def watch(self, number: int) -> AsyncIterator[Item]:
        async for item in self._flow(number).down.items():
            yield item

    async def record(self, number: int, items: AsyncIterator[Item]) -> int:
        flow = self._flow(number)
        await flow.up.drain(items)
        return flow.up.taken.count

    async def trade(self, number: int, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        flow = self._flow(number)
        flow.down.open += 1
        try:
            async for item in items:
                flow.up.take(item)
                yield flow.down.next()
                await self._world.pause(flow.pause_s)
        finally:
            flow.down.open -= 1

    async def back(self, number: int) -> int:
        """Read a stream of the client that calls."""
        flow = self._flow(number)
        client = penstock.options(penstock.context().peer.service(Desk), buffer_size=flow.buffer)
        await flow.up.drain(client.watch(number))
        return flow.up.taken.count

    async def lend(self, number: int) -> SourceRef[Item]:
        return SourceRef(self._flow(number).down.items())

    async def fill(self, number: int, sink: SinkRef[Item]) -> None:
        async for item in self._flow(number).down.items():
            await sink.send(item)
        await sink.aclose()

    async def keep(self, number: int, source: SourceRef[Item]) -> None:
        self._kept[number] = source

    async def kept(self, number: int) -> SourceRef[Item]:
        if number not in self._kept:
            raise penstock.NotFound("this server was begun after it was given")
        return self._kept.pop(number)


class Desk:
    """The service of each client."""

    def __init__(self, world: Any) -> None:
        self._world = world

    async def watch(self, number: int) -> AsyncIterator[Item]:
        async for item in self._world.flows[number].up.items():
            yield item


@asynccontextmanager
async def at_the_door(call: penstock.CallInfo) -> AsyncIterator[None]:
    """The interceptor of the server: it refuses the calls that say so, before they begin."""
    if call.metadata.get("refuse"):
        raise penstock.PermissionDenied("not today")
    yield


#: The flows of the program that is played now, by number; a process plays one at a time. The classes of actors stand outside of
#: any world, because to read them anew for each program took a fifth of its time.
FLOWS: Final[dict[int, Flow]] = {}


class Clerk(Actor):
    """Takes messages, streams and channels."""

    async def put(self, number: int, message: int) -> int:
        FLOWS[number].handled.append(message)
        return message + 1

    async def note(self, number: int, message: int) -> None:
        FLOWS[number].handled.append(message)

    async def crash(self) -> None:
        raise Crash("of the actor")

    async def items(self, number: int) -> AsyncIterator[Item]:
        async for item in FLOWS[number].down.items():
            yield item

    async def record(self, number: int, items: AsyncIterator[Item]) -> int:
        flow = FLOWS[number]
        await flow.up.drain(items)
        return flow.up.taken.count

    async def on_channel(self, channel: Channel[Item]) -> None:
        flow = FLOWS[channel.payload]
        flow.down.open += 1
        try:
            await channel.accept(flow.number)
            async for item in channel:
                flow.up.take(item)
                await channel.send(flow.down.next())
                await flow.world.pause(flow.slow_s)
        finally:
            flow.down.open -= 1


class Narrow(Actor):
    """Has a small mailbox, and takes its time."""

    mailbox = Mailbox(NARROW, overflow="reject")

    async def put(self, number: int, message: int) -> int:
        FLOWS[number].handled.append(message)
        await asyncio.sleep(0.05)
        return message + 1


class Herald(Actor):
    """Publishes the items of one flow once it has a subscriber."""

    def __init__(self) -> None:
        self.news = self.port("news")

    async def publish(self, number: int) -> int:
        async with asyncio.timeout(SUBSCRIBER_S):  # its subscriber may have left before it came
            while not self.news.subscribers:  # noqa: ASYNC110 - of the virtual clock
                await asyncio.sleep(0.01)
        async for item in FLOWS[number].down.items():
            await self.news.send(item)
        self.news.close()
        return number


ACTORS: Final[dict[str, type[Actor]]] = {"clerk": Clerk, "narrow": Narrow, "herald": Herald}
