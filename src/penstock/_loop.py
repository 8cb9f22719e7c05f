"""The event loop of the command line and the demo: uvloop where it is installed. The only file that imports `uvloop`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of the loop; None for the loop of asyncio."""
    try:
        import uvloop
    except ImportError:  # not installed, or not made for this system
        return None
    return uvloop.new_event_loop
