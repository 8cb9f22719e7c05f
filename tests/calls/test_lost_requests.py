"""A handler that reads requests gets those that have arrived before its connection is lost, and then the loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock.calls._scope import CLEANUP_S
from penstock.testing import SimulatedNetwork
from tests.calls.kit import now

ITEMS = list(range(20))
KINDS = ["record", "trade", "relay"]


class Seen:
    """What a handler has got; the last entry is how it ended, and when."""

    def __init__(self, pace_s: float = 0.1) -> None:
        self.items: list[int] = []
        self.end: tuple[str, float] | None = None
        self.pace_s = pace_s

    @asynccontextmanager
    async def noted(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            self.end = type(error).__name__, now()
            raise
        self.end = "ended", now()

    async def take(self, item: int) -> int:
        self.items.append(item)
        await asyncio.sleep(self.pace_s)
        return item


class Works:
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def record(self, items: AsyncIterator[int]) -> int:
        async with self.seen.noted():
            async for item in items:
                await self.seen.take(item)
        return len(self.seen.items)

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async with self.seen.noted():
            async for item in items:
                yield await self.seen.take(item)
                yield -item

    async def relay(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        """Returns the iterator of another method, which reads the requests."""
        return self.trade(items)

    async def deaf(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        """Reads one request, and then talks."""
        async with self.seen.noted():
            await self.seen.take(await anext(aiter(items)))
            while True:
                yield 1
                await asyncio.sleep(0.5)


class ActorWorks(penstock.Actor):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    record, trade, relay, deaf = Works.record, Works.trade, Works.relay, Works.deaf


class Service(Works):
    service_name = "Service"


async def requests(*, ends: bool) -> AsyncIterator[int]:
    for item in ITEMS:
        yield item
    if not ends:
        await asyncio.sleep(1000)


async def call(stub: Any, kind: str, *, ends: bool) -> None:
    if kind == "record":
        await stub.record(requests(ends=ends))
    else:
        async for _response in getattr(stub, kind)(requests(ends=ends)):
            pass


async def cut_after(seconds: float, seen: Seen, kind: str, *, actor: bool, ends: bool = False) -> None:
    """Call the handler, cut the connection after some time, and wait for its end."""
    with SimulatedNetwork(1, latency_s=(0.001, 0.001)) as network:
        async with penstock.ActorSystem() as system:
            await system.spawn(ActorWorks, seen, name="works")
            async with (
                penstock.serve(Service(seen), system, listen="sim://server") as server,
                penstock.connect("sim://client@server", reconnect=None) as peer,
            ):
                stub = peer.actor(ActorWorks, "works") if actor else peer.service(Service)
                calling = asyncio.ensure_future(call(stub, kind, ends=ends))
                await asyncio.sleep(seconds)
                network.cut()
                (error,) = await asyncio.gather(calling, return_exceptions=True)
                assert isinstance(error, penstock.ConnectionLost)
                await asyncio.sleep(60)
                assert not server.peers


@pytest.mark.parametrize("actor", [False, True], ids=["service", "actor"])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_requests_that_have_arrived_come_before_the_loss(kind, actor):
    seen = Seen()
    await cut_after(0.55, seen, kind, actor=actor)
    assert seen.items == ITEMS
    assert seen.end is not None
    assert seen.end[0] == "ConnectionLost"


@pytest.mark.parametrize("kind", ["record", "trade"])
async def test_requests_that_had_ended_come_to_their_end(kind):
    seen = Seen()
    await cut_after(0.55, seen, kind, actor=False, ends=True)
    assert seen.items == ITEMS
    assert seen.end is not None
    assert seen.end[0] == "ended"


@pytest.mark.parametrize("kind", ["record", "trade"])
async def test_a_handler_that_takes_no_request_is_cancelled_in_bounded_time(kind):
    seen = Seen(pace_s=1000.0)
    begun = now()
    await cut_after(0.5, seen, kind, actor=False)
    assert seen.items == ITEMS[:1]
    assert seen.end == ("CancelledError", pytest.approx(begun + 0.5 + CLEANUP_S, abs=0.1))


async def test_a_handler_that_only_talks_is_cancelled_in_bounded_time():
    seen = Seen()
    begun = now()
    await cut_after(0.5, seen, "deaf", actor=False)
    assert seen.end == ("CancelledError", pytest.approx(begun + 0.5 + CLEANUP_S, abs=0.1))


async def test_a_handler_that_has_its_end_is_cancelled_at_once():
    class Slow(Works):
        service_name = "Service"

        async def record(self, items: AsyncIterator[int]) -> int:
            async with self.seen.noted():
                async for item in items:
                    self.seen.items.append(item)
                await asyncio.sleep(1000)
            return 0

    seen = Seen()
    with SimulatedNetwork(1, latency_s=(0.001, 0.001)) as network:
        async with (
            penstock.serve(Slow(seen), listen="sim://server"),
            penstock.connect("sim://client@server", reconnect=None) as peer,
        ):
            calling = asyncio.ensure_future(peer.service(Service).record(requests(ends=True)))
            await asyncio.sleep(0.5)
            network.cut()
            cut = now()
            await asyncio.gather(calling, return_exceptions=True)
            await asyncio.sleep(1)
    assert seen.items == ITEMS
    assert seen.end == ("CancelledError", pytest.approx(cut, abs=0.1))
