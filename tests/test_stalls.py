"""An event loop that stands still is told of, with the function that holds it up."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import penstock
from penstock._stalls import STANDSTILL_S, Stalls, where_in


def stand_still() -> None:
    """Hold up the loop."""
    until = time.monotonic() + 3 * STANDSTILL_S
    while time.monotonic() < until:
        pass


class Desk:
    async def stall(self) -> None:
        stand_still()

    async def wait(self) -> None:
        await asyncio.sleep(2 * STANDSTILL_S)


class Clerk(penstock.Actor):
    async def stall(self) -> None:
        stand_still()


async def told(stalls: Stalls, count: int) -> str:
    async with asyncio.timeout(10):
        while stalls.count < count:  # noqa: ASYNC110 - a count, which no event tells
            await asyncio.sleep(0.01)
    assert stalls.last is not None
    assert stalls.last.seconds >= STANDSTILL_S
    return stalls.last.where


async def test_a_handler_that_holds_up_the_loop_is_named(caplog):
    async with (
        Stalls() as stalls,
        penstock.ActorSystem() as system,
        penstock.serve(Desk(), system, listen="memory://stalls"),
        penstock.connect("memory://stalls") as peer,
    ):
        await system.spawn(Clerk, name="clerk")
        await peer.service(Desk).stall()
        where = await told(stalls, 1)
        assert where.startswith("Desk.stall (test_stalls.py:")
        assert ", at stand_still (test_stalls.py:" in where
        for number, router in enumerate((system, peer), 2):
            await router.ask("clerk", "stall")
            assert (await told(stalls, number)).startswith("Clerk.stall (")
        assert "the event loop stood still for" in caplog.text


async def test_a_loop_that_waits_does_not_stand_still():
    async with Stalls() as stalls, penstock.serve(Desk(), listen="memory://still"), penstock.connect("memory://still") as peer:
        await peer.service(Desk).wait()
        assert (stalls.count, stalls.last) == (0, None)


async def test_its_thread_ends_with_it():
    async with Stalls():
        assert [thread.name for thread in threading.enumerate()].count("penstock-stalls") == 1
    assert "penstock-stalls" not in {thread.name for thread in threading.enumerate()}


def test_a_stack_without_a_function_of_the_program_is_nobodys_stall():
    idles = threading.Event()

    async def idle() -> None:
        asyncio.get_running_loop().call_soon(idles.set)
        await asyncio.sleep(0.1)

    seen: list[str] = []

    def look(thread: int) -> None:
        idles.wait(10)
        seen.append(where_in(sys._current_frames()[thread]))

    looking = threading.Thread(target=look, args=(threading.get_ident(),))
    looking.start()
    asyncio.run(idle())
    looking.join()
    assert "idle" not in seen[0]


async def test_a_node_tells_of_it():
    async with penstock.Node() as node:
        await node.spawn(Clerk, name="clerk")
        await node.ask("clerk", "stall")
        await told(node.stalls, 1)
