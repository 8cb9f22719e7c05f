"""One check of a size and one of a time-out: each place that takes one takes the same, and refuses it with the same words."""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable
from typing import Any

import pytest

import penstock
from penstock.service import CallOptions
from penstock.streams import checked_seconds, checked_size
from tests.interop.kit import until


class Size(enum.IntEnum):
    EIGHT = 8


class Eight:
    def __repr__(self) -> str:
        return "Eight()"

    def __index__(self) -> int:
        return 8


class Board(penstock.Actor):
    def __init__(self) -> None:
        self.news = self.port("news")


#: Each place that takes a size, and returns the size that holds.
PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "checked_size": lambda _ref, size: checked_size("buffer_size", size),
    "pipe": lambda _ref, size: penstock.pipe(size)[1].statistics().buffer_size,
    "Port": lambda _ref, size: penstock.Port("x", buffer_size=size).buffer_size,
    "Port.subscribe": lambda _ref, size: penstock.Port("x").subscribe(buffer_size=size).statistics().buffer_size,
    "Mailbox": lambda _ref, size: penstock.Mailbox(size).size,
    "CallOptions.buffer_size": lambda _ref, size: CallOptions(buffer_size=size).buffer_size,
    "CallOptions.buffer_bytes": lambda _ref, size: CallOptions(buffer_bytes=size).buffer_bytes,
    "receives": lambda _ref, size: penstock.receives(buffer_size=size)(lambda: None)._penstock_window[0],  # type: ignore[attr-defined]
    "ActorRef.subscribe": lambda ref, size: ref.subscribe("news", buffer_size=size).statistics().buffer_size,
}


@pytest.mark.parametrize("size", [8, Size.EIGHT, Eight()], ids=repr)
@pytest.mark.parametrize("place", PLACES)
async def test_every_place_takes_the_same_sizes(place, size):
    async with penstock.ActorSystem() as system:
        found = PLACES[place](penstock.ref(await system.spawn(Board)), size)
        assert (found, type(found)) == (8, int)


@pytest.mark.parametrize("size", [0, -1, True, 1.0, "8", int, Eight, 2**53, [8]], ids=repr)
@pytest.mark.parametrize("place", PLACES)
async def test_every_place_refuses_the_same_sizes(place, size):
    async with penstock.ActorSystem() as system:
        actor = penstock.ref(await system.spawn(Board))
        with pytest.raises(ValueError, match=r"(size|bytes) is .*; it takes a whole number"):
            PLACES[place](actor, size)


async def test_a_size_of_another_kind_travels_to_a_port_elsewhere():
    async with (
        penstock.ActorSystem() as system,
        penstock.serve(system, listen="memory://options") as server,
        penstock.connect(*server.urls) as peer,
    ):
        await system.spawn(Board, name="board")
        news = peer.subscribe("board", "news", buffer_size=Eight())  # type: ignore[arg-type]
        first = asyncio.ensure_future(news.receive())
        await until(lambda: board_port(system).subscribers == 1, "a subscriber")
        await board_port(system).send(1)
        assert await first == 1
        await news.aclose()


def board_port(system: penstock.ActorSystem) -> penstock.Port[int]:
    return system._host.cell("board").actor.news


def test_a_time_out_that_no_clock_has_is_none():
    assert checked_seconds("timeout", 10**400) == math.inf
    assert checked_seconds("timeout", -(10**400), above=-math.inf) == -math.inf
    assert CallOptions(timeout=10**400, idle_timeout=10**400) == CallOptions(timeout=math.inf, idle_timeout=math.inf)
    for wrong in (math.nan, 0, -1, True, "5", int):
        with pytest.raises(ValueError, match="timeout is"):
            CallOptions(timeout=wrong)


async def test_a_call_with_such_a_time_out_is_made():
    class Shop:
        async def add(self, k: int) -> int:
            return k

    async with (
        penstock.ActorSystem() as system,
        penstock.serve(Shop(), system, listen="memory://options") as server,
        penstock.connect(*server.urls) as peer,
    ):
        await system.spawn(Board, name="board")
        assert await penstock.options(peer.service(Shop), timeout=10**400).add(1) == 1
        for router in (system, peer):
            assert await router.ask("board", "ping", timeout=10**400) == "pong"
