"""The service that the tests of the TypeScript client call: `penstock serve market:Market`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import penstock


class Price(penstock.Struct):
    symbol: str
    value: float
    volume: int
    open: bool
    venue: str


class Market:
    """Calls of all four kinds."""

    def __init__(self) -> None:
        self.made = 0
        self.left = 0

    async def quote(self, symbol: str, digits: int = 2) -> float:
        """Answer the price of a symbol."""
        if symbol == "XXXX":
            raise penstock.NotFound(f"{symbol} is gone", details={"symbol": symbol})
        return round(101.5123, digits)

    async def echo(self, value: object) -> object:
        return value

    async def count(self, n: int, start: int = 0) -> AsyncIterator[int]:
        """Count, and say what was made and left (`progress`)."""
        self.made = 0
        try:
            for number in range(start, start + n):
                self.made += 1
                yield number
        finally:
            self.left += 1

    async def texts(self, n: int, size: int) -> AsyncIterator[str]:
        """Make large items, and say how many were made (`progress`)."""
        self.made = 0
        for number in range(n):
            self.made += 1
            yield f"{number} ".ljust(size, "x")

    async def prices(self, n: int) -> AsyncIterator[Price]:
        price = Price("ACME", 101.5, 1000, True, "NYSE")
        for _ in range(n):
            yield price

    async def progress(self) -> list[int]:
        """Tell how many items `count` has made, and how many of its streams were left."""
        return [self.made, self.left]

    async def total(self, numbers: AsyncIterator[int], start: int = 0) -> int:
        async for number in numbers:
            start += number
        return start

    async def some(self, numbers: AsyncIterator[int], wanted: int) -> list[int]:
        """Take as many as are wanted, and return."""
        taken: list[int] = []
        async for number in numbers:
            taken.append(number)
            if len(taken) == wanted:
                break
        return taken

    async def double(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number * 2

    async def stuck(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        """Take nothing and send nothing."""
        await asyncio.Event().wait()
        async for number in numbers:
            yield number

    async def fails(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise penstock.FailedPrecondition("no more")

    async def stall(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        await asyncio.Event().wait()

    async def slow(self, value: int) -> int:
        """Answer after a while."""
        await asyncio.sleep(0.3)
        return value

    async def late(self, first: int = 1, *, last: str) -> list[int | str]:
        """Take an argument that can be given by name only."""
        return [first, last]

    async def forever(self) -> None:
        await asyncio.Event().wait()
