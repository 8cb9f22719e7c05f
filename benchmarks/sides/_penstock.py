"""Penstock doing the work that every peer does too. It sets no window, no batch and no option: what a user gets at first.

TLS is the one thing that must be said, on both sides: `TLS.development`, its certificate in the folder of the pair.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import perf_counter_ns
from typing import Any, ClassVar

from benchmarks.sides._clock import Answer, in_flight, one_by_one, rate
from benchmarks.sides._items import Tick, check_total
from benchmarks.sides._services import Bench

_CHUNK_BYTES = 64 * 1024
_ENDLESS = 1 << 40


def listen_url(transport: str, folder: str) -> str:
    """Say where to listen for `transport`."""
    return {
        "tcp": "tcp://127.0.0.1:0",
        "tls": "tls://127.0.0.1:0",
        "unix": f"unix://{folder}/bench.sock",
        "memory": "memory://bench",
    }[transport]


def encryption(transport: str, folder: str) -> Any:
    """Return what both sides give as `tls=`."""
    import penstock

    return penstock.TLS.development(folder) if transport == "tls" else None


class Server:
    """`penstock.serve(Bench())`."""

    services: ClassVar[tuple[type[Any], ...]] = (Bench,)
    settings: ClassVar[dict[str, Any]] = {}

    async def serve(self, transport: str, folder: str) -> str:
        """Start, and answer where."""
        import penstock

        self._stack = AsyncExitStack()
        server = await self._stack.enter_async_context(
            penstock.serve(
                *[service() for service in self.services],
                listen=listen_url(transport, folder),
                tls=encryption(transport, folder),
                settings=penstock.Settings(**self.settings),
            )
        )
        return str(server.urls[0])


class Driver:
    """`penstock.connect(url)` and one typed stub."""

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Connect to `url`."""
        import penstock

        self._stack = AsyncExitStack()
        peer = await self._stack.enter_async_context(penstock.connect(url, tls=encryption(transport, folder)))
        self._bench: Bench = peer.service(Bench)

    @staticmethod
    async def _produce(count: int) -> AsyncIterator[Tick]:
        for sequence in range(count):
            yield Tick("AAPL", sequence, 101.25, 100, "XNAS")

    async def server_stream(self, count: int) -> Answer:
        """Receive `count` items."""
        total = 0
        started = perf_counter_ns()
        async for tick in self._bench.ticks(count):
            total += tick.sequence
        check_total(total, count)
        return rate(count, started)

    async def server_batches(self, count: int) -> Answer:
        """Receive `count` items, by batches."""
        total = 0
        started = perf_counter_ns()
        stream: Any = self._bench.ticks(count)
        async for batch in stream.batches():
            for tick in batch:
                total += tick.sequence
        check_total(total, count)
        return rate(count, started)

    async def client_stream(self, count: int) -> Answer:
        """Send `count` items."""
        started = perf_counter_ns()
        tally = await self._bench.record(self._produce(count))
        check_total(tally.total, count)
        return rate(count, started)

    async def bidirectional(self, count: int) -> Answer:
        """Send `count` items and receive each again."""
        total = 0
        started = perf_counter_ns()
        async for tick in self._bench.echo(self._produce(count)):
            total += tick.sequence
        check_total(total, count)
        return rate(count, started)

    async def chunks(self, count: int, size: int) -> Answer:
        """Receive `count` items of `size` bytes."""
        received = 0
        started = perf_counter_ns()
        async for chunk in self._bench.chunks(count, size):
            received += len(chunk)
        assert received == count * size
        return rate(count, started)

    async def unary(self, count: int) -> Answer:
        """Make `count` small calls, one after the other."""
        return await one_by_one(lambda: self._bench.quote("AAPL"), count)

    async def in_flight(self, count: int, width: int) -> Answer:
        """Make `count` small calls, `width` at a time."""
        return await in_flight(lambda: self._bench.quote("AAPL"), count, width)

    async def unary_beside_bulk(self, count: int) -> Answer:
        """Make `count` small calls while a stream of priority "bulk" takes all the connection gives."""
        import penstock

        bulk = penstock.options(self._bench, priority="bulk")
        received = 0

        async def drain() -> None:
            nonlocal received
            async for chunk in bulk.chunks(_ENDLESS, _CHUNK_BYTES):
                received += len(chunk)

        draining = asyncio.create_task(drain())
        await asyncio.sleep(0.1)  # let its window open before the first call is timed
        try:
            answer = await self.unary(count)
        finally:
            draining.cancel()
        return answer | {"bulk_bytes_per_s": received / answer["seconds"]}
