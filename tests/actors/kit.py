"""Actors that the tests here share, and a tape of what happened. Times are those of the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from penstock import Actor
from penstock.errors import NotFound
from tests.streams.kit import ended, rest, started, stopped

__all__ = ["Broken", "Counter", "Slow", "Tape", "ended", "now", "outcome", "rest", "started", "stopped"]


def now() -> float:
    return asyncio.get_running_loop().time()


async def outcome(work: Awaitable[Any]) -> object:
    """Return the result of `work`, or what it raised."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error


class Broken(Exception):
    """A failure that is nobody's answer."""


class Tape(list[Any]):
    """What happened, in order; as a tap, everything that happens to actors."""

    full = False

    def record(self, actor: str, kind: str, data: dict[str, Any]) -> None:
        self.append((actor, kind, data))

    async def room(self) -> None:
        """There always is."""

    def kinds(self, actor: str | None = None) -> list[str]:
        return [kind for name, kind, _data in self if actor in (None, name)]

    def data(self, kind: str) -> list[dict[str, Any]]:
        return [data for _name, found, data in self if found == kind]


class Counter(Actor):
    """Never waits; fails on demand."""

    def __init__(self, n: int = 0) -> None:
        self.n = n

    async def add(self, k: int = 1) -> int:
        self.n += k
        return self.n

    async def get(self) -> int:
        return self.n

    async def missing(self) -> None:
        raise NotFound("no such thing")

    async def crash(self, text: str = "on purpose") -> None:
        raise Broken(text)

    async def ticks(self, count: int = 1_000_000) -> AsyncIterator[int]:
        for number in range(count):
            yield number


class Slow(Actor):
    """Takes as long as it is told, and keeps a log of what it was sent."""

    def __init__(self) -> None:
        self.log_: list[Any] = []

    async def work(self, what: Any, seconds: float = 0) -> Any:
        self.log_.append(what)
        await asyncio.sleep(seconds)
        return what

    async def note(self, what: Any) -> Any:
        self.log_.append(what)
        return what

    async def noted(self) -> list[Any]:
        return self.log_
