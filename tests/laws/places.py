"""Every place where a program reads items and every place where it sends them, in one process and from elsewhere.

A place is a coroutine function: it makes the two ends of a stream, gives one of them to `use`, and returns its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import penstock
from penstock import Actor, ActorSystem, SinkRef, SourceRef
from penstock.channel import local_channel
from penstock.errors import PenstockError
from penstock.streams import Port, mark_retrieved, source_of

Use = Callable[[Any], Awaitable[Any]]
URLS = {"memory": "memory://laws", "tcp": "tcp://127.0.0.1:0"}
#: How many items each stream has.
ITEMS = 24


async def slowly(items: int = ITEMS) -> AsyncIterator[int]:
    """Some items at once, some after a turn or several: a reader meets every state of its source."""
    for number in range(items):
        for _ in range(number % 4):
            await asyncio.sleep(0)
        yield number


class Reads(NamedTuple):
    """What the handlers that read are to do with their requests, and what came of it."""

    use: Use
    done: asyncio.Future[Any]

    async def read(self, items: Any) -> None:
        try:
            self.done.set_result(await self.use(items))
        except BaseException as error:
            self.done.set_exception(error)
            mark_retrieved(self.done)  # the test may look at the caller alone
            raise


class Shop:
    """A service: it makes items and takes them, in each of the kinds of calls."""

    def __init__(self, reads: Reads, items: Callable[[], AsyncIterable[int]]) -> None:
        self.reads, self.items = reads, items
        self.sink, self.source = penstock.pipe(4)

    async def make(self) -> AsyncIterator[int]:
        async for item in self.items():
            yield item

    async def take(self, items: AsyncIterator[int]) -> int:
        await self.reads.read(items)
        return 7

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item

    async def outlet(self) -> SourceRef[int]:
        return SourceRef(self.items())

    async def inlet(self) -> SinkRef[int]:
        return SinkRef(self.sink)


class Desk(Actor):
    """An actor: as `Shop`, and with a port, a mailbox and channels."""

    mailbox = penstock.Mailbox(2)

    def __init__(self, reads: Reads, items: Callable[[], AsyncIterable[int]]) -> None:
        self.reads, self.items = reads, items
        self.out = self.port("out")
        self.told: list[int] = []

    make, take = Shop.make, Shop.take

    async def note(self, item: int) -> None:
        await asyncio.sleep(0)
        self.told.append(item)

    async def notes(self) -> list[int]:
        return self.told

    async def publish(self) -> None:
        async for item in self.items():
            await self.out.send(item)
        self.out.close()

    async def on_channel(self, channel: penstock.Channel[int]) -> None:
        await channel.accept()
        if channel.payload == "read":
            await self.reads.read(channel)
        else:
            async for item in self.items():
                await channel.send(item)


class World:
    """A service and an actor, here or elsewhere."""

    def __init__(self, use: Use, items: Callable[[], AsyncIterable[int]]) -> None:
        self.items = items
        self.reads = Reads(use, asyncio.get_running_loop().create_future())
        self.shop = Shop(self.reads, items)
        self.use = use
        self.desk: Any = None
        self.peer: Any = None
        self.router: Any = None

    async def of_handler(self, call: Awaitable[Any]) -> Any:
        """Make a call whose handler reads; return what came of it there."""
        outcome = (await asyncio.gather(call, return_exceptions=True))[0]
        if isinstance(outcome, PenstockError) and not self.reads.done.done():
            raise outcome
        return await self.reads.done


@asynccontextmanager
async def world(place: str, use: Use, items: Callable[[], AsyncIterable[int]] = slowly) -> AsyncIterator[World]:
    made = World(use, items)
    async with ActorSystem() as system:
        here = await system.spawn(Desk, made.reads, items, name="desk")
        if place == "here":
            made.desk, made.router = here, system
            yield made
            return
        async with (
            penstock.serve(made.shop, system, listen=URLS[place]) as server,
            penstock.connect(server.urls[0], services=[made.shop]) as peer,
        ):
            made.peer, made.desk, made.router = peer, peer.actor(Desk, "desk"), peer
            yield made


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _sent(sink: Any, items: Callable[[], AsyncIterable[int]]) -> None:
    async with sink:
        async for item in items():
            await sink.send(item)


async def pipe(at: World) -> Any:
    sink, source = penstock.pipe(2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_sent(sink, at.items))
        return await at.use(source)


async def port(at: World) -> Any:
    sink: Port[int] = Port("p", buffer_size=2)
    source = sink.subscribe()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_sent(sink, at.items))
        return await at.use(source)


async def iterable(at: World) -> Any:
    return await at.use(source_of(at.items()))


async def ref_here(at: World) -> Any:
    return await at.use(SourceRef(at.items()))


async def ref_of_a_pipe(at: World) -> Any:
    sink, source = penstock.pipe(2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_sent(sink, at.items))
        return await at.use(SourceRef(source))


async def actor_stream(at: World) -> Any:
    return await at.use(at.desk.make())


async def actor_stream_by_address(at: World) -> Any:
    return await at.use(at.router.stream("desk", "make"))


async def actor_requests(at: World) -> Any:
    return await at.of_handler(at.desk.take(at.items()))


async def actor_port(at: World) -> Any:
    source = at.router.subscribe("desk", "out")
    await at.desk.notes()  # a subscription elsewhere begins a round trip later
    publishing = asyncio.ensure_future(at.desk.publish())
    try:
        return await at.use(source)
    finally:
        await publishing


async def local_channel_end(at: World) -> Any:
    opener, acceptor = local_channel("a", "b", buffer_size=2)
    await acceptor.accept()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_sent_by(acceptor, at.items))
        return await at.use(opener)


async def _sent_by(channel: Any, items: Callable[[], AsyncIterable[int]]) -> None:
    async for item in items():
        await channel.send(item)
    await channel.close()


async def channel_at_the_opener(at: World) -> Any:
    return await at.use(await at.router.open_channel("desk", "write"))


async def channel_at_the_acceptor(at: World) -> Any:
    channel = await at.router.open_channel("desk", "read")
    await _sent_by(channel, at.items)
    return await at.reads.done


async def server_stream(at: World) -> Any:
    return await at.use(at.peer.service(Shop).make())


async def requests(at: World) -> Any:
    return await at.of_handler(at.peer.service(Shop).take(at.items()))


async def bidirectional(at: World) -> Any:
    return await at.use(at.peer.service(Shop).trade(at.items()))


async def call_by_name(at: World) -> Any:
    async with at.peer.open("Shop/trade") as call, asyncio.TaskGroup() as tasks:

        async def send() -> None:
            async for item in at.items():
                await call.send(item)
            call.close_send()

        tasks.create_task(send())
        return await at.use(call)


async def ref_elsewhere(at: World) -> Any:
    return await at.use(await at.peer.service(Shop).outlet())


@asynccontextmanager
async def reached(where: str, kind: str, actor: type[Actor], service: type[Any]) -> AsyncIterator[tuple[Any, Any]]:
    """Make an actor and a service, and return the stub of one of them and the router; `where` is "here" or a key of `URLS`."""
    async with ActorSystem() as system:
        here = await system.spawn(actor, name="actor")
        if where == "here":
            yield here, system
            return
        async with (
            penstock.serve(service(), system, listen=URLS[where]) as server,
            penstock.connect(server.urls[0]) as peer,
        ):
            yield (peer.actor(actor, "actor") if kind == "actor" else peer.service(service)), peer


LOCAL = (pipe, port, iterable, ref_here, ref_of_a_pipe, local_channel_end)
ANYWHERE = (actor_stream, actor_stream_by_address, actor_requests, actor_port, channel_at_the_opener, channel_at_the_acceptor)
REMOTE = (server_stream, requests, bidirectional, call_by_name, ref_elsewhere)
READING = [
    *(("here", place) for place in LOCAL + ANYWHERE),
    *((where, place) for where in URLS for place in ANYWHERE + REMOTE),
]
#: The places whose items are sent, one by one, and not made by a generator that the library runs.
SENT = {
    place.__name__
    for place in (
        pipe,
        port,
        ref_of_a_pipe,
        local_channel_end,
        actor_port,
        channel_at_the_opener,
        channel_at_the_acceptor,
        call_by_name,
    )
}


# ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Sends all items by the given function, and returns when each of them was sent.
SendAll = Callable[[Callable[[int], Awaitable[None]]], Awaitable[None]]


async def _to_the_end(source: Any) -> list[int]:
    taken = []
    async for item in source:
        taken.append(item)
        await asyncio.sleep(0)
    return taken


async def into_a_pipe(_at: World, send_all: SendAll) -> list[int]:
    sink, source = penstock.pipe(2)
    reading = asyncio.ensure_future(_to_the_end(source))
    async with sink:
        await send_all(sink.send)
    return await reading


async def into_a_port(_at: World, send_all: SendAll) -> list[int]:
    sink: Port[int] = Port("p", buffer_size=2)
    reading = [asyncio.ensure_future(_to_the_end(sink.subscribe())) for _ in range(2)]
    async with sink:
        await send_all(sink.send)
    first, second = await asyncio.gather(*reading)
    assert first == second
    return first


async def into_a_ref_here(_at: World, send_all: SendAll) -> list[int]:
    sink, source = penstock.pipe(2)
    reading = asyncio.ensure_future(_to_the_end(source))
    async with SinkRef(sink) as ref:
        await send_all(ref.put)
    return await reading


async def into_a_ref_elsewhere(at: World, send_all: SendAll) -> list[int]:
    reading = asyncio.ensure_future(_to_the_end(at.shop.source))
    async with await at.peer.service(Shop).inlet() as ref:
        await send_all(ref.put)
    return await reading


async def into_a_channel(at: World, send_all: SendAll) -> list[int]:
    async with await at.router.open_channel("desk", "read") as channel:
        await send_all(channel.send)
        channel.close_send()
        taken: list[int] = await at.reads.done
    return taken


async def into_a_call(at: World, send_all: SendAll) -> list[int]:
    async with at.peer.open("Shop/trade") as call:
        reading = asyncio.ensure_future(_to_the_end(call))
        await send_all(call.send)
        call.close_send()
        return await reading


async def into_a_mailbox(at: World, send_all: SendAll) -> list[int]:
    await send_all(penstock.tell(at.desk).note)
    told: list[int] = await at.desk.notes()
    return told


async def into_a_mailbox_by_address(at: World, send_all: SendAll) -> list[int]:
    await send_all(lambda item: at.router.tell("desk", "note", item))
    told: list[int] = await at.desk.notes()
    return told


SENDING = [
    *(("here", place) for place in (into_a_pipe, into_a_port, into_a_ref_here)),
    *((where, place) for where in ("here", *URLS) for place in (into_a_channel, into_a_mailbox, into_a_mailbox_by_address)),
    *((where, place) for where in URLS for place in (into_a_ref_elsewhere, into_a_call)),
]
