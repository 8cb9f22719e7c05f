"""Bounded pipes in one process: Penstock's and its peers'. Nothing here leaves the event loop.

Each driver moves `count` typed items from one task to another, one `await` for each item on both ends.
"""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Any

from benchmarks.sides._clock import Answer, rate
from benchmarks.sides._items import PIPE_ITEMS, Tick, tick

_BATCH_ITEMS = 100


class QueueDriver:
    """`asyncio.Queue(100)`."""

    async def pipe(self, count: int) -> Answer:
        """Move `count` items; the producer closes with a None, as people do."""
        queue: asyncio.Queue[Tick | None] = asyncio.Queue(PIPE_ITEMS)
        started = perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce(queue, count))
            received = await self._consume(queue)
        assert received == count
        return rate(count, started)

    @staticmethod
    async def _produce(queue: asyncio.Queue[Tick | None], count: int) -> None:
        item = tick(0)
        for _ in range(count):
            await queue.put(item)
        await queue.put(None)

    @staticmethod
    async def _consume(queue: asyncio.Queue[Tick | None]) -> int:
        received = 0
        while await queue.get() is not None:
            received += 1
        return received


class AnyioDriver:
    """`anyio.create_memory_object_stream(100)`."""

    async def pipe(self, count: int) -> Answer:
        """Move `count` items; the producer closes its end."""
        import anyio

        sender, receiver = anyio.create_memory_object_stream[Tick](PIPE_ITEMS)
        received = 0
        started = perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce(sender, count))
            async for _ in receiver:
                received += 1
        assert received == count
        return rate(count, started)

    @staticmethod
    async def _produce(sender: Any, count: int) -> None:
        item = tick(0)
        async with sender:
            for _ in range(count):
                await sender.send(item)


class PenstockDriver:
    """`penstock.pipe(100)`: `send` on one end, `async for` on the other."""

    async def pipe(self, count: int) -> Answer:
        """Move `count` items; the producer closes its end."""
        import penstock

        sink, source = penstock.pipe(PIPE_ITEMS)
        received = 0
        started = perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce(sink, count))
            async for _ in source:
                received += 1
        assert received == count
        return rate(count, started)

    @staticmethod
    async def _produce(sink: Any, count: int) -> None:
        item = tick(0)
        for _ in range(count):
            await sink.send(item)
        sink.close()


class PenstockBatchesDriver:
    """`penstock.pipe(100)` by batches: `send_many` on one end, `batches()` on the other."""

    async def pipe(self, count: int) -> Answer:
        """Move `count` items, 100 in a batch."""
        import penstock

        sink, source = penstock.pipe(PIPE_ITEMS)
        received = 0
        started = perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce(sink, count))
            async for batch in source.batches(max_items=_BATCH_ITEMS):
                received += len(batch)
        assert received >= count
        return rate(received, started)

    @staticmethod
    async def _produce(sink: Any, count: int) -> None:
        items = [tick(0)] * _BATCH_ITEMS
        for _ in range(0, count, _BATCH_ITEMS):
            await sink.send_many(items)
        sink.close()
