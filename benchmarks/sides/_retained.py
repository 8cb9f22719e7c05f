"""A retained stream of Penstock, in memory or in a file: the server's process writes it, the driver's process follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count as numbers
from pathlib import Path
from time import perf_counter_ns
from typing import Any, ClassVar

from benchmarks.sides._clock import Answer, percentiles, rate
from benchmarks.sides._items import Stamped, Tick, check_total, tick

#: Streams of the benchmark keep all of their items.
_KEPT = {"max_items": 1 << 30, "max_bytes": 1 << 30, "ttl_s": 1.0}


class Writer:
    """The service that writes streams."""

    def __init__(self, durable: Path | None) -> None:
        self._durable = durable

    async def write(self, name: str, count: int) -> AsyncIterator[Any]:
        """Begin a stream of `count` ticks under this name."""
        import penstock

        return penstock.retained(name, map(tick, range(count)), durable=self._durable, **_KEPT)

    async def trickle(self, name: str, count: int, gap_s: float) -> AsyncIterator[Any]:
        """Begin a stream of `count` times, each `gap_s` after the one before."""
        import penstock

        return penstock.retained(name, self._times(count, gap_s), durable=self._durable, **_KEPT)

    @staticmethod
    async def _times(count: int, gap_s: float) -> AsyncIterator[Stamped]:
        for _ in range(count):
            await asyncio.sleep(gap_s)
            yield Stamped(perf_counter_ns())


class MemoryServer:
    """`penstock.serve(Writer())`."""

    durable: ClassVar[bool] = False

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        import penstock

        del transport
        self._stack = AsyncExitStack()
        path = Path(folder) / "streams.db" if self.durable else None
        server = await self._stack.enter_async_context(penstock.serve(Writer(path), listen="tcp://127.0.0.1:0"))
        return str(server.urls[0])


class DurableServer(MemoryServer):
    """The same in a file."""

    durable = True


class MemoryDriver:
    """`penstock.connect(url)` and a follower."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to `url`."""
        import penstock

        del transport, folder
        self._stack = AsyncExitStack()
        self._peer = await self._stack.enter_async_context(penstock.connect(url))
        self._names = numbers()

    async def follow(self, count: int) -> Answer:
        """Have a new stream of `count` items written, and follow it from its beginning to its end."""
        name, total = f"run-{next(self._names)}", 0
        started = perf_counter_ns()
        await self._begin("write", name, count)
        async for one in self._peer.follow(name, type=Tick):
            total += one.sequence
        check_total(total, count)
        return rate(count, started)

    async def append_to_reader(self, count: int, gap_s: float) -> Answer:
        """Follow a stream whose items come one by one: the time from each append to its arrival here."""
        name = f"run-{next(self._names)}"
        started = perf_counter_ns()
        await self._begin("trickle", name, count, gap_s)
        latencies = [perf_counter_ns() - one.at_ns async for one in self._peer.follow(name, type=Stamped)]
        return rate(count, started) | percentiles(latencies)

    async def _begin(self, method: str, *arguments: Any) -> None:
        """Have a stream begun, and leave it to its follower."""
        stream = self._peer.stream(f"Writer/{method}", *arguments)
        await stream.receive()
        await stream.aclose()


DurableDriver = MemoryDriver
