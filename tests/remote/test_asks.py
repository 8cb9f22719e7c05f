"""Whatever way an ask ends, its future is somebody's: nothing is left to the handler of the loop (see conftest)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import CancelToken
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
    async with town(settings=SMALL, reconnect=None) as place:
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


@asynccontextmanager
async def _open_door(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


async def _give_up(place, stub, how):
    """Ask three times, and give up each ask before its turn."""
    token, timeout = CancelToken(), 0.5 if how == "deadline" else None
    asks = [asyncio.ensure_future(place.peer.ask("desk", "note", "never", timeout=timeout, cancel=token)) for _ in range(2)]
    asks.append(asyncio.ensure_future(penstock.options(stub, timeout=timeout).note("never")))
    await asyncio.sleep(0.2)
    assert place.system.info("desk").mailbox == 3
    if how == "lost":
        place.peer._scope.session.abort()
    elif how == "token":
        token.cancel("changed my mind")
        asks[-1].cancel()
    elif how == "cancel":
        [ask.cancel() for ask in asks]
    await asyncio.gather(*asks, return_exceptions=True)
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("interceptors", [[], [_open_door]])
@pytest.mark.parametrize("how", ["cancel", "deadline", "token", "lost"])
async def test_asks_that_are_given_up_elsewhere_leave_the_mailbox_at_once(how, interceptors):
    async with town(interceptors=interceptors, reconnect=None) as place:
        desk, stub = await place.desk(mailbox=penstock.Mailbox(3, "reject"))
        first = asyncio.ensure_future(place.system.ask("desk", "wait", timeout=100))
        await asyncio.sleep(0.1)
        for _ in range(1 if how == "lost" else 3):
            await _give_up(place, stub, how)
            assert place.system.info("desk").mailbox == 0
        for number in range(3):
            await place.system.tell("desk", "note", number)
        desk.gate.set()
        await first
        await asyncio.sleep(0.1)
        assert desk.notes == ["begun None", "done None", 0, 1, 2]
        assert place.system.dead_letters.count == 0
