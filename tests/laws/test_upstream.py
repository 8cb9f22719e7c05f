"""An error that went through a handler says so: it is about a side behind the one that the caller knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import penstock
from penstock import Actor, ActorSystem, NotFound, Unavailable
from penstock.errors import Cause, ConnectionLost, StatusError
from tests.laws.places import URLS


class Worker:
    """What a worker offers over its own connection to the gateway."""

    async def watch(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(1000)

    async def get(self) -> int:
        await asyncio.sleep(1000)
        return 1

    async def find(self) -> int:
        raise NotFound("no such user", {"id": 7})


class Gateway:
    """Relays to its one worker."""

    def __init__(self) -> None:
        self.worker: Any = None
        self.peer: Any = None
        self.here = asyncio.Event()

    async def join(self) -> None:
        self.peer = penstock.context().peer
        self.worker = self.peer.service(Worker)
        self.here.set()

    async def watch(self) -> AsyncIterator[int]:
        async for item in self.worker.watch():
            yield item

    async def get(self) -> int:
        value: int = await self.worker.get()
        return value

    async def find(self) -> int:
        value: int = await self.worker.find()
        return value

    async def dial(self) -> int:
        async with penstock.connect("memory://nowhere"):
            return 1

    async def busy(self) -> int:
        raise Unavailable("too busy today")


class GatewayActor(Actor):
    """The same as an actor."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def get(self) -> int:
        return await self.gateway.get()

    async def look(self) -> AsyncIterator[int]:
        async for item in self.gateway.worker.watch():
            yield item


async def read(stream: Any) -> None:
    async for _ in stream:
        pass


CALLS: dict[str, Callable[[penstock.Peer], Awaitable[Any]]] = {
    "stream": lambda peer: read(peer.service(Gateway).watch()),
    "unary": lambda peer: peer.service(Gateway).get(),
    "ask": lambda peer: peer.ask("gateway", "get"),
    "actor stream": lambda peer: read(peer.stream("gateway", "look")),
}


async def error_of(call: Awaitable[Any]) -> StatusError:
    with pytest.raises(StatusError) as caught:
        await call
    return caught.value


async def joined(url: str, leave: asyncio.Event, how: str) -> None:
    async with penstock.connect(url, services=[Worker()], reconnect=None) as peer:
        await peer.service(Gateway).join()
        await leave.wait()
        if how == "cut":
            peer._scope.session.abort()


@pytest.mark.parametrize("place", ["memory", "tcp"])
@pytest.mark.parametrize("how", ["politely", "cut"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_worker_that_leaves_is_behind_the_gateway(call, how, place):
    """FAULTS A8"""
    gateway, leave = Gateway(), asyncio.Event()
    async with asyncio.timeout(30), ActorSystem() as system:
        await system.spawn(GatewayActor, gateway, name="gateway")
        async with penstock.serve(gateway, system, listen=URLS[place]) as server:
            worker = asyncio.ensure_future(joined(server.urls[0], leave, how))
            await gateway.here.wait()
            async with penstock.connect(server.urls[0]) as peer:
                calling = asyncio.ensure_future(error_of(CALLS[call](peer)))
                for _ in range(50):
                    await asyncio.sleep(0)
                leave.set()
                error = await calling
                assert type(error) is Unavailable
                assert error.started
                assert error.details["upstream"] == gateway.peer.remote
                assert "ateway" in error.message
                assert "which is not available" in error.message
                if how == "politely":
                    assert "the server is shutting down" not in error.message
                assert await error_of(peer.service(Gateway).busy())  # the gateway is up
            await worker


async def test_an_answer_of_a_worker_keeps_its_words_and_names_its_side():
    """FAULTS A8"""
    gateway, leave = Gateway(), asyncio.Event()
    async with penstock.serve(gateway, listen=URLS["memory"]) as server:
        worker = asyncio.ensure_future(joined(server.urls[0], leave, "politely"))
        await gateway.here.wait()
        async with penstock.connect(server.urls[0]) as peer:
            error = await error_of(peer.service(Gateway).find())
            assert (type(error), error.message) == (NotFound, "no such user")
            assert error.details == {"id": 7, "upstream": gateway.peer.remote}
        leave.set()
        await worker


async def test_a_side_that_a_handler_cannot_reach_is_behind_it():
    """FAULTS A8"""
    async with penstock.serve(Gateway(), listen=URLS["memory"]) as server, penstock.connect(server.urls[0]) as peer:
        error = await error_of(peer.service(Gateway).dial())
        assert type(error) is Unavailable
        assert error.details["upstream"] == "memory://nowhere"
        assert error.cause is Cause.NOTHING_LISTENS
        assert error.started, "the handler was started, so the call cannot be made again without harm"


async def test_what_a_handler_says_of_itself_has_no_upstream():
    """FAULTS A8"""
    async with penstock.serve(Gateway(), listen=URLS["memory"]) as server, penstock.connect(server.urls[0]) as peer:
        error = await error_of(peer.service(Gateway).busy())
        assert (type(error), error.message, error.details) == (Unavailable, "too busy today", {})


async def test_a_connection_of_the_callers_own_has_no_upstream():
    """FAULTS A8"""
    gateway = Gateway()
    gateway.worker = Worker()
    async with penstock.serve(gateway, listen=URLS["memory"]) as server, penstock.connect(server.urls[0]) as peer:
        calling = asyncio.ensure_future(error_of(peer.service(Gateway).get()))
        for _ in range(20):
            await asyncio.sleep(0)
        peer._scope.session.lose(ConnectionLost("cut"))
        assert "upstream" not in (await calling).details
