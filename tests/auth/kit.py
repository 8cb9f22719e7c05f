"""A server that knows its clients, and an actor that says which client asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import penstock
from penstock import auth

#: Tokens of 30 characters, and the principals that show them.
ALICE, BOB, STRANGER = "alice" * 6, "bobby" * 6, "stranger" * 4


class Desk:
    """A service that says which client asks."""

    service_name = "Desk"

    async def name(self) -> str:
        principal = penstock.context().principal
        return f"{principal} {sorted(principal.roles)}"

    async def ticks(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number


class Room(penstock.Actor):
    """An actor that does so."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.news = self.port("news")

    async def name(self) -> str:
        return str(penstock.context().principal)

    async def slow(self) -> str:
        await asyncio.sleep(0)
        return str(penstock.context().principal)

    async def say(self, text: str) -> None:
        self.said.append(f"{penstock.context().principal}: {text}")

    async def lines(self) -> AsyncIterator[str]:
        yield str(penstock.context().principal)

    async def on_channel(self, channel: penstock.Channel) -> None:
        await channel.accept(str(penstock.context().principal))


def tokens() -> auth.Tokens:
    return auth.Tokens(
        {ALICE: auth.Principal("alice", roles={"member", "admin"}), BOB: auth.Principal("bob", roles={"member"})}
    )


def good_for(seconds: float) -> float:
    """Return the time at which a proof ends."""
    return time.time() + seconds
