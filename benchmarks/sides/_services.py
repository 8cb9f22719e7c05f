"""The services that Penstock's side serves. Nothing here measures: what must be seen from outside is written on a board."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter_ns

from benchmarks.sides._board import Board
from benchmarks.sides._items import Tally, Tick

#: Run-ahead producers stop here: far above any window that is measured.
_ENDLESS = 100_000


class Bench:
    """The work that every peer does too."""

    async def ticks(self, count: int) -> AsyncIterator[Tick]:
        """Stream `count` fresh items."""
        for sequence in range(count):
            yield Tick("AAPL", sequence, 101.25, 100, "XNAS")

    async def record(self, ticks: AsyncIterator[Tick]) -> Tally:
        """Take items until they end."""
        count = total = 0
        async for tick in ticks:
            count += 1
            total += tick.sequence
        return Tally(count, total)

    async def echo(self, ticks: AsyncIterator[Tick]) -> AsyncIterator[Tick]:
        """Give back every item."""
        async for tick in ticks:
            yield tick

    async def chunks(self, count: int, size: int) -> AsyncIterator[bytes]:
        """Stream `count` items of `size` bytes."""
        chunk = bytes(size)
        for _ in range(count):
            yield chunk

    async def quote(self, symbol: str) -> Tick:
        """Answer a small call."""
        return Tick(symbol, 0, 101.25, 100, "XNAS")


async def counted(board: Board, size: int) -> AsyncIterator[bytes]:
    """Produce items of `size` bytes, and write on the board how many were produced."""
    for produced in range(1, _ENDLESS):
        item = bytes(size)
        board[0] = produced
        yield item


async def taken(items: AsyncIterator[bytes], board: Board) -> None:
    """Take as many items as slot 1 of the board allows, then stall for ever; write on slot 2 how many were taken."""
    count = 0
    while True:
        while count >= board[1]:  # noqa: ASYNC110 - the other process cannot set an event of ours
            await asyncio.sleep(0.005)
        await anext(items)
        count += 1
        board[2] = count


class Stall:
    """Producers and consumers for the run-ahead figure. The board: produced, allowed to take, taken."""

    async def produce(self, path: str, size: int) -> AsyncIterator[bytes]:
        """Stream items and count them on the board."""
        async for item in counted(Board(path, 3), size):
            yield item

    async def consume(self, path: str, items: AsyncIterator[bytes]) -> int:
        """Take what the board allows."""
        await taken(items, Board(path, 3))
        return 0

    async def both(self, path: str, size: int, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Ignore the request items and stream like `produce`."""
        async for item in counted(Board(path, 3), size):
            yield item


class Held:
    """Producers that are left: by `break`, or left idle."""

    async def flowing(self, path: str, slots: int, slot: int) -> AsyncIterator[int]:
        """Stream as fast as demand allows; `finally` writes the time on the board."""
        board = Board(path, slots)
        try:
            for number in range(_ENDLESS * 1000):
                yield number
        finally:
            board[slot] = perf_counter_ns()

    async def quiet(self, path: str, slots: int, slot: int) -> AsyncIterator[int]:
        """Stream one item, then wait for ever; `finally` writes the time on the board."""
        board = Board(path, slots)
        try:
            yield 0
            await asyncio.get_running_loop().create_future()
        finally:
            board[slot] = perf_counter_ns()

    async def idle(self) -> AsyncIterator[int]:
        """Stream one item, so that the caller knows it is open, then wait for ever.

        It waits on a bare future: an `asyncio.Event` would add the 760 bytes of its deque to what the library is charged with.
        """
        yield 0
        await asyncio.get_running_loop().create_future()
