"""Every async test here runs on the virtual clock: what would wait for ever is a `Deadlock` that says where."""

from __future__ import annotations

from tests.loops import on_the_virtual_clock as pytest_asyncio_loop_factories  # noqa: F401 - the hook of pytest-asyncio
