"""Every async test here runs on the virtual clock: what would wait for ever is a `Deadlock` that says where."""

from __future__ import annotations

import pytest

from tests.calls.kit import linked
from tests.calls.numbers import Numbers
from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio


@pytest.fixture
async def numbers():
    return Numbers()


@pytest.fixture
async def pair(numbers):
    async with linked(numbers) as pair:
        yield pair
