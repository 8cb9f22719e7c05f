"""Every async test here runs on the virtual clock: what would wait for ever is a `Deadlock` that says where."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio


@pytest.fixture(autouse=True)
async def _nothing_is_left_to_the_loop() -> AsyncIterator[None]:
    """No future, and no task, ends with an error that nobody has seen."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    yield
    gc.collect()
    assert not told
