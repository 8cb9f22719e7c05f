"""The actors that the commands are tried on. It runs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import penstock


class Place(penstock.Struct):
    city: str
    zip: int = 0


class Counter(penstock.Actor):
    """Counts, and does one of everything."""

    def __init__(self, start: int = 0) -> None:
        self.count = start
        self.heard: list[Any] = []
        self.odd = object()

    async def on_start(self) -> None:
        self.log.info("starting at %d", self.count)
        self.readings = self.port("readings", overflow="drop_oldest")

    async def add(self, count: int = 1) -> int:
        """Count further."""
        self.count += count
        await self.readings.send(self.count)
        return self.count

    async def move(self, place: Place, times: int = 1) -> str:
        """Say where to."""
        return f"{times} x {place.city} {place.zip}"

    async def join(self, parts: list[str]) -> str:
        """Join a list, which is one argument."""
        return "+".join(parts)

    async def fail(self) -> None:
        """Crash."""
        raise ZeroDivisionError("on purpose")

    async def refuse(self) -> None:
        """Answer with an error."""
        raise penstock.PermissionDenied("not you")

    async def wait(self) -> None:
        """Take longer than anybody waits."""
        await asyncio.sleep(1)

    async def ticks(self, every_s: float = 0.0, last: int | None = None) -> AsyncIterator[int]:
        """Stream numbers."""
        number = 0
        while last is None or number < last:
            number += 1
            yield number
            await asyncio.sleep(every_s)

    async def total(self, numbers: AsyncIterator[int]) -> int:
        """Add up a stream."""
        return sum([number async for number in numbers])

    async def receive(self, message: penstock.Message) -> Any:
        self.heard.append(message.payload)
        return {"type": message.type, "payload": message.payload}

    async def on_channel(self, channel: penstock.Channel[Any]) -> None:
        if channel.payload == "no":
            await channel.reject("not today")
            return
        await channel.accept({"welcome": channel.payload})
        if channel.payload == "deaf":
            await asyncio.Event().wait()
        async for message in channel:
            if message == "bye":
                await channel.close("you said bye")
                return
            await channel.send({"echo": message})


class Silent(penstock.Actor):
    """Takes no plain message."""

    async def only(self) -> str:
        """Answer."""
        return "only this"
