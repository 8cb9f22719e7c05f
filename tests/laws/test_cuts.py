"""A cut is not an end: a program meets the same when the connection to its actors is cut at any byte, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from penstock import ActorSystem, Reconnect, connect, serve
from penstock.testing import SimulatedNetwork, run
from tests.laws import programs
from tests.laws.programs import Runner, Step, program
from tests.laws.ways import Place, place

PROGRAMS = 200
#: Programs of one test: the tests share the processors.
TOGETHER = 25
#: Bytes that arrive over one link, at most: enough for a handshake most of the time, and for a few frames of the program.
LINK_BYTES = 300
AT_ONCE = Reconnect(first_s=1e-9, max_s=1e-9)

#: Over all programs of one process: cuts during a handshake, and of a link that carried the session.
CUTS: Counter[str] = Counter()


async def settled(_turns: int = 0) -> None:
    """Let everything arrive that is under way, also what has to wait for the next link."""
    await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(programs, "settle", settled)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@asynccontextmanager
async def cut_again_and_again(seed: int) -> AsyncIterator[Place]:
    """Make a system of actors that is reached over a network which cuts each link after some bytes, in either direction."""
    with SimulatedNetwork(seed=seed) as network:
        async with (
            ActorSystem() as system,
            serve(system, listen="sim://server") as server,
            connect("sim://server", reconnect=AT_ONCE) as peer,
        ):
            session, see = peer._sessions.now, peer._sessions.now.on_change
            running, detached = True, False

            def next_cut() -> None:
                """Say when the next link is cut, or the present one, which goes on for a little longer."""
                hosts = ["client", "server"]
                network.random.shuffle(hosts)
                network.cut_after(network.random.randint(1, LINK_BYTES), source=hosts[0], target=hosts[1])

            def changed() -> None:
                nonlocal detached
                if running and session.detached:
                    CUTS["of a handshake" if detached else "of a session"] += 1
                    next_cut()
                detached = session.detached
                see()

            session.on_change = changed
            next_cut()
            yield Place(system, peer)
            running = False
            network._cuts.clear()
            for connection in network._between(()):
                for link in connection.links:
                    link.cut_after_bytes = None
            assert len(server.peers) <= 2


async def _met(steps: list[Step], seed: int | None = None) -> list[object]:
    there = place("here") if seed is None else cut_again_and_again(seed)
    async with there as reached, asyncio.timeout(10_000):
        return await Runner(reached, "desk").run(steps)


@pytest.mark.parametrize("first", range(0, PROGRAMS, TOGETHER))
def test_a_program_meets_the_same_over_a_connection_that_is_cut_again_and_again(first):
    before = CUTS.total()
    for seed in range(first, first + TOGETHER):
        steps = program(seed)
        here = run(_met(steps))
        assert run(_met(steps, seed)) == here, f"program {seed}: {steps}"
    assert CUTS.total() - before > 2 * TOGETHER
