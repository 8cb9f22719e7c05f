"""Which calls a client makes again after the loss of its server: those that may run twice, and those that have not started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock.calls import Interceptor
from penstock.errors import ConnectionLost
from penstock.service import describe, service_of
from penstock.testing import SimulatedNetwork
from tests.peer.kit import AGAIN, URL, restarted


class Shop:
    """A service that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = asyncio.Event()

    @penstock.idempotent
    async def price(self, wait_s: float) -> int:
        """Say the price."""
        return await self.buy(wait_s)

    async def buy(self, wait_s: float) -> int:
        self.calls += 1
        self.begun.set()
        await asyncio.sleep(wait_s)
        return self.calls


@asynccontextmanager
async def shop(
    reconnect: penstock.Reconnect | None = AGAIN, interceptors: Sequence[Interceptor] = ()
) -> AsyncIterator[tuple[SimulatedNetwork, Shop, penstock.Server, Shop]]:
    with SimulatedNetwork(seed=1) as network:
        served = Shop()
        async with (
            penstock.serve(served, listen=URL) as server,
            penstock.connect(URL, reconnect=reconnect, interceptors=interceptors) as peer,
        ):
            yield network, served, server, peer.service(Shop)


@asynccontextmanager
async def transparent(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("interceptors", [[], [transparent]], ids=["plain", "inside interceptors"])
async def test_a_call_that_may_run_twice_is_made_again_though_it_may_have_started(interceptors):
    async with shop(interceptors=interceptors) as (network, served, server, stub):
        call = asyncio.ensure_future(stub.price(5))
        await served.begun.wait()
        await restarted(network, server)
        assert await call == 2


async def test_any_other_call_that_may_have_started_is_not():
    async with shop() as (network, served, server, stub):
        call = asyncio.ensure_future(stub.buy(5))
        await served.begun.wait()
        await restarted(network, server)
        with pytest.raises(ConnectionLost) as caught:
            await call
        assert caught.value.started
        await asyncio.sleep(10)
        assert served.calls == 1


async def test_a_call_that_ends_each_server_is_made_at_most_three_times_more():
    async with shop() as (network, served, server, stub):
        call = asyncio.ensure_future(stub.price(5))
        for _ in range(4):
            await served.begun.wait()
            served.begun.clear()
            await restarted(network, server)
        await asyncio.wait([call])
        assert isinstance(call.exception(), ConnectionLost)
        assert served.calls == 4


async def test_it_is_made_again_within_its_deadline():
    async with shop() as (network, served, server, stub):
        call = asyncio.ensure_future(penstock.options(stub, timeout=8).price(5))
        await served.begun.wait()
        await asyncio.sleep(4)
        await restarted(network, server)
        with pytest.raises(penstock.DeadlineExceeded):
            await call
        assert served.calls == 2


async def test_without_another_connection_it_is_lost():
    async with shop(reconnect=None) as (network, served, _server, stub):
        call = asyncio.ensure_future(stub.price(5))
        await served.begun.wait()
        network.cut()
        with pytest.raises(ConnectionLost):
            await call


async def test_an_ask_of_an_actor_is_made_again_too():
    class Desk(penstock.Actor):
        def __init__(self) -> None:
            self.asked = 0

        @penstock.idempotent
        async def look(self) -> int:
            self.asked += 1
            await asyncio.sleep(5)
            return self.asked

        async def change(self) -> int:
            return await self.look()

    with SimulatedNetwork(seed=1) as network:
        async with penstock.ActorSystem() as system:
            await system.spawn(Desk, name="desk")
            async with penstock.serve(system, listen=URL) as server, penstock.connect(URL, reconnect=AGAIN) as peer:
                for timeout in (None, 60):
                    stub = penstock.options(peer.actor(Desk, "desk"), timeout=timeout)
                    look, change = asyncio.ensure_future(stub.look()), asyncio.ensure_future(stub.change())
                    await asyncio.sleep(1)
                    await restarted(network, server)
                    assert await look >= 2
                    with pytest.raises(ConnectionLost):
                        await change


def test_the_description_of_a_method_says_that_it_may_run_twice():
    methods = {method.name: method for method in describe(service_of(Shop)).methods}
    assert methods["price"].idempotent
    assert not methods["buy"].idempotent


def test_a_method_with_a_stream_cannot_be_marked():
    class Wrong:
        @penstock.idempotent
        async def numbers(self) -> AsyncIterator[int]:
            yield 1

    with pytest.raises(TypeError, match=r"Wrong.numbers is server_streaming, and `idempotent` is for unary methods"):
        service_of(Wrong)
