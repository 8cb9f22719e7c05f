"""FAULTS C6: actors on a loop whose tasks are eager: leaving the system, `on_start`, and messages after a crash."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock.errors import Internal
from penstock.testing import VirtualClockLoop

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")


class Counter(penstock.Actor):
    """Waits in some of its methods, and not in others."""

    async def on_start(self) -> None:
        await asyncio.sleep(0.01)
        self.sum = 0

    async def add(self, number: int) -> int:
        self.sum += number
        return self.sum

    async def add_later(self, number: int) -> int:
        await asyncio.sleep(0.01)
        return await self.add(number)

    async def crash(self) -> None:
        raise RuntimeError("as a program does")

    async def ticks(self) -> AsyncIterator[int]:
        for number in range(3):
            yield number


async def use(counter: Counter) -> None:
    assert await counter.add(1) == 1
    assert await counter.add_later(2) == 3
    await penstock.tell(counter).add(3)
    assert await counter.add(0) == 6
    assert [tick async for tick in counter.ticks()] == [0, 1, 2]
    with pytest.raises((RuntimeError, Internal)):
        await counter.crash()
    assert await counter.add_later(5) == 5  # made again, with a new state
    assert await asyncio.gather(*(counter.add(1) for _ in range(5))) == [6, 7, 8, 9, 10]


async def here() -> None:
    async with penstock.ActorSystem() as system:
        await use(await system.spawn(Counter, name="counter"))


async def across() -> None:
    async with penstock.ActorSystem() as system:
        await system.spawn(Counter, name="counter")
        async with penstock.serve(system, listen="memory://eager"), penstock.connect("memory://eager") as peer:
            await use(peer.actor(Counter, "counter"))


@pytest.mark.parametrize("program", [here, across])
def test_actors_work_with_eager_tasks(program) -> None:
    def eager_loop() -> asyncio.AbstractEventLoop:
        loop = VirtualClockLoop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        return loop

    with asyncio.Runner(loop_factory=eager_loop) as runner:
        runner.run(asyncio.wait_for(program(), 60))
