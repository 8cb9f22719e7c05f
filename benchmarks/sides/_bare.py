"""An idle handler without any library: a task and an async generator that waits. What Python alone charges for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from benchmarks.sides._memory import resident_bytes


async def _idle() -> AsyncIterator[int]:
    yield 0
    await asyncio.get_running_loop().create_future()


async def _pump() -> None:
    async for _ in _idle():
        pass


class Driver:
    """Holds many."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def hold(self, count: int) -> int:
        """Start `count` more; answer how many bytes this process holds then."""
        self._tasks += [asyncio.create_task(_pump()) for _ in range(count)]
        await asyncio.sleep(0)
        return resident_bytes()
