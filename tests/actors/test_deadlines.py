"""The deadline of a stream of an actor: what is here comes first, and an end that is here is the end; here as elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock import Actor, ActorSystem, DeadlineExceeded, IdleTimeout, options
from tests.streams.kit import rest


class Five(Actor):
    """Makes five items at once; ends then, or makes no more."""

    def __init__(self) -> None:
        self.closed = 0

    async def numbers(self, *, ends: bool) -> AsyncIterator[int]:
        try:
            for number in range(5):
                yield number
            if not ends:
                await asyncio.sleep(1000)
        finally:
            self.closed += 1

    async def cleaned_up(self) -> int:
        return self.closed


@asynccontextmanager
async def five(where: str) -> AsyncIterator[Any]:
    async with ActorSystem() as system:
        actor = await system.spawn(Five, name="five")
        if where == "here":
            yield actor
            return
        async with penstock.serve(system, listen="memory://five"), penstock.connect("memory://five") as peer:
            yield peer.actor(Five, "five")


async def read_slowly(stream: Any) -> tuple[list[int], Exception | None]:
    taken: list[int] = []
    try:
        async for item in stream:
            taken.append(item)
            await asyncio.sleep(0.2)
    except penstock.StatusError as error:
        return taken, error
    return taken, None


WHERE = pytest.mark.parametrize("where", ["here", "elsewhere"])


@WHERE
async def test_items_that_are_here_come_before_a_deadline_and_an_end_that_is_here_is_the_end(where):
    """FAULTS A3"""
    async with five(where) as actor:
        stream = options(actor, timeout=0.3).numbers(ends=True)
        assert await read_slowly(stream) == ([0, 1, 2, 3, 4], None)
        assert await actor.cleaned_up() == 1


@WHERE
async def test_items_that_are_here_come_before_a_deadline_that_ends_the_producer(where):
    """FAULTS A3"""
    async with five(where) as actor:
        stream = options(actor, timeout=0.3).numbers(ends=False)
        await asyncio.sleep(0.5)
        assert await actor.cleaned_up() == 1
        assert stream.statistics().state == "failed"
        taken, error = await read_slowly(stream)
        assert taken == [0, 1, 2, 3, 4]
        assert isinstance(error, DeadlineExceeded)
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await stream.receive()


@WHERE
async def test_an_idle_time_out_comes_after_the_items_that_are_here(where):
    """FAULTS A3"""
    async with five(where) as actor:
        taken, error = await read_slowly(options(actor, idle_timeout=0.3).numbers(ends=False))
        assert taken == [0, 1, 2, 3, 4]
        assert isinstance(error, IdleTimeout)
        await rest()
        assert await actor.cleaned_up() == 1


@WHERE
async def test_a_stream_that_was_cancelled_drops_the_items_that_are_here(where):
    async with five(where) as actor:
        stream = actor.numbers(ends=False)
        assert await stream.receive() == 0
        stream.cancel()
        with pytest.raises(penstock.Cancelled):
            await stream.receive()
