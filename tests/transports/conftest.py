"""Fixtures of the conformance kit: each test that takes `open_pair` runs over every transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from penstock.testing import SimulatedNetwork
from tests.transports.kit import Pair, linked, tls_for, url_for

try:
    import uvloop
except ImportError:  # the extra `speed`, not on every system
    uvloop = None

OpenPair = Callable[..., AbstractAsyncContextManager[Pair]]


@pytest.fixture(params=["memory", "tcp", "tls", "unix", "ws", "wss", "sim"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def open_pair(scheme: str, tmp_path: Path, seed: int) -> AsyncIterator[OpenPair]:
    opened = partial(linked, url_for(scheme, tmp_path), tls=tls_for(scheme, tmp_path))
    if scheme != "sim":
        yield opened
        return
    with SimulatedNetwork(seed, latency_s=(0.0, 0.0005)):
        yield opened


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test of this folder on both loops: their promises differ in small print."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    if uvloop is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories
