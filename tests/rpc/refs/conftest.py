"""One event loop takes itself for two: a ref that comes home is claimed by a call, as if it had come from elsewhere."""

from __future__ import annotations

import pytest

from penstock.rpc.refs import _held


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_held, "is_here", lambda _place: False)
