"""Everything at once, chosen by a seed: calls of all kinds, both ways, that are cancelled, left, late, stuck or forgotten."""

from __future__ import annotations

import asyncio
import gc
import random

import pytest

import penstock
from penstock import Cancelled, DeadlineExceeded, PenstockError
from penstock.testing import run
from tests.calls.kit import ended, rest
from tests.session.kit import held_for_peer
from tests.sim.kit import KINDS, Line, Run, World, world

CALLS = 40
STORMS = 15


class Storm:
    """One seed's worth of trouble."""

    def __init__(self, here: World, back: Line, chance: random.Random) -> None:
        self.here = here
        self.back = back
        self.chance = chance
        self.done = 0

    async def call(self) -> None:
        chance = self.chance
        await asyncio.sleep(chance.uniform(0, 2))
        peer = chance.choice([self.here.pair.peer, self.here.pair.served])
        call = self._run(peer)
        going = asyncio.ensure_future(call.go())
        what = chance.choice(["wait", "wait", "wait", "cancel", "stop", "forget"])
        if what != "wait":
            await asyncio.sleep(chance.choice([0, chance.uniform(0, 0.5), chance.uniform(0, 2)]))
        if what == "cancel":
            going.cancel()
        elif what == "stop" and call.stream is not None:
            call.stream.cancel()
        elif what == "forget":
            going.cancel()
            call.stream = None
        await ended(going)
        if not going.cancelled():
            call.check_typed(DeadlineExceeded, Cancelled)
        self.done += 1

    def _run(self, peer) -> Run:
        chance = self.chance
        options = {
            "buffer_size": chance.choice([None, 1, 2, 5, 50]),
            "buffer_bytes": chance.choice([None, None, 1, 1000, 100_000]),
            "timeout": chance.choice([None, None, chance.uniform(0.01, 3)]),
            "priority": chance.choice(["interactive", "normal", "bulk"]),
        }
        return Run(
            penstock.options(peer.service(Line), **options),
            chance.choice(KINDS),
            count=chance.choice([0, 1, 3, 20, 100]),
            size=chance.choice([8, 8, 500, 20_000, 100_000]),
            pause_s=chance.choice([0, 0, 0.001, 0.05]),
        )

    async def trouble(self) -> None:
        network, chance = self.here.network, self.chance
        while True:
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            network.partition()
            await asyncio.sleep(chance.uniform(0.01, 1))
            network.heal()


def settings(chance: random.Random) -> penstock.Settings:
    """Choose limits that calls run into, other ones for each side."""
    return penstock.Settings(
        max_frame_bytes=chance.choice([16 * 1024, 256 * 1024]),
        max_unsent_bytes=chance.choice([1, 1000, 1024 * 1024]),
        window_items=chance.choice([1, 3, 256]),
        window_bytes=chance.choice([1, 1000, 256 * 1024]),
        compression=chance.choice(["none", "none", "deflate"]),
        compression_threshold_bytes=chance.choice([1, 1024]),
    )


async def storm(seed: int) -> None:
    chance = random.Random(seed)
    back = Line()
    network = {"latency_s": (0.0, chance.choice([0.0, 0.01, 0.1])), "split": chance.random(), "coalesce": chance.random() / 2}
    sides = {side: settings(chance) for side in ("settings", "client_settings")}
    async with world(seed, network=network, client_services=[back], **sides) as here:
        it = Storm(here, back, chance)
        trouble = asyncio.ensure_future(it.trouble())
        await asyncio.gather(*(it.call() for _ in range(CALLS)))
        trouble.cancel()
        await ended(trouble)
        here.network.heal()
        await asyncio.sleep(5)
        assert it.done == CALLS
        assert back.closed == back.begun
        assert not here.pair.left_over()
        assert here.pair.peer._scope.session.lost is None, "the session did not live through it"
        for session in (here.pair.peer._scope.session, here.pair.served._scope.session):
            assert held_for_peer(session) == 0
    await rest()


@pytest.mark.parametrize("number", range(STORMS))
def test_after_the_storm_every_call_had_its_outcome_and_nothing_is_left(number, seed):
    run(storm(seed * 1000 + number))
    gc.collect()


@pytest.mark.parametrize("number", range(STORMS))
def test_a_connection_lost_in_the_storm_ends_every_call_with_a_type(number, seed):
    async def scenario(seed: int) -> None:
        chance = random.Random(seed)
        back = Line()
        async with world(seed, gate=False, network={"latency_s": (0.0, 0.05), "split": 0.5}, client_services=[back]) as here:
            it = Storm(here, back, chance)
            calls = [it._run(chance.choice([here.pair.peer, here.pair.served])) for _ in range(CALLS)]
            going = [asyncio.ensure_future(call.go()) for call in calls]
            await asyncio.sleep(chance.uniform(0, 2))
            here.network.cut()
            await asyncio.gather(*going)
            for call in calls:
                call.check_typed(PenstockError)
            await rest()
            assert back.closed == back.begun
            assert here.line.closed == here.line.begun
            assert not here.pair.peer._scope.tasks

    run(scenario(seed * 1000 + number))
