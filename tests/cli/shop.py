"""The services that the tests of the command line serve, in a process of their own."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import penstock
from penstock import errors


class Price(penstock.Struct):
    symbol: str
    value: float = 1.0


class Prices:
    """Prices of things.

    Only the first line is for the outline.
    """

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def quote(self, symbol: str, factor: float = 1.0) -> Price:
        """Return the price of one symbol."""
        return Price(symbol, 42.0 * factor)

    async def watch(self, symbol: str, *, count: int = 1_000_000, pause_s: float = 0.0) -> AsyncIterator[Price]:
        """Follow one symbol."""
        made = 0
        self.happened.append(f"{symbol} began")
        try:
            for made in range(count):
                yield Price(symbol, float(made))
                await asyncio.sleep(pause_s)
        finally:
            self.happened.append(f"{symbol} left at {made}")

    async def record(self, prices: AsyncIterator[Price]) -> int:
        """Count prices."""
        return len([price async for price in prices])

    async def trade(self, orders: AsyncIterator[Price]) -> AsyncIterator[Price]:
        """Answer each order."""
        async for order in orders:
            yield Price(order.symbol.upper(), order.value * 2)

    async def first(self, items: AsyncIterator[object]) -> object:
        async for item in items:
            return item
        return None

    async def stall(self, items: AsyncIterator[object], name: str) -> None:
        """Take one item and no other."""
        async for _item in items:
            self.happened.append(f"{name} took one")
            try:
                await asyncio.sleep(60)
            finally:
                self.happened.append(f"{name} left")

    async def events(self) -> list[str]:
        return self.happened


class Oddities:
    async def nothing(self) -> None: ...

    async def bytes_and_time(self, data: bytes, at: dt.datetime) -> tuple[bytes, dt.datetime]:
        return data[::-1], at + dt.timedelta(days=1)

    async def listed(self, names: list[str]) -> int:
        return len(names)

    async def stored(self, price: Price) -> str:
        return price.symbol

    async def metadata(self) -> dict[str, str]:
        return penstock.context().metadata

    async def fail(self, kind: str) -> None:
        raise getattr(errors, kind)("as you\x1b[31m\nwished")

    async def crash(self) -> None:
        raise ZeroDivisionError("secret")

    async def half(self) -> AsyncIterator[int]:
        yield 1
        raise errors.DataLoss("the second half is gone")

    async def keep(self, name: str, count: int, pause_s: float) -> AsyncIterator[Price]:
        return penstock.retained(name, self._kept(count, pause_s))

    async def _kept(self, count: int, pause_s: float) -> AsyncIterator[Price]:
        for number in range(count):
            yield Price("kept", float(number))
        await asyncio.sleep(pause_s)

    async def wait(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "waited"


class Deaf:
    """A service that is opened and closed around the time that it serves."""

    async def hear(self) -> str:
        return "what?"


class Demanding:
    def __init__(self, path: str) -> None:
        self.path = path

    async def where(self) -> str:
        return self.path


class Broken:
    def __init__(self) -> None:
        raise OSError("no disk")

    async def get(self) -> None: ...


class Thing:
    pass


class Unserialisable:
    async def get(self, thing: Thing) -> None: ...


class Nothing:
    def get(self) -> None: ...


ready = Demanding("ready made")


def make() -> Demanding:
    return Demanding("made")


async def make_slowly() -> Demanding:
    await asyncio.sleep(0)
    return Demanding("made slowly")


@asynccontextmanager
async def opened() -> AsyncIterator[Deaf]:
    print("opened", flush=True)
    yield Deaf()
    print("closed", flush=True)
