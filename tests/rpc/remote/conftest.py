"""Every async test here runs on the virtual clock: what would wait for ever is a `Deadlock` that says where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from penstock.testing import VirtualClockLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualClockLoop}
