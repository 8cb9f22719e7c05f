"""Async tests here run on the virtual clock, but those over real sockets; `world` is every place where a channel can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from penstock.testing import VirtualClockLoop
from tests.channel.kit import World, worlds


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"real": asyncio.SelectorEventLoop} if item.path.name == "test_tcp.py" else {"virtual": VirtualClockLoop}


@pytest.fixture(params=["local", "memory", "sim"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with worlds(str(request.param)) as world:
        yield world


@pytest.fixture(params=["memory", "sim"])
async def far(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Only the places with a connection between the two ends."""
    async with worlds(str(request.param)) as world:
        yield world
