"""What an event loop has once, as its attribute: a table beside it would keep alive a loop to which its value refers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def of_loop(name: str, make: Callable[[], T]) -> T:
    """Return the object of the running event loop with this name, which `make` makes at the first call.

    Raises `RuntimeError` without a running loop.
    """
    loop = asyncio.get_running_loop()
    found: T | None = getattr(loop, name, None)
    if found is None:
        found = make()
        setattr(loop, name, found)
    return found
