"""A connection that is cut is lost: never an end, never a doubled or a missing item, and both sides are told."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import ConnectionLost, Unavailable
from penstock.testing import SimulatedNetwork, run
from tests.calls.kit import linked, now, rest
from tests.sim.kit import KINDS, URL, Line, Run, world

LATENCY = {"latency_s": (0.01, 0.03), "split": 0.3}
COUNT, SIZE = 12, 40


async def whole(kind: str, seed: int) -> tuple[int, int]:
    """Make the call without a cut; return how many bytes the client and the server received."""
    async with world(seed, network=LATENCY) as here:
        (await here.run(kind, count=COUNT, size=SIZE, buffer_size=5, pause_s=0.001).go()).check_complete()
        return here.pair.peer._scope.session.link.delivered_bytes, here.pair.served._scope.session.link.delivered_bytes


async def cut(kind: str, seed: int, *, source: str, target: str, at: int) -> bool:
    """Make the call with a cut at one byte; return whether it came to its end all the same."""
    line = Line()
    with SimulatedNetwork(seed, **LATENCY) as network:
        network.cut_after(at, source=source, target=target)
        try:
            async with linked(line, url=URL, gate=False, client_reconnect=None) as pair:
                call = Run(pair.stub(Line, buffer_size=5), kind, count=COUNT, size=SIZE, pause_s=0.001)
                await call.go()
                call.check_typed(ConnectionLost)
                await asyncio.sleep(1)
                assert call.requests.open == 0, "the requests were not closed"
                assert line.closed == line.begun, "the handler was not told"
                assert not pair.peer._scope.tasks
                assert not pair.server.peers or call.outcome is None
                return call.outcome is None
        except Unavailable:  # the cut was in the handshake
            return False


@pytest.mark.parametrize("target", ["client", "server"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_any_byte_is_connection_lost_after_a_true_beginning(kind, target, seed):
    to_client, to_server = run(whole(kind, seed))
    total = to_client if target == "client" else to_server
    source = "server" if target == "client" else "client"
    step = max(1, total // 150)
    complete = [at for at in range(seed % step, total + 1, step) if run(cut(kind, seed, source=source, target=target, at=at))]
    assert all(at > total // 2 for at in complete)
    assert len(complete) < 60


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_at_any_moment_is_told_to_both_sides(kind, seed):
    async def scenario(moment: float) -> None:
        async with world(seed, gate=False, network={"latency_s": (0.05, 0.05)}) as here:
            call = here.run(kind, count=20, pause_s=0.02, buffer_size=4)
            begun = now()
            going = asyncio.ensure_future(call.go())
            await asyncio.sleep(moment)
            assert here.network.cut() == 1
            await going
            call.check_typed(ConnectionLost)
            if call.outcome is not None:
                assert call.ended_at - begun == pytest.approx(moment, abs=0.001)
            await rest()
            assert here.line.closed == here.line.begun
            assert not here.pair.server.peers

    for step in range(60):
        run(scenario(step * 0.013))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_cut_before_the_first_item_is_lost(kind, seed):
    async with world(seed, gate=False, network={"latency_s": (0.05, 0.05)}) as here:
        here.network.partition("client", "server")
        call = here.run(kind)
        going = asyncio.ensure_future(call.go())
        await asyncio.sleep(1)
        here.network.cut()
        await going
        assert type(call.outcome) is ConnectionLost
        assert here.line.begun == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keepalive_s", [1.0, 15.0])
async def test_a_half_open_connection_is_found_dead_within_two_keep_alives_by_both_sides(kind, keepalive_s, seed):
    settings = penstock.Settings(keepalive_s=keepalive_s)
    options = {"settings": settings, "client_settings": settings}
    async with world(seed, gate=False, network={"latency_s": (0.01, 0.02)}, **options) as here:
        call = here.run(kind, count=1000, pause_s=0.1, buffer_size=4)
        going = asyncio.ensure_future(call.go())
        await asyncio.sleep(2.05)
        begun = now()
        here.network.silence()
        await going
        assert type(call.outcome) is ConnectionLost
        assert now() - begun <= 2 * keepalive_s + 0.2
        await asyncio.sleep(2 * keepalive_s)
        assert here.line.closed == here.line.begun
        assert not here.pair.server.peers


async def test_a_hundred_streams_are_all_told_of_one_loss(seed):
    async with world(seed, gate=False, network={"latency_s": (0.01, 0.02)}) as here:
        calls = [here.run(KINDS[number % 4], count=1000, pause_s=0.1) for number in range(100)]
        going = [asyncio.ensure_future(call.go()) for call in calls]
        await asyncio.sleep(3)
        here.network.cut()
        await asyncio.gather(*going)
        assert {type(call.outcome) for call in calls} == {ConnectionLost}
        assert len({id(call.outcome) for call in calls}) == 100
        await rest()
        assert here.line.closed == here.line.begun == 100


async def test_a_client_comes_back_after_each_loss(seed):
    line = Line()
    with SimulatedNetwork(seed, latency_s=(0.01, 0.02)) as network:
        async with penstock.serve(line, listen="sim://server"):
            for _ in range(20):
                async with penstock.connect("sim://client@server", reconnect=None) as peer:
                    call = Run(peer.service(Line), "watch", count=10**6, pause_s=0.01)
                    going = asyncio.ensure_future(call.go())
                    await asyncio.sleep(network.random.uniform(0, 1))
                    network.cut("client", "server")
                    await going
                    assert type(call.outcome) is ConnectionLost
    await rest()
    assert line.closed == line.begun
