"""Actors that the tests here share, and a tape of what happened. Times are those of the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from penstock import Actor, FailedPrecondition, NotFound, ref
from tests.streams.kit import ended, rest, started, stopped

__all__ = [
    "Broken",
    "Counter",
    "Logs",
    "Maker",
    "Slow",
    "Starts",
    "Tape",
    "collect",
    "ended",
    "nothing_left",
    "now",
    "outcome",
    "rest",
    "started",
    "stopped",
]


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


def nothing_left(system):
    return len(system._host.registry) == 0 and not system._host.registry.top and system.list() == []


class Starts(Actor):
    def __init__(self, fail: str = "", seconds: float = 0) -> None:
        self.fail = fail
        self.seconds = seconds
        self.schedule(1, "tick", every=1)
        self.port("p")
        if fail == "init":
            raise Broken("init")

    async def on_start(self) -> None:
        self.child = await self.spawn(Counter)
        await asyncio.sleep(self.seconds)
        if self.fail == "start":
            raise Broken("start")
        if self.fail == "cancelled":
            raise asyncio.CancelledError
        if self.fail == "status":
            raise FailedPrecondition("not today")

    async def tick(self) -> None: ...


class Logs(Actor):
    """Says what it does, has children, and ends as it is told."""

    def __init__(self, tape: Tape, *children: str, ends: str = "") -> None:
        self.tape = tape
        self.names = children
        self.ends = ends

    async def on_start(self) -> None:
        for name in self.names:
            await self.spawn(Logs, self.tape, name=name)

    async def work(self, seconds: float = 0) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def crash(self) -> None:
        raise Broken

    async def stubborn(self, times: int = 1) -> None:
        for _ in range(times):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                self.tape.append("would not")

    async def leave(self) -> str:
        await ref(self).stop()
        return "left"

    async def stop_parent(self) -> str:
        assert self.parent is not None
        await self.parent.stop()
        return "orphaned"

    async def on_stop(self) -> None:
        self.tape.append(self.address)
        if self.ends == "cancelled":
            task = asyncio.ensure_future(asyncio.sleep(1000))
            await asyncio.sleep(0)
            task.cancel()
            await task
        elif self.ends == "raises":
            raise Broken("at the end")
        elif self.ends == "hangs":
            await asyncio.sleep(1000)
        elif self.ends == "slow":
            await asyncio.sleep(1)


class Maker(Actor):
    def __init__(self) -> None:
        self.made = 0
        self.closed = 0

    async def numbers(self, count: int = 1_000_000, pause: float = 0) -> AsyncIterator[int]:
        try:
            for number in range(count):
                self.made += 1
                yield number
                if pause:
                    await asyncio.sleep(pause)
        finally:
            self.closed += 1

    async def total(self, items: AsyncIterator[int]) -> int:
        return sum([item async for item in items])

    async def first(self, items: AsyncIterator[int]) -> int:
        async for item in items:
            return item
        return -1

    async def doubled(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield 2 * item

    async def fails(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise Broken("half-way")

    async def answers(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise NotFound("no more")

    async def later(self, seconds: float) -> AsyncIterator[int]:
        await asyncio.sleep(seconds)
        yield 1


async def collect(stream):
    found = []
    try:
        async for item in stream:
            found.append(item)  # noqa: PERF401 - what came before a failure counts
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return found, type(error)
    return found, None
