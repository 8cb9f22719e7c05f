"""Hold a directory for one process at a time, so that two processes that start together agree. It leaves no file behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

if sys.platform != "win32":
    import fcntl

#: How often a held directory is tried again, and how many times: a second. An honest process holds it for milliseconds; every
#: user with the right to read a directory can hold it for ever.
HELD_RETRY_S: Final = 0.01
HELD_TRIES_MAX: Final = 100


@contextlib.asynccontextmanager
async def directory_held(directory: str | os.PathLike[str]) -> AsyncIterator[None]:
    """Hold `directory` while the body runs; other callers wait until it is done. Raises `TimeoutError` after a second.

    The lock is advisory, belongs to this opening of the directory (so tasks and threads exclude each other too) and ends with
    the process. Keep the body to a few milliseconds, and do not await in it. Cancelling it takes no lock.
    """
    with _opened(directory) as handle:
        for pause_s in _pauses(handle, directory):
            await asyncio.sleep(pause_s)
        yield


@contextlib.contextmanager
def directory_held_here(directory: str | os.PathLike[str]) -> Iterator[None]:
    """As `directory_held`, for callers that are not coroutines. It blocks the thread for a second at most."""
    with _opened(directory) as handle:
        for pause_s in _pauses(handle, directory):
            time.sleep(pause_s)
        yield


@contextlib.contextmanager
def _opened(directory: str | os.PathLike[str]) -> Iterator[int]:
    if sys.platform == "win32":  # it has no such lock; the files are written atomically all the same
        yield -1
        return
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def _pauses(handle: int, directory: str | os.PathLike[str]) -> Iterator[float]:
    """Iterate over the pauses in seconds until the lock is taken."""
    if sys.platform == "win32":
        return
    for _ in range(HELD_TRIES_MAX):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        yield HELD_RETRY_S
    raise TimeoutError(
        errno.ETIMEDOUT,
        f"another process has locked the directory {os.fspath(directory)} for {HELD_TRIES_MAX * HELD_RETRY_S:g} s",
    )
