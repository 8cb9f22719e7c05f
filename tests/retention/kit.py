"""Writers for the tests of retained streams, and short ways to read one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import penstock


class Token(penstock.Struct):
    text: str
    place: int


class Writer:
    """A generator of numbers that goes on when it is told to, and that notes its end."""

    def __init__(self, count: int = 10) -> None:
        self.count = count
        self.written = 0
        self.ended: list[str] = []
        self.go = asyncio.Semaphore(0)

    async def numbers(self, offset: int = 0) -> AsyncIterator[int]:
        try:
            for number in range(offset, self.count):
                await self.go.acquire()
                self.written = number + 1
                yield number
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        else:
            self.ended.append("end")

    async def write(self, count: int) -> None:
        """Let it write so many items more, and wait until they are sent."""
        target = self.written + count
        for _ in range(count):
            self.go.release()
        while self.written < target:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def counted(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def taken(source: penstock.Source, count: int) -> list:
    return [await source.receive() for _ in range(count)]
