"""What is read from a class of actors: which methods run inline."""

from __future__ import annotations

import asyncio

import pytest

from penstock import Actor
from penstock.actors.cell import profile_of
from penstock.actors.cell._profile import runs_inline


class Kinds(Actor):
    async def plain(self) -> int:
        return 1

    async def raises(self) -> int:
        raise ValueError

    async def awaits(self) -> None:
        await asyncio.sleep(0)

    async def sometimes(self, really: bool = False) -> None:
        if really:
            await asyncio.sleep(0)

    async def iterates(self) -> None:
        async for _ in _nothing():
            pass

    async def comprehends(self) -> list[int]:
        return [item async for item in _nothing()]

    async def enters(self) -> None:
        async with asyncio.Lock():
            pass

    def returns_one(self):
        return asyncio.sleep(0)


async def _nothing():
    return
    yield


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("plain", True),
        ("raises", True),
        ("awaits", False),
        ("sometimes", False),
        ("iterates", False),
        ("comprehends", False),
        ("enters", False),
        ("returns_one", False),
    ],
)
def test_a_method_without_an_await_runs_inline(method, expected):
    assert runs_inline(getattr(Kinds, method)) is expected


def test_only_such_methods_run_inline():
    assert profile_of(Kinds).inline_methods >= {"plain", "raises", "ping"}
    assert not profile_of(Kinds).inline_methods & {"awaits", "sometimes", "iterates", "comprehends", "enters"}
