"""Timers that Penstock renews for ever, such as those of a keep-alive and of the attempts to connect again.

A program that waits for nothing else waits for ever.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable
from typing import Any, Final, TypeVar

C = TypeVar("C", bound=Callable[..., Any] | Task[Any])

_MARK: Final = "_penstock_upkeep"


def upkeep(callback: C) -> C:
    """Mark a callback of timers, as a decorator, or a task: that it runs does not mean that the program goes on."""
    setattr(callback, _MARK, True)
    return callback


def is_upkeep(callback: object) -> bool:
    """Whether a task, a callback, or the function of a bound method, is marked."""
    return getattr(callback, _MARK, False) is True
