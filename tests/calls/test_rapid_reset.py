"""Calls that are opened and cancelled faster than their handlers clean up: the number of handlers stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import DeadlineExceeded, Settings, Unavailable
from tests.calls.kit import Pair, linked, rest, started
from tests.session.kit import held_for_peer

LIMIT = 8


class Slow:
    def __init__(self):
        self.running = self.most = 0
        self.may_end = asyncio.Event()

    async def work(self) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()
            self.running -= 1
        return 0


async def test_handlers_that_clean_up_count_as_streams():
    slow = Slow()
    async with linked(slow, settings=Settings(max_streams=LIMIT)) as pair:
        for _ in range(4 * LIMIT):
            call = asyncio.ensure_future(pair.stub(Slow).work())
            await rest()
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await rest()
        assert (slow.most, slow.running) == (LIMIT, LIMIT)
        assert len(pair.served._scope.waiting) == 0
        slow.may_end.set()
        await rest()
        assert (slow.most, slow.running) == (LIMIT, 0)


class Ordered(Slow):
    def __init__(self) -> None:
        super().__init__()
        self.begun: list[int] = []
        self.left: list[float | None] = []

    async def count(self, number: int) -> int:
        self.begun.append(number)
        self.left.append(penstock.context().time_remaining())
        return number

    async def total(self, items: AsyncIterator[int]) -> int:
        return sum([item async for item in items])


@asynccontextmanager
async def crowded() -> AsyncIterator[tuple[Ordered, Pair]]:
    """A server whose one place is taken by a handler that cleans up after its caller has left."""
    ordered = Ordered()
    async with linked(ordered, settings=Settings(max_streams=1), gate=False) as pair:
        first = await started(pair.stub(Ordered).work())
        first.cancel()
        await asyncio.wait([first])
        await rest()
        assert ordered.running == 1
        yield ordered, pair
        ordered.may_end.set()


async def test_a_call_waits_for_the_end_of_a_handler_that_cleans_up():
    """FAULTS G4: the caller cannot know of handlers that have not ended, and its call was refused."""
    async with crowded() as (ordered, pair):
        calls = [await started(pair.stub(Ordered).count(number)) for number in range(5)]
        summing = await started(pair.stub(Ordered).total([1, 2, 3]))
        await asyncio.sleep(1)
        assert ordered.begun == []
        ordered.may_end.set()
        assert await asyncio.gather(*calls) == list(range(5))
        assert await summing == 6
        assert ordered.begun == list(range(5))


async def test_a_call_that_waits_for_a_handler_has_no_more_than_its_deadline():
    async with crowded() as (ordered, pair):
        late = await started(pair.stub(Ordered, timeout=2).count(1))
        calling = await started(pair.stub(Ordered, timeout=10).count(2))
        with pytest.raises(DeadlineExceeded):
            await late
        await asyncio.sleep(1)
        ordered.may_end.set()
        assert await calling == 2
        assert ordered.begun == [2]
        assert ordered.left[0] == pytest.approx(7, abs=0.1)


async def test_a_call_that_waits_for_a_handler_can_be_cancelled_and_lost():
    async with crowded() as (ordered, pair):
        calling = await started(pair.stub(Ordered).count(1))
        calling.cancel()
        await asyncio.wait([calling])
        await rest()
        assert len(pair.served._scope.waiting) == 0
        ordered.may_end.set()
        await rest()
        assert ordered.begun == []


async def test_a_server_that_closes_refuses_the_calls_that_wait_for_a_handler():
    async with crowded() as (ordered, pair):
        calling = await started(pair.stub(Ordered).count(1))
        closing = await started(pair.served.aclose())
        with pytest.raises(Unavailable, match="shutting down") as raised:
            await calling
        assert not raised.value.started
        ordered.may_end.set()
        await closing
        assert ordered.begun == []


async def test_an_argument_counts_while_its_handler_cleans_up():
    class Keeper(Slow):
        async def keep(self, _large: bytes) -> int:
            return await self.work()

    keeper = Keeper()
    async with linked(keeper) as pair:
        call = asyncio.ensure_future(pair.stub(Keeper).keep(bytes(100_000)))
        await rest()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await rest()
        (served,) = pair.server.peers
        assert held_for_peer(served._scope.session) > 100_000
        keeper.may_end.set()
        await rest()
        assert held_for_peer(served._scope.session) == 0


async def test_a_connection_that_a_handler_lost_is_not_the_callers():
    class Relay:
        async def relay(self) -> int:
            raise penstock.ConnectionLost("the far server is gone")

    async with linked(Relay()) as pair:
        with pytest.raises(Unavailable, match="far server") as raised:
            await pair.stub(Relay).relay()
        assert not isinstance(raised.value, penstock.ConnectionLost)
