"""`sys.exit()` in an actor is a crash of that actor: its asker gets an error, and the program goes on (FAULTS H11)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from penstock import Actor, ref
from tests.actors.kit import outcome, rest


class Exits(Actor):
    def __init__(self, moment: str = "") -> None:
        self.moment = moment
        self.count = 0
        if moment == "init":
            sys.exit(3)

    async def on_start(self) -> None:
        if self.moment == "start":
            sys.exit(3)

    async def on_stop(self) -> None:
        if self.moment == "stop":
            sys.exit(3)

    async def quick(self) -> None:
        self.count += 1
        sys.exit(3)

    async def late(self) -> None:
        self.count += 1
        await asyncio.sleep(1)
        sys.exit(3)

    async def counted(self) -> int:
        return self.count

    async def numbers(self) -> AsyncIterator[int]:
        yield 1
        sys.exit(3)

    async def record(self, items: AsyncIterator[int]) -> int:
        async for _ in items:
            sys.exit(3)
        return 0

    async def on_channel(self, channel) -> None:
        if channel.payload == "accept":
            await channel.accept()
        sys.exit(3)


@pytest.mark.parametrize("method", ["quick", "late"])
async def test_an_exit_in_a_message_is_a_crash_of_its_actor(system, path, method):
    """FAULTS H11: the asker gets an error that says it, and the actor is restarted."""
    actor = await system.spawn(Exits, name="a")
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await getattr(actor, method)()
    assert await actor.counted() == 0
    assert system.info("a").restarts == 1


async def test_an_exit_in_a_timer_is_a_crash_of_its_actor(system):
    """FAULTS H11."""

    class Ticks(Exits):
        def __init__(self) -> None:
            super().__init__()
            self.schedule(1, "quick")

    await system.spawn(Ticks, name="t")
    await asyncio.sleep(1.5)
    assert system.info("t").restarts == 1


@pytest.mark.parametrize("moment", ["init", "start"])
async def test_an_exit_in_a_start_is_the_error_of_the_spawn(system, moment):
    """FAULTS H11."""
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await system.spawn(Exits, moment)
    assert system.list() == []


async def test_an_exit_in_a_stop_stops_the_actor(system):
    """FAULTS H11."""
    actor = await system.spawn(Exits, "stop")
    await ref(actor).stop()
    assert system.list() == []


async def test_an_exit_in_a_stream_is_its_outcome(system):
    """FAULTS H11."""
    actor = await system.spawn(Exits)
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        assert [item async for item in actor.numbers()] == [1]
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await actor.record([1])


async def test_an_exit_in_the_requests_of_a_stream_ends_that_stream(system):
    class Sums(Actor):
        async def total(self, items: AsyncIterator[int]) -> int:
            return sum([item async for item in items])

    async def items() -> AsyncIterator[int]:
        yield 1
        sys.exit(3)

    actor = await system.spawn(Sums)
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await actor.total(items())
    assert await actor.total([1, 2]) == 3


@pytest.mark.parametrize("payload", ["accept", "neither"])
async def test_an_exit_in_a_channel_ends_that_channel(system, payload):
    """FAULTS H11."""
    actor = await system.spawn(Exits, name="a")
    channel = await outcome(ref(actor).open_channel(payload))
    found = channel if isinstance(channel, Exception) else await outcome(channel.receive())
    assert "SystemExit: 3" in str(found)
    await rest()
    assert system.info("a").restarts == 0
