"""The handler of a channel ends with its channel, wherever the opener is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock import Actor, Channel, Settings
from penstock.actors.local._channels import HANDLER_LINGER_S
from penstock.errors import DeadlineExceeded, ResourceExhausted
from tests.remote.kit import Town, outcome, town


class Keeper(Actor):
    """Handles a channel as its payload says, and notes how the handler ends."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.read: list[Any] = []

    async def on_channel(self, channel: Channel[Any]) -> None:
        try:
            await getattr(self, f"_{channel.payload}")(channel)
            self.ends.append("returned")
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise

    async def _never(self, _channel: Channel[Any]) -> None:
        await asyncio.Event().wait()

    async def _accept(self, channel: Channel[Any]) -> None:
        await channel.accept()
        await asyncio.Event().wait()

    async def _loop(self, channel: Channel[Any]) -> None:
        await channel.accept()
        async for message in channel:
            await asyncio.sleep(1)
            self.read.append(message)

    async def _stop_reading(self, channel: Channel[Any]) -> None:
        await channel.accept()
        self.read.append(await channel.receive())
        await asyncio.Event().wait()

    async def _wait_closed(self, channel: Channel[Any]) -> None:
        await channel.accept()
        await channel.wait_closed()

    async def _stubborn(self, _channel: Channel[Any]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(4)


class Place:
    def __init__(self, joined: Town, where: str) -> None:
        self.town = joined
        self.router = joined.peer if where == "elsewhere" else joined.system

    @property
    def keeper(self) -> Keeper:
        return self.town.object("keeper", Keeper)

    @property
    def channels(self) -> int:
        return self.town.system.info("keeper").channels


@pytest.fixture(params=["here", "elsewhere"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with town() as joined:
        await joined.system.spawn(Keeper, name="keeper")
        yield Place(joined, request.param)


async def test_an_opening_that_is_given_up_ends_its_handler(place: Place):
    """FAULTS B2"""
    openings = [place.router.open_channel("keeper", "never", timeout=0.1) for _ in range(50)]
    refused = await asyncio.gather(*map(outcome, openings))
    await asyncio.sleep(0.01)
    assert {type(error) for error in refused} == {DeadlineExceeded}
    assert (place.channels, place.keeper.ends) == (0, ["cancelled"] * 50)


@pytest.mark.parametrize("end", ["close", "fail", "drop"])
async def test_a_handler_that_uses_its_channel_for_nothing_ends_with_it(place: Place, end: str):
    """FAULTS B2"""
    channels = [await place.router.open_channel("keeper", "accept") for _ in range(20)]
    assert place.channels == 20
    while channels:
        channel = channels.pop()
        if end == "close":
            await channel.close()
        elif end == "fail":
            channel.fail(ValueError())
        del channel
    await asyncio.sleep(0.01)
    assert (place.channels, place.keeper.ends) == (0, ["cancelled"] * 20)


async def test_a_handler_reads_what_has_arrived_before_it_ends(place: Place):
    """FAULTS B2"""
    channel = await place.router.open_channel("keeper", "loop")
    await channel.send_many(range(10))
    await channel.close()
    await asyncio.sleep(5)
    assert place.channels == 1
    await asyncio.sleep(HANDLER_LINGER_S)
    assert (place.channels, place.keeper.ends, place.keeper.read) == (0, ["returned"], list(range(10)))


@pytest.mark.parametrize("sent", [1, 5])
async def test_a_handler_that_reads_no_more_is_cancelled_after_a_while(place: Place, sent: int):
    """FAULTS B2"""
    channel = await place.router.open_channel("keeper", "stop_reading")
    await channel.send_many(range(sent))
    await asyncio.sleep(0)
    await channel.close()
    await asyncio.sleep(HANDLER_LINGER_S - 1)
    assert (place.channels, place.keeper.ends) == (1, [])
    await asyncio.sleep(HANDLER_LINGER_S + 1)
    assert (place.channels, place.keeper.ends) == (0, ["cancelled"])


@pytest.mark.parametrize("how", ["loop", "wait_closed"])
async def test_a_handler_that_waits_for_its_channel_is_told_and_not_cancelled(place: Place, how: str):
    """FAULTS B2"""
    channel = await place.router.open_channel("keeper", how)
    await channel.close()
    await asyncio.sleep(0.01)
    assert (place.channels, place.keeper.ends) == (0, ["returned"])


async def test_a_lost_connection_ends_the_handlers_of_its_channels():
    """FAULTS B2"""
    async with town(reconnect=None) as joined:
        place = Place(joined, "elsewhere")
        await joined.system.spawn(Keeper, name="keeper")
        channels = [await joined.peer.open_channel("keeper", "accept") for _ in range(20)]
        joined.peer._scope.session.abort()
        await joined.peer.wait_closed()
        await asyncio.sleep(0.01)
        assert (place.channels, place.keeper.ends) == (0, ["cancelled"] * 20)
        assert {channel.state for channel in channels} == {"lost"}


async def test_handlers_that_do_not_end_are_bounded_for_each_peer():
    """FAULTS B2"""
    async with town(settings=Settings(max_streams=10)) as joined:
        await joined.system.spawn(Keeper, name="keeper")
        outcomes = [await outcome(joined.peer.open_channel("keeper", "stubborn", timeout=0.1)) for _ in range(15)]
        assert {type(error) for error in outcomes} <= {DeadlineExceeded, ResourceExhausted}
        assert joined.system.info("keeper").channels == 10
