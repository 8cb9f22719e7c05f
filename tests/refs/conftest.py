"""One event loop takes itself for two: a ref that comes home is claimed by a call, as if it had come from elsewhere."""

from __future__ import annotations

import pytest

from penstock.refs import _state
from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_state, "is_here", lambda _place: False)
