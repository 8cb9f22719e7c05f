"""Hold a directory for one process at a time, so that two that start together agree. This module leaves no file behind."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def directory_held(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `directory` against others who hold it; they wait, for the few milliseconds that the body takes.

    The lock is advisory, belongs to this opening of the directory (so threads exclude each other too) and ends with the
    process. Do not await in the body.
    """
    if sys.platform == "win32":
        # No such lock there; what is written is written atomically all the same.
        yield
        return
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
