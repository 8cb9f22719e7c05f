"""Every async test here runs on the virtual clock: what would wait for ever is a `Deadlock` that says where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from penstock import ActorSystem
from penstock.actors.cell import _life
from penstock.testing import VirtualClockLoop
from tests.actors.kit import Maker, Tape


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualClockLoop}


@pytest.fixture(params=["instant", "mailbox"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Handlers that never wait run where they are sent, or go through the mailbox as all others: nobody sees a difference."""
    if request.param == "mailbox":
        monkeypatch.setattr(_life, "never_waits", lambda _function: False)
    _life._read.cache_clear()
    yield request.param
    _life._read.cache_clear()


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    async with ActorSystem("here") as found:
        yield found


@pytest.fixture
def tape() -> Tape:
    return Tape()


@pytest.fixture
async def maker(system):
    return await system.spawn(Maker, name="m")
