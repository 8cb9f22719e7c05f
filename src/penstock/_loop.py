"""The event loop of our own processes: uvloop where it is installed, asyncio's otherwise. The one file that uvloop enters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop, None for asyncio's own."""
    try:
        import uvloop
    except ImportError:  # not installed, or not made for this system
        return None
    return uvloop.new_event_loop
