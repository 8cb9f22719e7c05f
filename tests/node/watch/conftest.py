"""Every async test here runs on the virtual clock."""

from __future__ import annotations

from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio
