"""Handlers in the middle: what goes through them goes on, and so do the bound, the end, the failure and the leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from tests.calls.kit import collected, ended, linked, rest, started

FORMS = ["loop", "returned stream", "returned coroutine", "batches", "pipe"]


class End:
    def __init__(self):
        self.produced = 0
        self.closed = 0

    async def numbers(self, count: int = 10**9) -> AsyncIterator[int]:
        try:
            for number in range(count):
                self.produced += 1
                yield number
        finally:
            self.closed += 1

    async def fails(self) -> AsyncIterator[int]:
        yield 1
        raise penstock.OutOfRange("at the end", {"where": "end"})

    async def total(self, items: AsyncIterator[int]) -> int:
        try:
            return sum([item async for item in items])
        finally:
            self.closed += 1

    async def mirror(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        try:
            async for item in items:
                yield item
        finally:
            self.closed += 1


class Relay:
    """The same service, by way of another one."""

    def __init__(self, end, form):
        self.end = end
        self.form = form

    def numbers(self, count: int = 10**9) -> AsyncIterator[int]:
        return self._relayed(self.end.numbers(count))

    def fails(self) -> AsyncIterator[int]:
        return self._relayed(self.end.fails())

    def _relayed(self, stream):
        return {
            "loop": self._loop,
            "returned stream": lambda same: same,
            "returned coroutine": lambda same: same,
            "batches": self._batches,
            "pipe": self._pipe,
        }[self.form](stream)

    async def _loop(self, stream):
        async for item in stream:
            yield item

    async def _batches(self, stream):
        async for batch in stream.batches():
            for item in batch:
                yield item

    async def _pipe(self, stream):
        sink, source = penstock.pipe(2)

        async def pump():
            async with sink, stream:
                async for item in stream:
                    await sink.send(item)

        pumping = asyncio.create_task(pump())
        try:
            async with source:
                async for item in source:
                    yield item
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)

    async def total(self, items: AsyncIterator[int]) -> int:
        return await self.end.total(items)

    async def mirror(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in self.end.mirror(items):
            yield item


@asynccontextmanager
async def chain(form="loop"):
    end = End()
    async with linked(end, url="memory://end") as far:
        relay = Relay(penstock.options(far.peer.service(End), buffer_size=5), form)
        async with linked(relay, url="memory://relay") as near:
            yield end, near.stub(Relay, buffer_size=5)


@pytest.mark.parametrize("form", FORMS)
async def test_items_ends_and_failures_go_through(form):
    async with chain(form) as (end, stub):
        assert await collected(stub.numbers(1000)) == (list(range(1000)), None)
        items, error = await collected(stub.fails())
        assert (items, type(error), error.details) == ([1], penstock.OutOfRange, {"where": "end", "upstream": "memory://end"})
        assert end.closed == 1


@pytest.mark.parametrize("form", FORMS)
async def test_demand_and_leaving_go_through(form):
    async with chain(form) as (end, stub):
        async for _ in stub.numbers():
            await rest()
            assert end.produced <= 5 + 5 + 2 + 3  # two buffers, a pipe, and what is in hands
            break
        await rest()
        assert end.closed == 1


async def test_requests_go_through():
    async with chain() as (end, stub):
        assert await stub.total(range(1000)) == 499_500
        assert await collected(stub.mirror(range(1000))) == (list(range(1000)), None)
        assert end.closed == 2


async def test_leaving_goes_through_in_the_direction_of_the_requests_too():
    closed = []

    async def requests():
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0.01)
        finally:
            closed.append("requests")

    async with chain() as (end, stub):
        async for item in stub.mirror(requests()):
            if item == 100:
                break
        await rest()
        assert closed == ["requests"]
        assert end.closed == 1
        calling = await started(stub.total(requests()))
        calling.cancel()
        await ended(calling)
        await rest()
        assert closed == ["requests"] * 2
        assert end.closed == 2


async def test_the_loss_of_the_far_connection_is_no_end_and_the_near_one_lives_on():
    end = End()
    relay = Relay(end, "loop")
    async with (
        linked(relay, url="memory://relay", client_reconnect=None) as near,
        linked(end, url="memory://end", gate=False, client_reconnect=None) as far,
    ):
        relay.end = far.peer.service(End)
        stream = near.stub(Relay, buffer_size=5).numbers()
        assert await stream.receive() == 0
        far.served._scope.session.link.abort()
        items, error = await collected(stream)
        assert isinstance(error, penstock.Unavailable), items
        assert near.peer._scope.session.lost is None
        assert await near.peer.call("Penstock/describe")


async def test_a_handler_that_closes_its_requests_tells_who_sends_them_and_goes_on():
    class Picky:
        async def first(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
            async with items:
                yield await items.receive()
            for number in range(3):
                await asyncio.sleep(1)
                yield number

    async with linked(Picky()) as pair:
        call = pair.peer.open("Picky/first", options=penstock.CallOptions(buffer_size=2))
        await call.send(7)
        assert await call.receive() == 7
        sending = await started(call.sink.send_many(range(5)))
        assert isinstance(await ended(sending), penstock.StreamCancelled)
        assert await collected(call) == ([0, 1, 2], None)


async def test_backpressure_is_told_to_the_handler_whose_consumer_stalls():
    edges = []

    class Watched:
        def __init__(self):
            self.produced = 0

        async def prices(self) -> AsyncIterator[int]:
            while True:
                self.produced += 1
                yield self.produced
                await asyncio.sleep(0.01)

        async def watch(self) -> AsyncIterator[int]:
            async for price in penstock.watch_backpressure(self.prices(), edges.append):
                yield price

    service = Watched()
    async with linked(service) as pair:
        stream = pair.stub(Watched, buffer_size=4).watch()
        await asyncio.sleep(0.015)
        assert edges == []
        await asyncio.sleep(1)
        assert edges == [True]
        for _ in range(4):
            await stream.receive()
        await rest()
        assert edges == [True, False]
        await stream.aclose()


class Picky:
    async def echo(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            if item == 3:
                raise penstock.FailedPrecondition("no threes")
            yield item

    async def refuse(self, items: AsyncIterator[int]) -> int:
        raise penstock.FailedPrecondition("no")


async def drained(answer: AsyncIterator[int]) -> list[int]:
    return [item async for item in answer]


@pytest.mark.parametrize("method", ["echo", "refuse"])
async def test_who_feeds_a_call_by_a_pipe_is_told_when_the_call_is_over(method):
    async with linked(Picky()) as pair:
        sink, source = penstock.pipe(1)

        async def feed() -> None:
            for number in range(100):
                await sink.send(number)

        feeding = asyncio.ensure_future(feed())
        answer = getattr(pair.stub(Picky), method)(source)
        with pytest.raises(penstock.FailedPrecondition):
            await (drained(answer) if method == "echo" else answer)
        with pytest.raises(penstock.StreamCancelled):
            await asyncio.wait_for(feeding, 1)
        assert source.statistics().state == "cancelled"
