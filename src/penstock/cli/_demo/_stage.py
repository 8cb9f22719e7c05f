"""What every scene stands on: the peer, the file, the pace. This module never plays a scene."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, TypeVar

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
    assert isinstance(stream, penstock.Stream)
    return stream
