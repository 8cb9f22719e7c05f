"""The scenes of leaving a stream and of losing a server, in the client process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import penstock
from penstock.demo._board import Card, Row, ms, number, percentile
from penstock.demo._services import Number, Numbers
from penstock.demo._stage import Stage, server_process

#: Items that are received before a loop is left: the producer runs at full speed by then.
TAKEN: Final = 1000
#: Times that each way of leaving is tried.
ROUNDS: Final = 12
#: The consumer of a dead server gets its error within this time.
LOST_MAX_NS: Final = 1_000_000_000
#: A clean-up that takes longer than this did not run.
FREED_TIMEOUT_S: Final = 5.0
FREED_P50_MAX_NS: Final = 5_000_000


# ── leaving: the producer's clean-up runs ─────────────────────────────────────────────────────────────────────────────


class _Left(Exception):
    """Any exception in the body of a loop."""

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns


async def _by_break(stream: penstock.Stream[Number]) -> int:
    async for item in stream:
        if item.n == TAKEN:
            break
    return time.perf_counter_ns()


async def _by_return(stream: penstock.Stream[Number]) -> int:
    async for item in stream:
        if item.n == TAKEN:
            return time.perf_counter_ns()
    return 0


async def _by_exception(stream: penstock.Stream[Number]) -> int:
    try:
        async for item in stream:
            if item.n == TAKEN:
                _fail()
    except _Left as error:
        return error.at_ns
    return 0


def _fail() -> None:
    raise _Left(time.perf_counter_ns())


async def _by_cancelling(stream: penstock.Stream[Number]) -> int:
    """Cancel the task that consumes the stream; return the time of the cancellation."""
    taken = asyncio.Event()

    async def consume() -> None:
        async for item in stream:
            if item.n == TAKEN:
                taken.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(consume())
    await taken.wait()
    left = time.perf_counter_ns()
    task.cancel()
    await asyncio.wait([task])
    return left


WAYS: Final[dict[str, Callable[[penstock.Stream[Number]], Awaitable[int]]]] = {
    "break": _by_break,
    "return": _by_return,
    "exception": _by_exception,
    "cancelled": _by_cancelling,
}


async def leave(stage: Stage, card: Card) -> None:
    """Leave loops in four ways, and ask the producer when its ``finally`` ran."""
    everything: list[int] = []
    for line, (name, way) in enumerate(WAYS.items()):
        taken: list[int] = []
        for round_ in range(ROUNDS):
            taken.append(await _freed_after(stage, f"{name} {round_}", way))
            figures = f"{ms(taken[-1])} · median {ms(percentile(taken, 0.5))} · most {ms(max(taken))}"
            card.show(line, Row(name, figures, len(taken) / ROUNDS))
            await stage.pause(0.04)
        everything += taken
    median, most = ms(percentile(everything, 0.5)), ms(max(everything))
    card.brief = f"the producer's finally ran after {median} (median of {len(everything)}), {most} at most"
    freed = percentile(everything, 0.5) < FREED_P50_MAX_NS
    card.judge("Leaving frees the producer", f"median {median}, most {most} ({len(everything)} ×)", held=freed)


async def _freed_after(stage: Stage, run: str, way: Callable[[penstock.Stream[Number]], Awaitable[int]]) -> int:
    """Leave one stream, and return the time in ns until the clean-up of the producer began in the other process."""
    numbers = penstock.options(stage.peer.service(Numbers), timeout=FREED_TIMEOUT_S)
    left = await way(penstock.Stream.of(numbers.count(run)))
    return await numbers.freed_ns(run) - left


# ── losing: a dead server is not the end of a stream ──────────────────────────────────────────────────────────────────


async def lose(stage: Stage, card: Card) -> None:
    """Kill a server in the middle of a stream and of a waiting call."""
    async with (
        server_process(stage.workspace, throw_away=True) as server,
        penstock.connect(server.urls[0], reconnect=None) as peer,
    ):
        stage.pids.append(server.pid)
        numbers, received = peer.service(Numbers), [0]
        consuming = asyncio.create_task(_outcome(_consume(numbers, received)))
        waiting = asyncio.create_task(_outcome(numbers.never()))
        until = stage.until(1.5)
        while time.perf_counter() < until or not received[0]:
            card.show(0, Row("receiving", f"{number(received[0])} items from process {server.pid}"))
            await asyncio.sleep(0.05)
        killed_ns = server.kill()
        stream, call = await consuming, await waiting
    after = stream[1] - killed_ns, call[1] - killed_ns
    card.show(
        0,
        Row("received", f"{number(received[0])} items, then kill -9 {server.pid}"),
        Row("the stream", f"{stream[0]} after {ms(after[0])}"),
        Row("a call", f"{call[0]} after {ms(after[1])}"),
    )
    lost = penstock.ConnectionLost.__name__
    card.brief = f"stream: {stream[0]} after {ms(after[0])}, after {number(received[0])} items"
    card.judge(
        "A dead server is not a normal end",
        f"{stream[0]} {ms(max(after))} after kill -9",
        held=stream[0] == call[0] == lost and max(after) < LOST_MAX_NS,
    )


async def _consume(numbers: Numbers, received: list[int]) -> None:
    async for batch in penstock.Stream.of(numbers.count("lost")).batches():
        received[0] += len(batch)


async def _outcome(work: Awaitable[None]) -> tuple[str, int]:
    """Return how `work` ended, and when."""
    try:
        await asyncio.wait_for(work, timeout=FREED_TIMEOUT_S * 6)
    except (penstock.StatusError, TimeoutError) as error:
        return type(error).__name__, time.perf_counter_ns()
    return "a normal end", time.perf_counter_ns()
