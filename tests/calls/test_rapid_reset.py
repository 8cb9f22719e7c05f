"""Calls that are opened and cancelled faster than their handlers clean up: the number of handlers stays bounded."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import ResourceExhausted, Settings, Unavailable
from tests.calls.kit import linked, rest

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
        refused = 0
        for _ in range(4 * LIMIT):
            call = asyncio.ensure_future(pair.stub(Slow).work())
            await rest()
            call.cancel()
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            refused += isinstance(outcome, ResourceExhausted)
            await rest()
        assert (slow.most, refused) == (LIMIT, 3 * LIMIT)
        slow.may_end.set()
        await rest()
        assert slow.running == 0


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
        assert served._scope.session._connection.held_bytes > 100_000
        keeper.may_end.set()
        await rest()
        assert served._scope.session._connection.held_bytes == 0


async def test_a_connection_that_a_handler_lost_is_not_the_callers():
    class Relay:
        async def relay(self) -> int:
            raise penstock.ConnectionLost("the far server is gone")

    async with linked(Relay()) as pair:
        with pytest.raises(Unavailable, match="far server") as raised:
            await pair.stub(Relay).relay()
        assert not isinstance(raised.value, penstock.ConnectionLost)
