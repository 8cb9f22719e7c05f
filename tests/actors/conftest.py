"""Every async test here runs on the virtual clock: what would wait for ever is a `Deadlock` that says where."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from penstock import ActorSystem
from penstock.actors.cell import _profile
from tests.actors.kit import Maker, Tape
from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio


@pytest.fixture(params=["inline", "mailbox"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Handlers that never wait run where they are sent, or go through the mailbox as all others: nobody sees a difference."""
    if request.param == "mailbox":
        monkeypatch.setattr(_profile, "runs_inline", lambda _function: False)
    _profile._read.cache_clear()
    yield request.param
    _profile._read.cache_clear()


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
