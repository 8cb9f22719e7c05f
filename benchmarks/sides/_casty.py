"""Casty 0.22.1 doing the same work (Python ≥ 3.12): an actor's streaming method, in one process and from a client.

Its buffers are its own: 16 items in one process, 256 KiB in flight between two; neither can be asked for per stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter_ns

import casty

from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._items import check_total
from benchmarks.sides._ports import free_port


@casty.message
@dataclass
class Tick:
    """The same five fields, as Casty wants them."""

    symbol: str
    sequence: int
    price: float
    size: int
    venue: str


@casty.actor
class Bench:
    """An actor without state that streams."""

    started: int = 0

    async def same(self, count: int) -> AsyncIterator[Tick]:
        """Stream one item again and again, as the pipes in one process do."""
        item = Tick("AAPL", 0, 101.25, 100, "XNAS")
        for _ in range(count):
            yield item

    async def ticks(self, count: int) -> AsyncIterator[Tick]:
        """Stream `count` fresh items."""
        for sequence in range(count):
            yield Tick("AAPL", sequence, 101.25, 100, "XNAS")


class LocalDriver:
    """`casty.local()`: producer and consumer on one event loop."""

    async def pipe(self, count: int) -> Answer:
        """Move `count` items from the actor's method to the loop here."""
        async with casty.local() as system:
            bench = system.actor(Bench, "bench")
            received = 0
            started = perf_counter_ns()
            async for _ in bench.same(count):
                received += 1
            assert received == count
            return rate(count, started)


class Server:
    """A cluster of one node."""

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        del transport, folder
        address = f"127.0.0.1:{free_port()}"
        self._system = await casty.start(address)
        return address


class Driver:
    """A client of that cluster."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to the node at `url`."""
        del transport, folder
        self._client = await casty.connect([url])
        self._bench = self._client.actor(Bench, "bench")

    async def server_stream(self, count: int) -> Answer:
        """Receive `count` items."""
        total = 0
        started = perf_counter_ns()
        async for tick in self._bench.ticks(count):
            total += tick.sequence
        check_total(total, count)
        return rate(count, started)
