"""Two sides that exchange ends of streams, on one event loop that takes itself for two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import penstock
from penstock.refs import SinkRef, SourceRef


class Price(penstock.Struct):
    symbol: str
    value: float


class Producer:
    """An infinite producer that knows how far it is and whether it was stopped."""

    def __init__(self, count: int = 10**9, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.produced = 0
        self.stopped = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                self.produced += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.stopped.set()


class Exchange:
    """Hands out ends and takes them in."""

    def __init__(self) -> None:
        self.producer = Producer()
        self.sink, self.source = penstock.pipe(4)
        self.kept: Any = None
        self.given: Any = None

    async def numbers(self) -> SourceRef[int]:
        return SourceRef(self.producer)

    async def prices(self) -> SourceRef[Price]:
        async def two() -> AsyncIterator[Price]:
            yield Price("a", 1.0)
            yield Price("b", 2.0)

        return SourceRef(two())

    async def entrance(self) -> SinkRef[int]:
        return SinkRef(self.sink)

    async def both(self) -> dict[str, SourceRef[int] | None]:
        return {"numbers": SourceRef(self.producer), "none": None}

    async def keep(self, ref: SourceRef[int]) -> str:
        self.kept = ref
        return repr(ref)

    async def kept_again(self) -> SourceRef[int]:
        return self.kept

    async def total(self, ref: SourceRef[int]) -> int:
        return sum([number async for number in ref])

    async def fill(self, ref: SinkRef[int], count: int) -> None:
        async with ref:
            for number in range(count):
                await ref.put(number)

    async def refs(self, count: int) -> AsyncIterator[SourceRef[int]]:
        for number in range(count):
            yield SourceRef(Producer(number))

    async def give(self) -> Any:
        return self.given

    async def echo(self, value: Any) -> Any:
        return value
