"""Every async test here runs on the virtual clock; it stands still while the history's threads work."""

from __future__ import annotations

import pytest

from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.db"
