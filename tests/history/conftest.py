"""Every async test here runs on the virtual clock; it stands still while the history's threads work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from penstock.testing import VirtualClockLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualClockLoop}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"
