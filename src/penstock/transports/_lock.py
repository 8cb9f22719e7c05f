"""Hold a directory for one process at a time, so that two processes that start together agree. It leaves no file behind."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def directory_held(directory: str | os.PathLike[str]) -> Iterator[None]:
    """Hold `directory` while the body runs; other callers wait, and block their thread, until it is done.

    The lock is advisory, belongs to this opening of the directory (so threads exclude each other too) and ends with the
    process. Keep the body to a few milliseconds, and do not await in it.
    """
    if sys.platform == "win32":
        # Windows has no such lock; the files are written atomically all the same.
        yield
        return
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
