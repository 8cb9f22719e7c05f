"""How far one side runs ahead of the other: what a peer may ask for, and what a handler allows (FAULTS G2)."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock import Settings
from penstock.channel import open_channel
from penstock.protocol import Grant, Open, ReceiveHalf
from penstock.session import Endpoint
from tests.calls.kit import linked, rest, started
from tests.interop.kit import until


def logged(handler):
    @functools.wraps(handler)
    async def around(*args, **kwargs):
        return await handler(*args, **kwargs)

    return around


class Feed:
    def __init__(self):
        self.produced = 0
        self.go = asyncio.Event()

    async def watch(self) -> AsyncIterator[int]:
        while True:
            self.produced += 1
            yield self.produced

    async def chunks(self, size: int) -> AsyncIterator[bytes]:
        while True:
            self.produced += 1
            yield bytes(size)

    async def begin(self) -> None:
        self.go.set()

    async def record(self, items: AsyncIterator[int]) -> int:
        await self.go.wait()
        return sum([item async for item in items])

    @logged
    @penstock.receives(buffer_size=3)
    async def carefully(self, items: AsyncIterator[int]) -> int:
        await self.go.wait()
        return sum([item async for item in items])

    @penstock.receives(buffer_size=5, buffer_bytes=50)
    async def swap(self, items: AsyncIterator[bytes]) -> AsyncIterator[str]:
        await self.go.wait()
        async for item in items:
            yield item.hex()

    async def urgency(self) -> str:
        return penstock.context().priority

    async def urgencies(self) -> AsyncIterator[str]:
        yield penstock.context().priority


class FeedActor(Feed, penstock.Actor):
    pass


class Counted:
    """The requests of a caller, and how many of them were taken."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = items
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self.items:
            self.taken += 1
            yield item


async def run_ahead(stub_call, feed) -> int:
    stream = stub_call
    await rest()
    ahead = feed.produced
    for _ in range(3 * ahead):
        await stream.receive()
    await rest()
    assert feed.produced == 4 * ahead  # never further ahead, and never stuck
    await stream.aclose()
    return ahead


@pytest.mark.parametrize(("asked", "ahead"), [(10**6, 100), (None, 100), (7, 7), (100, 100)])
async def test_a_handler_runs_no_further_ahead_than_its_side_allows(asked, ahead):
    feed = Feed()
    async with linked(feed, settings=Settings(max_ahead_items=100)) as pair:
        stream = penstock.options(pair.stub(Feed), buffer_size=asked).watch()
        assert stream.statistics().buffer_size == ahead
        assert await run_ahead(stream, feed) == ahead


async def test_the_default_bounds_a_peer_that_asks_for_a_million():
    feed = Feed()
    async with linked(feed) as pair:
        stream = pair.stub(Feed, buffer_size=10**6).watch()
        await until(lambda: feed.produced >= 65_536, "the whole window")
        await rest()
        assert feed.produced == Settings().max_ahead_items == 65_536
        await stream.aclose()


async def test_the_bytes_are_bounded_too():
    feed = Feed()
    async with linked(feed, settings=Settings(max_ahead_bytes=1000)) as pair:
        stream = pair.stub(Feed, buffer_bytes=10**9).chunks(95)
        await rest()
        assert feed.produced in {10, 11}
        for _ in range(100):
            await stream.receive()
        await stream.aclose()


async def test_a_peer_that_grants_more_than_it_was_told_is_stopped_all_the_same():
    """Its window is its own business: it gets what this side sends ahead, and no violation."""
    feed = Feed()
    async with linked(feed, settings=Settings(max_ahead_items=10), gate=False) as pair:
        session = pair.peer._scope.session
        grant = Grant(1000, 10**9)
        handle = session.open(Open("Feed/watch", 2, 0, grant.items, grant.bytes), ReceiveHalf(grant), Endpoint())
        await rest()
        assert feed.produced == 10
        handle.consume(0, 0)
        handle.cancel(penstock.Cancelled())


