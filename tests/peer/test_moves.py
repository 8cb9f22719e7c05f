"""A client whose server shuts down: its new calls move to another server at once, and what is open goes on where it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

import penstock
from penstock.errors import ConnectionLost, StatusError, Unavailable
from penstock.testing import SimulatedNetwork
from tests.peer.kit import AGAIN

URLS = ["sim://first", "sim://second"]


class Shop:
    """A service that says where it runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0

    async def where(self, wait_s: float = 0.0) -> str:
        self.calls += 1
        await asyncio.sleep(wait_s)
        return self.name

    async def ticks(self, count: int) -> AsyncIterator[str]:
        for _ in range(count):
            yield self.name
            await asyncio.sleep(0.1)

    async def until_drain(self) -> AsyncIterator[str]:
        yield self.name
        await penstock.context().wait_draining()
        yield "draining" if penstock.context().draining else "not draining"

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])


class Desk(penstock.Actor):
    """An actor that says where it runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: list[int] = []

    async def where(self, wait_s: float) -> str:
        await asyncio.sleep(wait_s)
        return self.name

    async def note(self, number: int) -> None:
        self.told.append(number)


class House:
    """Servers by their URLs, and a client of them."""

    def __init__(self, network: SimulatedNetwork, stack: AsyncExitStack) -> None:
        self.network = network
        self.stack = stack
        self.servers: dict[str, penstock.Server] = {}
        self.shops: dict[str, Shop] = {}
        self.systems: dict[str, penstock.ActorSystem] = {}
        self.peer: penstock.Peer

    async def open(self, url: str) -> None:
        self.shops[url] = shop = Shop(url)
        self.systems[url] = system = await self.stack.enter_async_context(penstock.ActorSystem())
        await system.spawn(Desk, url, name="desk")
        self.servers[url] = await self.stack.enter_async_context(penstock.serve(shop, system, listen=url))

    @property
    def stub(self) -> Shop:
        return self.peer.service(Shop)

    async def closing(self, url: str, grace_s: float = 10) -> asyncio.Task[bool]:
        """Begin to close a server; return when its clients know."""
        closing = asyncio.ensure_future(self.servers[url].aclose(grace_s))
        await asyncio.sleep(0.2)
        return closing


@asynccontextmanager
async def house(*urls: str, reconnect: penstock.Reconnect | None = AGAIN) -> AsyncIterator[House]:
    with SimulatedNetwork(seed=1, latency_s=(0.001, 0.002)) as network:
        async with AsyncExitStack() as stack:
            made = House(network, stack)
            for url in urls:
                await made.open(url)
            async with penstock.connect(*urls, reconnect=reconnect) as made.peer:
                yield made


async def test_new_calls_move_at_once_and_open_ones_go_on_to_their_end():
    async with house(*URLS) as home:
        whole = asyncio.ensure_future(home.stub.where(5))
        ticks = home.stub.ticks(50)
        assert await anext(ticks) == URLS[0]
        closing = await home.closing(URLS[0])
        assert await home.stub.where() == URLS[1]
        assert home.peer.remote == URLS[1]
        assert not home.peer.draining
        assert [where async for where in ticks] == [URLS[0]] * 49
        assert await whole == URLS[0]
        assert await closing
        await asyncio.sleep(1)
        assert not home.peer._sessions.leaving
        assert not home.peer._scope.leaving


async def test_a_stream_says_that_its_server_shuts_down_and_its_handler_is_told():
    async with house(*URLS) as home:
        told, told_not = penstock.Stream.of(home.stub.until_drain()), penstock.Stream.of(home.stub.ticks(3))
        assert await told.receive() == URLS[0]
        assert not told.draining
        closing = await home.closing(URLS[0])
        assert told.draining
        assert await told.receive() == "draining"
        other = penstock.Stream.of(home.stub.ticks(3))
        assert await other.receive() == URLS[1]
        assert not other.draining
        assert told_not.draining
        await closing


async def test_a_stream_that_outlives_the_grace_is_cancelled_and_can_be_opened_at_the_next_server():
    async with house(*URLS) as home:
        ticks = home.stub.ticks(10_000)
        await anext(ticks)
        await home.closing(URLS[0], grace_s=1)
        with pytest.raises(Unavailable):
            [where async for where in ticks]
        assert await anext(home.stub.ticks(1)) == URLS[1]


async def begin_stream(home: House) -> str:
    return await anext(home.stub.ticks(1))


CALLS = {
    "unary": lambda home: home.stub.where(),
    "stream": begin_stream,
    "ask": lambda home: home.peer.ask("desk", "where", 0.0),
    "first ask": lambda home: home.peer.actor(Desk, "desk").where(0.0),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_crosses_the_drain_is_made_again_at_the_next_server(call):
    async with house(*URLS) as home:
        if call == "ask":
            await home.peer.ask("desk", "where", 0.0)  # so that it has its lane
        closing = asyncio.ensure_future(home.servers[URLS[0]].aclose(10))
        await asyncio.sleep(0)
        crossing = [asyncio.ensure_future(CALLS[call](home)) for _ in range(20)]
        answers = await asyncio.gather(*crossing)
        assert set(answers) <= set(URLS)
        assert await CALLS[call](home) == URLS[1]
        await closing


async def test_requests_that_were_taken_from_the_program_are_not_sent_twice():
    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    async with house(*URLS) as home:
        closing = asyncio.ensure_future(home.servers[URLS[0]].aclose(10))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await home.stub.total(numbers())
        assert not caught.value.started
        await closing
        assert await home.stub.total(numbers()) == 10


async def test_asks_in_flight_are_answered_where_they_are_and_later_messages_do_not_wait_for_them():
    async with house(*URLS) as home:
        desk = home.peer.actor(Desk, "desk")
        slow = asyncio.ensure_future(desk.where(5))
        await asyncio.sleep(0.1)
        closing = await home.closing(URLS[0])
        assert await desk.where(0) == URLS[1]
        for number in range(100):
            await penstock.tell(desk).note(number)
        assert await slow == URLS[0]
        assert await closing
        await desk.where(0)
        told = home.systems[URLS[1]]._host.cell("desk").actor
        assert isinstance(told, Desk)
        assert told.told == [*range(100)]


async def test_with_one_url_new_calls_wait_until_its_server_is_started_again():
    async with house(URLS[0]) as home:
        ticks = home.stub.ticks(20)
        await anext(ticks)
        await home.closing(URLS[0], grace_s=30)
        waiting = asyncio.ensure_future(home.stub.where())
        assert len([where async for where in ticks]) == 19
        await asyncio.sleep(3)
        assert not waiting.done()
        await home.open(URLS[0])
        assert await waiting == URLS[0]
        assert home.shops[URLS[0]].calls == 1


async def test_with_one_url_a_call_waits_no_longer_than_without_a_connection():
    async with house(URLS[0]) as home:
        ticks = home.stub.ticks(10_000)
        await anext(ticks)
        await home.closing(URLS[0], grace_s=100)
        with pytest.raises(Unavailable, match="has begun to shut down 30 s ago, and is not made again yet"):
            await home.stub.where()
        assert await anext(ticks) == URLS[0]


async def test_without_another_connection_a_drain_refuses_new_calls():
    async with house(*URLS, reconnect=None) as home:
        ticks = home.stub.ticks(10)
        await anext(ticks)
        await home.closing(URLS[0])
        with pytest.raises(Unavailable, match="draining"):
            await home.stub.where()
        assert len([where async for where in ticks]) == 9


async def test_after_its_attempts_a_client_keeps_what_is_open_and_refuses_new_calls():
    async with house(URLS[0], reconnect=penstock.Reconnect(first_s=0.01, max_s=0.1, attempts=3)) as home:
        ticks = home.stub.ticks(50)
        await anext(ticks)
        await home.closing(URLS[0])
        await asyncio.sleep(1)
        with pytest.raises(Unavailable, match="draining"):
            await home.stub.where()
        assert len([where async for where in ticks]) == 49
        await home.peer.wait_closed()


async def test_a_link_that_is_lost_while_its_server_shuts_down_ends_its_streams_at_once_and_no_other():
    async with house(*URLS) as home:
        ticks = home.stub.ticks(10_000)
        await anext(ticks)
        closing = await home.closing(URLS[0], grace_s=100)
        other = home.stub.ticks(20)
        await anext(other)
        (old,) = home.peer._sessions.leaving
        assert old.link is not None
        old.link.abort()
        with pytest.raises(ConnectionLost, match="while a side shut down"):
            [where async for where in ticks]
        assert await closing  # its handler was cancelled, and not kept for a client that cannot return
        assert len([where async for where in other]) == 19


async def test_a_peer_that_is_closed_leaves_all_its_servers():
    async with house(*URLS) as home:
        ticks = home.stub.ticks(10_000)
        await anext(ticks)
        closing = await home.closing(URLS[0], grace_s=100)
        await home.stub.where()
        await home.peer.aclose()
        assert await closing
        assert not home.servers[URLS[1]].peers
        assert home.peer.state == "closed"
        with pytest.raises(StatusError):
            [where async for where in ticks]


async def test_servers_that_drain_each_connection_at_once_are_tried_less_and_less_often():
    async with house(*URLS, reconnect=penstock.Reconnect(first_s=0.1, max_s=10)) as home:
        made = 0

        def draining(url: str) -> penstock.session.Session:
            nonlocal made
            made += 1
            session = home.servers[url]._new_session()
            session.drain("always")
            return session

        for url in URLS:
            for listener in home.servers[url]._listeners:
                listener.receivers = partial(draining, url)
        (served,) = home.servers[URLS[0]].peers
        served._scope.begin_drain()
        await asyncio.sleep(100)
        # About 30, give or take 4: twelve to reach a wait of 10 s, then one each 5 s.
        assert 5 < made < 60
        assert len(home.peer._sessions.leaving) <= 1


async def test_a_rolling_restart_loses_no_call():
    async with house(*URLS) as home:
        got: list[str] = []
        done = asyncio.Event()

        async def call() -> None:
            while not done.is_set():
                got.append(await home.stub.where(0.05))

        calling = [asyncio.ensure_future(call()) for _ in range(20)]
        for _ in range(3):
            for url in URLS:
                await asyncio.sleep(1)
                await home.servers[url].aclose(5)
                await home.open(url)
        done.set()
        await asyncio.gather(*calling)
        assert set(got) == set(URLS)
        assert sum(shop.calls for shop in home.shops.values()) <= len(got)
