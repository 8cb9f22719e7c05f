"""A task group in a handler: a group that holds one kind of `StatusError` is that answer, for every kind of handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

import penstock
from penstock import Actor, NotFound, StatusError
from penstock.errors import ChannelRejected, Internal
from tests.laws.places import reached


async def _find(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def in_a_group(*errors: Exception) -> None:
    """Run a task for each error, which all raise in one turn."""
    async with asyncio.TaskGroup() as tasks:
        for error in errors:
            tasks.create_task(_find(error))


class Finder(Actor):
    """Looks for things in a task group, and finds none."""

    service_name = "Finder"

    def __init__(self) -> None:
        self.asked = 0

    async def find(self, kinds: int = 1) -> int:
        self.asked += 1
        await in_a_group(NotFound("no such thing", {"n": 1}), *[[NotFound("nor this")], [ValueError("odd")]][kinds - 1])
        return 1

    async def times_asked(self) -> int:
        return self.asked

    async def stream(self) -> AsyncIterator[int]:
        yield 1
        await in_a_group(NotFound("no such thing", {"n": 1}))

    async def take(self, items: AsyncIterator[int]) -> int:
        async for _ in items:
            await in_a_group(NotFound("no such thing", {"n": 1}))
        return 1

    async def on_channel(self, channel: penstock.Channel[int]) -> None:
        if channel.payload == "reject":
            await in_a_group(ChannelRejected("not today"))
        await channel.accept()
        await in_a_group(NotFound("no such thing", {"n": 1}))


class FinderService:
    service_name = "FinderService"
    asked = 0
    find, stream, take = Finder.find, Finder.stream, Finder.take


async def failure_of(work: Awaitable[Any]) -> StatusError:
    with pytest.raises(StatusError) as caught:
        await work
    return caught.value


async def all_of(items: Any) -> list[int]:
    return [item async for item in items]


async def one() -> AsyncIterator[int]:
    yield 1


def check(error: Exception) -> None:
    assert type(error) is NotFound
    assert (str(error), error.details) == ("no such thing", {"n": 1})


PLACES = pytest.mark.parametrize(
    ("where", "kind"), [("here", "actor"), ("memory", "actor"), ("memory", "service"), ("tcp", "service")]
)


@PLACES
async def test_a_handler_whose_task_group_holds_one_kind_answers_with_it(where, kind):
    """FAULTS A6"""
    async with reached(where, kind, Finder, FinderService) as (stub, _router):
        check(await failure_of(stub.find()))
        check(await failure_of(all_of(stub.stream())))
        if where == "here" or kind == "service":
            check(await failure_of(stub.take(one())))
        if kind == "actor":
            check(await failure_of(stub.find()))
            assert await stub.times_asked() == 2, "an answer restarts no actor"


@PLACES
async def test_a_group_of_several_kinds_is_a_failure(where, kind):
    """FAULTS A6"""
    async with reached(where, kind, Finder, FinderService) as (stub, _router):
        if where == "here":
            with pytest.raises(ExceptionGroup):
                await stub.find(2)
        else:
            assert isinstance(await failure_of(stub.find(2)), Internal)
        if kind == "actor":
            assert await stub.times_asked() == 0, "it was restarted"


@pytest.mark.parametrize("where", ["here", "memory", "tcp"])
async def test_a_channel_ends_with_the_one_kind_of_its_handlers_group(where):
    """FAULTS A6"""
    async with reached(where, "actor", Finder, FinderService) as (_stub, router):
        rejected = await failure_of(router.open_channel("actor", "reject"))
        assert (type(rejected), str(rejected)) == (ChannelRejected, "not today")
        channel = await router.open_channel("actor")
        check(await failure_of(all_of(channel)))
