"""A service that the TypeScript client offers, and one of this side whose methods call it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import penstock


class Screen(Protocol):
    """What the other side offers: `penstock typescript tests.clients.screen:Screen`."""

    async def show(self, text: str, times: int = 1) -> str: ...

    def keys(self, n: int) -> AsyncIterator[int]: ...

    async def total(self, numbers: AsyncIterator[int], start: int = 0) -> int: ...

    def double(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]: ...

    async def some(self, numbers: AsyncIterator[int], wanted: int) -> list[int]: ...

    async def echo(self, value: Any) -> Any: ...

    async def fail(self, how: str) -> None: ...

    async def told(self) -> dict[str, Any]: ...

    async def forever(self) -> None: ...


class OlderScreen(Protocol):
    """The same as another version of the program knows it."""

    async def show(self, text: str, *, time: int) -> str: ...


OlderScreen.__name__ = "Screen"


class Director:
    """Calls whoever calls it."""

    def __init__(self) -> None:
        self.produced = 0
        self.left = 0

    def _screen(self, **options: Any) -> Screen:
        caller = penstock.context().peer
        assert caller is not None
        return penstock.options(caller.service(Screen), **options)

    async def show(self) -> list[str]:
        screen = self._screen()
        return [await screen.show("once"), await screen.show("twice", 2), await screen.show(times=3, text="thrice")]

    async def keys(self, n: int, wanted: int, ahead: int = 16) -> list[int]:
        """Take as many as are wanted, and leave."""
        taken: list[int] = []
        async for key in self._screen(buffer_size=ahead).keys(n):
            taken.append(key)
            if len(taken) == wanted:
                break
        return taken

    async def relay(self, n: int) -> AsyncIterator[int]:
        """Pass on what the screen makes."""
        async for key in self._screen().keys(n):
            yield key

    async def total(self, n: int, start: int) -> int:
        return await self._screen().total(self._numbers(n), start)

    async def double(self, n: int) -> list[int]:
        return [number async for number in self._screen().double(self._numbers(n))]

    async def some(self, wanted: int) -> list[int]:
        return await self._screen().some(self._numbers(1_000_000), wanted)

    async def echo(self, value: Any) -> Any:
        return await self._screen().echo(value)

    async def failing(self, how: str) -> list[Any]:
        try:
            await self._screen().fail(how)
        except penstock.StatusError as error:
            return [error.code, error.reason, error.message, error.details, error.started]
        return []

    async def untyped(self, target: str, arguments: Any) -> list[Any]:
        """Make a call by its target, and tell how it ends."""
        caller = penstock.context().peer
        assert caller is not None
        try:
            by_place = arguments if isinstance(arguments, list) else [arguments]
            return [0, await caller.call(target, *by_place)]
        except penstock.StatusError as error:
            return [error.code, error.message, error.started]

    async def misnamed(self) -> list[Any]:
        """Give an argument by a name that the other side does not know."""
        caller = penstock.context().peer
        assert caller is not None
        try:
            await caller.service(OlderScreen).show("a", time=1)
        except penstock.StatusError as error:
            return [error.code, error.message, error.started]
        return []

    async def impatient(self, seconds: float) -> int:
        try:
            await self._screen(timeout=seconds).forever()
        except penstock.StatusError as error:
            return error.code
        return 0

    async def giving_up(self) -> None:
        task = asyncio.ensure_future(self._screen().forever())
        await asyncio.sleep(0)  # it is called
        await self._screen().show("begun")
        task.cancel()
        await asyncio.wait([task])

    async def told(self) -> dict[str, Any]:
        return await self._screen(metadata={"who": "ann"}, priority="bulk", timeout=5).told()

    async def counts(self) -> list[int]:
        """Tell how many requests were made, and how many of their generators were left."""
        return [self.produced, self.left]

    async def _numbers(self, n: int) -> AsyncIterator[int]:
        self.produced = 0
        try:
            for number in range(n):
                self.produced += 1
                yield number
        finally:
            self.left += 1
