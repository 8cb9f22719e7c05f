"""A producer that is faster than its consumer, on a virtual clock: the bound holds, memory stays flat, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from tests.calls.kit import linked, now, rest
from tests.session.kit import held_for_peer


class Fast:
    """Makes an item whenever it may: only demand holds it back."""

    def __init__(self):
        self.produced = 0
        self.closed = False

    async def numbers(self, count: int = 10**9, size: int = 100) -> AsyncIterator[bytes]:
        try:
            for number in range(count):
                self.produced += 1
                yield number.to_bytes(8, "big") + bytes(size)
        finally:
            self.closed = True


async def test_a_consumer_that_takes_one_item_a_second_gets_every_item_and_the_producer_waits_for_it():
    fast, size = Fast(), 4
    async with linked(fast, url="memory://slow") as pair:
        stream = pair.stub(Fast, buffer_size=size).numbers(count=100)
        consumed, most_ahead = 0, 0
        async for item in stream:
            assert int.from_bytes(item[:8], "big") == consumed  # in order, none missing, none twice
            consumed += 1
            await asyncio.sleep(1)
            most_ahead = max(most_ahead, fast.produced - consumed)
        assert consumed == 100
        assert most_ahead == size  # it came as far as it may, and never further
        assert now() == pytest.approx(100, abs=1)


async def test_a_consumer_that_stops_for_ever_stops_the_producer_at_the_bound():
    fast, size = Fast(), 16
    async with linked(fast, url="memory://slow") as pair:
        stream = pair.stub(Fast, buffer_size=size).numbers()
        for _ in range(3 * size):
            await stream.receive()
        await asyncio.sleep(24 * 3600)
        assert fast.produced == 4 * size
        assert not fast.closed  # it waits, with nothing lost
        assert int.from_bytes((await stream.receive())[:8], "big") == 3 * size
        await stream.aclose()
        await rest()
        assert fast.closed


async def test_what_waits_is_bounded_in_bytes_on_both_sides():
    fast = Fast()
    async with linked(fast, url="memory://slow") as pair:
        stream = pair.stub(Fast, buffer_bytes=100_000).numbers(size=1000)
        for _ in range(500):
            await stream.receive()
        await asyncio.sleep(60)
        assert held_for_peer(pair.peer._scope.session) <= 103_000  # and one item
        (wire,) = pair.served._scope.session._connection.streams.all()
        assert sum(batch.size for batch in wire.send.unsent) <= 100_000
        await stream.aclose()


async def test_a_slow_hop_in_the_middle_holds_back_everything_before_it():
    """fast → relay → consumer: demand goes through every hop."""

    class Relay:
        def __init__(self, source):
            self.source = source

        async def numbers(self) -> AsyncIterator[bytes]:
            async for item in self.source.numbers():
                yield item

    fast, size = Fast(), 5
    async with linked(fast, url="memory://first") as first:
        relay = Relay(penstock.options(first.peer.service(Fast), buffer_size=size))
        async with linked(relay, url="memory://second") as second:
            stream = second.stub(Relay, buffer_size=size).numbers()
            for consumed in range(1, 50):
                await stream.receive()
                await asyncio.sleep(1)
                assert fast.produced - consumed <= 2 * size + 1  # two buffers, and the item in the relay's hand
            await stream.aclose()
            await rest()
            assert fast.closed


async def test_a_slow_stream_does_not_slow_the_others_on_its_connection():
    fast = Fast()
    async with linked(fast, url="memory://slow") as pair:
        stalled = [pair.stub(Fast).numbers(size=10_000) for _ in range(20)]
        await asyncio.sleep(1)
        begun = now()
        assert len([item async for item in pair.stub(Fast).numbers(count=5000)]) == 5000
        assert now() == begun  # it took no time but its own
        for stream in stalled:
            await stream.aclose()
