"""Whatever way an ask ends, its future is somebody's: nothing is left to the handler of the loop (see conftest)."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock.errors import ActorStopped, Cancelled, ConnectionLost, DeadlineExceeded, NotFound
from tests.remote.kit import SMALL, Desk, outcome, town


@pytest.mark.parametrize("count", [1, 100])
async def test_asks_that_are_refused_before_their_lane_was_accepted(count):
    async with town() as place:
        place.visitors.bridge("there", place.peer)
        for router, address in ((place.peer, "nobody"), (place.visitors, "there/nobody")):
            asks = [outcome(router.ask(address, "add", 1)) for _ in range(count)]
            assert {type(one) for one in await asyncio.gather(*asks)} == {NotFound}
        stub = place.peer.actor(Desk, "nobody")
        assert {type(one) for one in await asyncio.gather(*(outcome(stub.add()) for _ in range(count)))} == {NotFound}


@pytest.mark.parametrize("end", ["abort here", "abort there", "close here", "stop the actor"])
async def test_asks_that_wait_for_room_when_everything_ends(end):
    async with town(settings=SMALL) as place:
        desk, stub = await place.desk(mailbox=penstock.Mailbox(1))
        asks = []
        for number in range(30):
            asks += [asyncio.ensure_future(outcome(stub.wait(number)))]
            asks += [asyncio.ensure_future(outcome(place.peer.ask("desk", "wait", number, timeout=number + 1)))]
        await asyncio.sleep(0.5)
        if end == "abort here":
            place.peer._scope.session.abort()
        elif end == "abort there":
            place.back._scope.session.abort()
        elif end == "close here":
            await place.peer.aclose()
        else:
            desk.gate.set()
            await place.system.stop("desk")
        ended = {type(one) for one in await asyncio.gather(*asks)}
        assert ended <= {int, ConnectionLost, Cancelled, ActorStopped, penstock.Unavailable, DeadlineExceeded}


async def test_asks_whose_deadline_passes_in_the_turn_in_which_they_are_cancelled():
    async with town(settings=SMALL) as place:
        await place.desk(mailbox=penstock.Mailbox(1))
        asks = [asyncio.ensure_future(place.peer.ask("desk", "wait", number, timeout=1)) for number in range(20)]
        loop = asyncio.get_running_loop()
        loop.call_at(loop.time() + 1, lambda: [one.cancel() for one in asks])
        await asyncio.wait(asks)
        assert all(one.cancelled() or type(one.exception()) is DeadlineExceeded for one in asks)
