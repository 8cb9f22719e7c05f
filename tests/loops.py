"""The event loops of the tests. A folder whose tests run on the virtual clock imports the hook into its conftest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from penstock.testing import VirtualClockLoop


def on_the_virtual_clock(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each async test on a clock that jumps: what would wait for ever is a `Deadlock` that says where."""
    return {"virtual": VirtualClockLoop}
