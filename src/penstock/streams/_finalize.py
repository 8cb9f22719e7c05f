"""`finalize_on`: the action of a finaliser, on the event loop of its object."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections.abc import Callable
from threading import get_ident

from penstock.errors import WrongThread


def finalize_on(loop: asyncio.AbstractEventLoop | None, action: Callable[[], object]) -> None:
    """Run the `action` of a finaliser on the event loop of its object: the garbage collector may run in any thread.

    It runs at once when this is that loop, or when no loop is known or running; not at all when the loop is closed.
    """
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if loop is None or running is loop:
        action()
    elif loop.is_running():
        loop.call_soon_threadsafe(action)
    elif not loop.is_closed():
        action()


def home_here() -> int:
    """Return the id of this thread, if an event loop runs here; else 0, for a home that is not known yet."""
    return 0 if _get_running_loop() is None else get_ident()


def check_thread(thread: int, name: object) -> None:
    """Raise `WrongThread` unless this is the thread with that id; 0 is any thread. `name` stands in the message."""
    if thread and thread != get_ident():
        raise WrongThread(f"{name} belongs to the event loop of another thread; use it there, by penstock.from_thread.run")
