"""What all connections of a process hold: it is charged, shared, and given back; the one that holds most is ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock.errors import ConnectionLost, ResourceExhausted
from penstock.session._process import LINK_COST_BYTES, READY_COST_BYTES, crowd
from tests.session.kit import held_for_peer
from tests.streams.kit import rest, started

URL = "memory://process"
MIB = 1024 * 1024


class Keeper:
    """Keeps the arguments of its callers, and never reads what they send."""

    async def keep(self, _value: bytes) -> None:
        await asyncio.Event().wait()

    async def ignore(self, _items: AsyncIterator[bytes]) -> None:
        await asyncio.Event().wait()

    async def echo(self, value: bytes) -> bytes:
        return value


def limits(mib: float) -> penstock.Settings:
    return penstock.Settings(max_process_bytes=int(mib * MIB))


async def test_a_connection_weighs_something_by_itself_until_it_is_over():
    assert crowd().process.held_bytes == 0
    async with penstock.serve(Keeper(), listen=URL) as server, penstock.connect(URL) as peer:
        await peer.service(Keeper).echo(b"x")
        await rest()
        (served,) = server.peers
        assert served._scope.session.budget.held_bytes == READY_COST_BYTES > LINK_COST_BYTES
        assert crowd().process.connections == 2
        assert crowd().process.held_bytes == 2 * READY_COST_BYTES
    await rest()
    assert (crowd().process.held_bytes, crowd().process.connections) == (0, 0)


async def test_what_a_connection_may_hold_is_what_stays_free_and_the_error_names_the_setting():
    async with penstock.serve(Keeper(), listen=URL, settings=limits(10)), penstock.connect(URL) as peer:
        keeper = peer.service(Keeper)
        kept = []
        for _ in range(3):
            kept.append(await started(keeper.keep(bytes(MIB))))
            await rest()
        with pytest.raises(ResourceExhausted, match=rf"Settings\.max_process_bytes is {10 * MIB}"):
            await keeper.keep(bytes(3 * MIB))
        assert await keeper.echo(bytes(100_000))
        assert not any(call.done() for call in kept)
        for call in kept:
            call.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        await rest()
        assert held_for_peer(peer._scope.session) == 0


async def test_peers_that_hoard_leave_an_honest_one_its_part_and_the_largest_is_ended():
    """Each of twenty takes all it can. The next one gets its part, for which the largest of them is given up."""
    async with penstock.serve(Keeper(), listen=URL, settings=limits(24)) as server:
        hoards = [penstock.connect(URL, reconnect=None) for _ in range(20)]
        peers = [await hoard.__aenter__() for hoard in hoards]
        kept = []
        for size in (2 * MIB, MIB, MIB // 4, MIB // 16, MIB // 64):
            for peer in peers:
                kept += [await started(peer.service(Keeper).keep(bytes(size))) for _ in range(2)]
                await rest()
        held = {one: one._scope.session.budget.held_bytes for one in server.peers}
        assert sum(held.values()) <= 24 * MIB
        most = max(held, key=held.__getitem__)
        spare = 24 * MIB - crowd().process.held_bytes
        most._scope.session.budget.take(spare)
        async with penstock.connect(URL) as honest:
            assert len(await honest.service(Keeper).echo(bytes(40_000))) == 40_000
            more = [await started(honest.service(Keeper).keep(bytes(20_000))) for _ in range(6)]
            await rest()
            assert not any(call.done() for call in more)
            for call in more:
                call.cancel()
            await asyncio.gather(*more, return_exceptions=True)
        assert [one for one in held if one not in server.peers] == [most]
        most._scope.session.budget.give(spare)
        outcomes = await asyncio.gather(*(_end(call) for call in kept))
        assert {type(outcome) for outcome in outcomes} <= {ConnectionLost, ResourceExhausted, asyncio.CancelledError}
        lost = [str(outcome) for outcome in outcomes if type(outcome) is ConnectionLost]
        assert lost
        assert all("Settings.max_process_bytes" in text for text in lost)
        for hoard in hoards:
            await hoard.__aexit__(None, None, None)
    await rest()
    assert crowd().process.held_bytes == 0


async def _end(call: asyncio.Future[None]) -> BaseException | None:
    call.cancel()
    return (await asyncio.gather(call, return_exceptions=True))[0]
