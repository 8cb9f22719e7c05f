"""What the tests of streams hold: rest, tasks that are watched, and how they ended. It needs the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def rest() -> None:
    """Return when nothing is ready any more: the virtual clock moves only then."""
    await asyncio.sleep(0.001)


async def started(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run `work` in a task as far as it goes."""
    task = asyncio.ensure_future(work)
    await rest()
    return task


async def stopped(task: asyncio.Task[Any]) -> object:
    """Cancel a task and return how it ended."""
    task.cancel()
    return await ended(task)


async def ended(task: asyncio.Future[Any]) -> object:
    """Wait for a task; return its result, or what it raised."""
    return (await asyncio.gather(task, return_exceptions=True))[0]


def depth(error: BaseException) -> int:
    """Count the entries of a traceback."""
    entries, entry = 0, error.__traceback__
    while entry is not None:
        entries, entry = entries + 1, entry.tb_next
    return entries
