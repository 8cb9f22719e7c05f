"""Open only regular files by a path that a person or a peer gave. A device or a FIFO there may block, or be destroyed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_SPECIAL = (
    (stat.S_ISDIR, "directory"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)


class NotRegular(OSError):
    """The path leads to something else than a regular file; `strerror` says to what."""

    def __init__(self, path: str | os.PathLike[str], mode: int) -> None:
        name = next((name for is_it, name in _SPECIAL if is_it(mode)), "special file")
        super().__init__(errno.EINVAL, f"it is a {name}, and only a regular file can be used", os.fspath(path))


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise `NotRegular` unless the path leads to a regular file or to nothing. Links are followed; nothing is opened."""
    with contextlib.suppress(FileNotFoundError):
        _check(path, Path(path).stat())


def identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return the device and inode of the file at the path; None when there is none. Links are not followed."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
    """Open a regular file and return its descriptor, as `os.open` does, without waiting. It is an `opener` for `open`.

    Raises `NotRegular`, also when the path changes while it is opened, and other `OSError`s as `os.open` does.
    """
    check_regular(path)  # to open some devices is to use them
    descriptor = os.open(path, flags & ~os.O_TRUNC | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0), mode)
    try:
        _check(path, os.fstat(descriptor))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: str | os.PathLike[str], found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegular(path, found.st_mode)
