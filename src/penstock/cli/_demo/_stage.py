"""What every scene stands on: the peer, the file, the pace. This module never plays a scene."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import penstock
from penstock.cli._demo._files import FileInfo
from penstock.cli._demo._process import ServerProcess

T = TypeVar("T")


class Stage(NamedTuple):
    """`pace` stretches every duration in the scenes. `pids` are the processes that were started."""

    peer: penstock.Peer
    server: ServerProcess
    workspace: Path
    file: FileInfo
    pace: float
    pids: list[int]

    async def pause(self, seconds: float) -> None:
        """Wait, so that eyes can follow."""
        await asyncio.sleep(seconds * self.pace)

    def until(self, seconds: float) -> float:
        """Return the moment that is `seconds` away, by the clock of `time.perf_counter`."""
        return time.perf_counter() + seconds * self.pace


def held(stream: AsyncIterator[T]) -> penstock.Stream[T]:
    """Return what a stub returned as what it is: a `Stream`, with statistics, batches and a way to cancel it."""
    return cast("penstock.Stream[T]", stream)


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run all of them until one ends; cancel the others; raise what that one raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
