"""Circles of waits between two processes: refused where somebody waits, and only there (FAULTS C4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import penstock
from penstock import Actor, ReentrancyError
from tests.remote.kit import outcome, town


class Both(Actor):
    """Lives at either side, and is told the router by which it reaches the other one."""

    def __init__(self, router: Any = None) -> None:
        self.router = router

    async def rest(self) -> str:
        await asyncio.sleep(0)
        return "rested"

    async def ask_back(self, whom: str) -> str:
        return await self.router.ask(whom, "rest", timeout=None)

    async def begin(self, whom: str, back: str, *, awaited: bool) -> object:
        """Ask an actor at the other side, which asks back, in a task that is awaited or left running."""
        self.task = asyncio.ensure_future(outcome(self.router.ask(whom, "ask_back", back, timeout=None)))
        if awaited:
            return await self.task
        await asyncio.sleep(1)
        return None

    async def left(self) -> object:
        return await self.task

    async def open_to(self, whom: str) -> str:
        async with await self.router.open_channel(whom, self.address) as channel:
            return channel.accepted

    async def on_channel(self, channel: penstock.Channel[Any]) -> None:
        await self.router.ask(channel.payload, "rest", timeout=None)
        await channel.accept("come in")


async def two(place) -> None:
    await place.visitors.spawn(Both, place.peer, name="guest")
    await place.system.spawn(Both, place.back, name="host")


async def test_a_circle_of_asks_is_refused_only_where_a_handler_waits():
    """FAULTS C4: the ids that travel with a message are those of actors that wait for its answer."""
    async with town() as place:
        await two(place)
        found = await place.visitors.ask("guest", "begin", {"whom": "host", "back": "guest", "awaited": True}, timeout=None)
        assert isinstance(found, ReentrancyError)
        await place.visitors.ask("guest", "begin", {"whom": "host", "back": "guest", "awaited": False}, timeout=None)
        assert await place.visitors.ask("guest", "left", timeout=1) == "rested"


async def test_a_channel_whose_opening_waits_for_its_opener_is_refused_at_once():
    """FAULTS C4: as in one process (PROTOCOL.md 6.11)."""
    async with town() as place:
        await two(place)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(ReentrancyError):
            await place.visitors.ask("guest", "open_to", "host", timeout=None)
        assert asyncio.get_running_loop().time() - begun < 1
        await place.visitors.spawn(Both, place.peer, name="other")
        async with await place.peer.open_channel("host", "other") as channel:
            assert channel.accepted == "come in"