async def test_a_caller_runs_no_further_ahead_than_its_own_side_allows():
    feed, numbers = Feed(), Counted(range(200))

    async with linked(feed, client_settings=Settings(max_ahead_items=20)) as pair:
        recording = await started(pair.stub(Feed, buffer_size=10_000).record(numbers))
        assert numbers.taken in {20, 21}
        feed.go.set()
        assert await recording == sum(range(200))


@pytest.mark.parametrize("of", ["a service", "an actor elsewhere", "an actor here"])
@pytest.mark.parametrize(("asked", "ahead"), [(None, 3), (100, 3), (2, 2)])
async def test_a_handler_chooses_how_far_its_callers_may_be_ahead(asked, ahead, of):
    numbers = Counted(range(50))

    async with penstock.ActorSystem() as system, linked(Feed(), system, gate=False) as pair:
        actor = await system.spawn(FeedActor, name="feed")
        stub = {"a service": pair.stub(Feed), "an actor elsewhere": pair.peer.actor(FeedActor, "feed"), "an actor here": actor}
        feed = penstock.options(stub[of], buffer_size=asked)
        recording = await started(feed.carefully(numbers))
        assert numbers.taken in {ahead, ahead + 1}  # the next one is in the caller's hand
        await feed.begin()
        assert await recording == sum(range(50))


async def test_a_handler_bounds_the_bytes_of_its_requests():
    feed, blocks = Feed(), Counted([bytes(20)] * 30)

    async with linked(feed) as pair:
        stream = pair.stub(Feed).swap(blocks)
        await rest()
        assert blocks.taken in {3, 4}
        feed.go.set()
        assert len([item async for item in stream]) == 30


@pytest.mark.parametrize("with_interceptors", [False, True])
@pytest.mark.parametrize("priority", ["interactive", "normal", "bulk"])
async def test_a_handler_and_the_interceptors_see_the_priority(priority, with_interceptors):
    seen = []

    @asynccontextmanager
    async def note(call: penstock.CallInfo) -> AsyncIterator[None]:
        seen.append((call.side, call.priority))
        yield

    around = {"interceptors": [note], "client_interceptors": [note]} if with_interceptors else {}
    async with linked(Feed(), **around) as pair:
        stub = pair.stub(Feed, priority=priority)
        assert await stub.urgency() == priority
        assert [urgency async for urgency in stub.urgencies()] == [priority]
    assert seen == [("caller", priority), ("callee", priority)] * (2 if with_interceptors else 0)


@pytest.mark.parametrize("size", [0, True, "3", -1, 1.5])
def test_a_window_of_a_wrong_type_is_refused(size):
    with pytest.raises(ValueError, match="buffer_size is"):
        penstock.receives(buffer_size=size)


async def test_a_window_without_requests_is_refused():
    class Wrong:
        @penstock.receives(buffer_size=3)
        async def one(self, number: int) -> int:
            return number

    with pytest.raises(TypeError, match="no stream of requests"):
        async with penstock.serve(Wrong(), listen="memory://wrong"):
            pass


class Talker(penstock.Actor):
    def __init__(self) -> None:
        self.sent = 0

    async def on_channel(self, channel: penstock.Channel[int]) -> None:
        await channel.accept()
        while True:
            await channel.send(self.sent)
            self.sent += 1


async def test_a_channel_is_bounded_as_a_stream_is():
    async with (
        penstock.ActorSystem() as system,
        linked(system, settings=Settings(max_ahead_items=5), gate=False) as pair,
    ):
        await system.spawn(Talker, name="talker")
        channel = await open_channel(pair.peer._scope.session, "/talker!channel", buffer_size=1000)
        await rest()
        assert system._host.cell("talker").actor.sent == 5
        for number in range(40):
            assert await channel.receive() == number
        await channel.close()
