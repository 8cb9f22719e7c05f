"""A forked child lets go of the sockets and locks of its parent.

A child has a copy of each open descriptor. While it holds one, the other side of a connection does not hear that the parent has
closed it, or died, and a lock stays taken. So the child puts the null device in the place of each descriptor that is held here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_HELD: Final[dict[int, tuple[int, int]]] = {}


def hold(descriptor: int) -> None:
    """Keep an open descriptor from forked children, until `release`. A negative one is ignored."""
    if descriptor >= 0 and hasattr(os, "register_at_fork"):
        _HELD[descriptor] = _identity(descriptor)


def release(descriptor: int) -> None:
    """Forget a descriptor that is about to be closed. One that is not held is ignored."""
    _HELD.pop(descriptor, None)


def _let_go() -> None:
    """Replace the held descriptors, in the child. One that stands for another file by now is left alone."""
    if not _HELD:
        return
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor, identity in _HELD.items():
        with suppress(OSError):
            if _identity(descriptor) == identity:
                os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    _HELD.clear()


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
