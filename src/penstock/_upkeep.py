"""Timers that Penstock renews for ever, such as that of a keep-alive. A program that waits for nothing else waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

C = TypeVar("C", bound=Callable[..., Any])

_MARK: Final = "_penstock_upkeep"


def upkeep(callback: C) -> C:
    """Mark a callback of timers, as a decorator: that one is due does not mean that the program goes on."""
    setattr(callback, _MARK, True)
    return callback


def is_upkeep(callback: object) -> bool:
    """Whether a callback, or the function of a bound method, is marked."""
    return getattr(callback, _MARK, False) is True
