"""Every async test in this folder itself runs on the virtual clock; those in folders below have real files and processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.loops import Factory, on_the_real_clock, on_the_virtual_clock


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Factory]:
    if item.path.parent == Path(__file__).parent:
        return on_the_virtual_clock(config, item)
    return on_the_real_clock() or {"asyncio": asyncio.new_event_loop}
