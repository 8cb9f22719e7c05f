"""A handler that stalls in the middle of a batch is charged for what the batch has become: a byte can be an empty list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import penstock
from penstock.errors import ResourceExhausted
from tests.interop.kit import until

#: Values that are a byte each, and 72 in memory.
LISTS: list[list[int]] = [[]] * 20_000
OBJECTS_BYTES = 72 * len(LISTS)


class Desk:
    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.go = asyncio.Semaphore(0)

    async def untyped(self, values: AsyncIterator[Any]) -> int:
        return await self._take(values)

    async def numbers(self, values: AsyncIterator[int]) -> int:
        return await self._take(values)

    async def _take(self, values: AsyncIterator[Any]) -> int:
        count = 0
        async for value in values:
            self.taken.append(value)
            count += 1
            await self.go.acquire()
        return count


async def in_one_batch(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


def held(server: penstock.Server) -> int:
    (peer,) = server.peers
    return peer._scope.session.budget.held_bytes


async def test_the_objects_of_a_batch_are_charged_until_the_next_one_or_the_end():
    desk = Desk()
    async with penstock.serve(desk, listen="memory://objects") as server, penstock.connect("memory://objects") as peer:
        before = held(server)
        call = asyncio.ensure_future(peer.service(Desk).untyped(in_one_batch(0, LISTS)))
        await until(lambda: desk.taken, "the handler stalls behind the first item")
        assert held(server) - before > OBJECTS_BYTES
        desk.go.release()
        desk.go.release()
        assert await call == 2
        await until(lambda: held(server) == before, "all is given back")


async def test_items_of_a_fixed_number_of_objects_are_not_counted():
    desk = Desk()
    async with penstock.serve(desk, listen="memory://objects") as server, penstock.connect("memory://objects") as peer:
        call = asyncio.ensure_future(peer.service(Desk).numbers(in_one_batch(*range(-6, -200, -1))))
        await until(lambda: desk.taken, "the handler stalls behind the first item")
        (peer_here,) = server.peers
        (stream,) = peer_here._scope.session._connection.streams.all()
        assert stream.held_bytes < 20_000
        call.cancel()


async def test_a_batch_whose_objects_do_not_fit_ends_its_call_and_no_other():
    desk, limits = Desk(), penstock.Settings(max_connection_bytes=4 * 1024 * 1024, max_item_bytes=1024 * 1024)
    async with (
        penstock.serve(desk, listen="memory://objects", settings=limits) as server,
        penstock.connect("memory://objects") as peer,
    ):
        before = held(server)
        calls = [asyncio.ensure_future(peer.service(Desk).untyped(in_one_batch(0, LISTS))) for _ in range(6)]
        await until(lambda: any(call.done() for call in calls), "one is refused")
        await asyncio.sleep(0.01)
        refused = [call for call in calls if call.done()]
        assert 1 <= len(refused) <= 5
        for call in refused:
            with pytest.raises(ResourceExhausted, match=r"objects of items.*max_connection_bytes"):
                call.result()
        for _ in range(20):
            desk.go.release()
        assert [await call for call in calls if call not in refused] == [2] * (6 - len(refused))
        await until(lambda: held(server) == before, "all is given back")
