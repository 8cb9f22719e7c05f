"""The event loops of the tests. A folder whose tests run on the virtual clock imports the hook into its conftest.

``PENSTOCK_LOOP`` chooses another loop: ``uvloop`` for tests on the real clock, ``eager`` for asyncio's own loops with eager
tasks (`asyncio.eager_task_factory`, Python 3.12 and later), where a task begins inside ``create_task``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from penstock.testing import VirtualClockLoop

LOOP = os.environ.get("PENSTOCK_LOOP", "asyncio")
Factory = Callable[[], asyncio.AbstractEventLoop]


def eager(factory: Factory) -> Factory:
    """Return a factory of the same loops, whose tasks are eager if ``PENSTOCK_LOOP=eager``."""
    if LOOP != "eager":
        return factory

    def make() -> asyncio.AbstractEventLoop:
        loop = factory()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return make


def on_the_real_clock() -> dict[str, Factory] | None:
    """Return the loop that ``PENSTOCK_LOOP`` names for the tests on the real clock; None for asyncio's own."""
    if LOOP == "uvloop":
        import uvloop

        return {"uvloop": uvloop.new_event_loop}
    return {"eager": eager(asyncio.new_event_loop)} if LOOP == "eager" else None


def on_the_virtual_clock(config: pytest.Config, item: pytest.Item) -> dict[str, Factory]:
    """Run each async test on a clock that jumps: what would wait for ever is a `Deadlock` that says where."""
    return {"virtual": eager(VirtualClockLoop)}
