"""The service that the tests of streams call: numbers with and without end, and what happened to whoever made them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import penstock
from tests.calls.kit import Log


class Numbers:
    def __init__(self):
        self.log = Log()
        self.produced = 0

    async def endless(self, pause_s: float = 0.0) -> AsyncIterator[int]:
        self.log.append("begun")
        try:
            while True:
                self.produced += 1
                yield self.produced - 1
                if pause_s:
                    await asyncio.sleep(pause_s)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            self.log.append("closed")

    async def count(self, items: int) -> AsyncIterator[int]:
        try:
            for number in range(items):
                yield number
        finally:
            self.log.append("closed")

    async def one_and_wait(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def fail_after(self, items: int) -> AsyncIterator[int]:
        for number in range(items):
            yield number
        raise penstock.NotFound("failed", {"after": items})

    async def mirror(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        try:
            async for item in items:
                yield item
        finally:
            self.log.append("closed")

    async def chunks(self, count: int, size: int) -> AsyncIterator[bytes]:
        for number in range(count):
            yield number.to_bytes(4, "big") * (size // 4)

    async def mixed(self) -> AsyncIterator[bytes | None]:
        for item in (None, b"", b"x", None, b"y" * 100_000, b"", None):
            yield item

    async def echo(self, value: int) -> int:
        return value
