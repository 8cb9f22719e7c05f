"""Times and percentiles, the same for every side. Nothing here knows what is being timed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter_ns

Answer = dict[str, float]
Call = Callable[[], Awaitable[object]]


def rate(items: int, started_ns: int) -> Answer:
    """Answer of a command that moved `items` since `started_ns`."""
    seconds = (perf_counter_ns() - started_ns) / 1e9
    return {"items": items, "seconds": seconds, "per_s": items / seconds}


def percentiles(latencies_ns: list[int]) -> Answer:
    """Middle, tail and worst of what was timed one by one, in microseconds."""
    ordered = sorted(latencies_ns)
    last = len(ordered) - 1
    return {
        "p50_us": ordered[last // 2] / 1e3,
        "p99_us": ordered[round(last * 0.99)] / 1e3,
        "max_us": ordered[last] / 1e3,
    }


async def one_by_one(call: Call, count: int) -> Answer:
    """Make `count` calls, each after the one before, and time every one."""
    latencies = []
    started = before = perf_counter_ns()
    for _ in range(count):
        await call()
        now = perf_counter_ns()
        latencies.append(now - before)
        before = now
    return rate(count, started) | percentiles(latencies)


async def in_flight(call: Call, count: int, width: int) -> Answer:
    """Make `count` calls, `width` at a time."""
    tickets = iter(range(count))

    async def worker() -> None:
        for _ in tickets:
            await call()

    started = perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(worker())
    return rate(count, started)
