"""A time-out or a cancellation of one step loses no item, wherever the stream is and at whatever moment it comes.

FAULTS A2: `wait_for(anext(it), t)` that timed out, and then `anext(it)`, was the normal end of every stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest

from tests.laws.places import ITEMS, READING, SENDING, Use, world
from tests.refs.conftest import apart  # noqa: F401 - a fixture

Step = Callable[[Awaitable[Any]], Awaitable[Any]]


class Cut(Exception):
    """A step that was cancelled, or whose time-out has passed."""


def cancelled_after_turns() -> Step:
    """Cancel each step at another moment of its way."""
    turns = count()

    async def step(coming: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(coming)
        for _ in range(next(turns) % 6):
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(outcome, asyncio.CancelledError):
            raise Cut
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return step


def timed_out_by_wait_for() -> Step:
    async def step(coming: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(coming, 1e-9)  # the next turn of the loop
        except TimeoutError:
            raise Cut from None

    return step


def timed_out_by_a_block() -> Step:
    async def step(coming: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(1e-9):
                return await coming
        except TimeoutError:
            raise Cut from None

    return step


async def all_steps(begin: Callable[[], Awaitable[Any]], step: Step) -> list[Any]:
    """Take step after step, each of which may be cut, until the normal end."""
    taken: list[Any] = []
    cuts = 0
    while True:
        try:
            taken.append(await step(begin()))
        except Cut:
            cuts += 1
            assert cuts < 20_000, taken
        except StopAsyncIteration:
            return taken


def reading(how: str, step: Step) -> Use:
    """Return what reads a source in one way."""

    async def one_by_one(source: Any) -> list[Any]:
        iterator = aiter(source)
        return await all_steps(lambda: anext(iterator), step)

    async def in_batches(source: Any) -> list[Any]:
        iterator = source.batches(3)
        return [item for batch in await all_steps(lambda: anext(iterator), step) for item in batch]

    return one_by_one if how == "loop" else in_batches


CUTS = [cancelled_after_turns, timed_out_by_wait_for, timed_out_by_a_block]


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
@pytest.mark.parametrize("how", ["loop", "batches"])
@pytest.mark.parametrize(("where", "place"), READING, ids=lambda value: getattr(value, "__name__", value))
async def test_a_step_that_was_cut_leaves_its_item_to_the_next_one(where, place, how, cut, apart):  # noqa: F811 - the fixture
    """FAULTS A2"""
    async with asyncio.timeout(60), world(where, reading(how, cut())) as at:
        assert await place(at) == list(range(ITEMS))


async def _taken(source: Any) -> list[Any]:
    return [item async for item in source]


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
@pytest.mark.parametrize(("where", "place"), SENDING, ids=lambda value: getattr(value, "__name__", value))
async def test_a_send_that_was_cut_delivers_nothing_and_the_next_one_does(where, place, cut, apart):  # noqa: F811 - the fixture
    """FAULTS A2"""
    step = cut()

    async def send_all(send: Callable[[int], Awaitable[None]]) -> None:
        for item in range(ITEMS):
            for attempt in range(20_000):
                try:
                    await step(send(item))
                except Cut:
                    assert attempt < 19_999
                else:
                    break

    async with asyncio.timeout(60), world(where, _taken) as at:
        assert await place(at, send_all) == list(range(ITEMS))
