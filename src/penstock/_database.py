"""Files of SQLite: how one is opened, the lock that gives it one writer, and which errors mean that it is damaged.

A file that SQLite has open is accessed only through SQLite: closing any other descriptor of it would release the locks of this
process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Final

from penstock._files import NotRegular, check_regular, open_regular
from penstock._fork import hold, release
from penstock.errors import FailedPrecondition

if sys.platform != "win32":
    import fcntl

#: How long a statement waits for another program that locks the file; after that it is a problem, which is reported.
LOCK_TIMEOUT_S: Final = 1.0
#: What SQLite and the lock put beside the path of a file.
BESIDE: Final = ("-lock", "-wal", "-shm", "-journal")

_DAMAGE: Final = ("malformed", "not a database", "disk I/O error", "no such table", "no such column")


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file, as one of several readers (``mode=ro``) or as its one writer (``mode=rw``). Raises `sqlite3.Error`."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=LOCK_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # each connection has one user at a time, which may be this thread now and that one later
    )


def set_log(connection: sqlite3.Connection, pages: int, page_bytes: int) -> None:
    """Have the write-ahead log written into the file, and the disk synchronised, each so many pages, which is then its size.

    So the end of the process loses nothing, and a power failure at most the moments since then.
    """
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    connection.execute(f"PRAGMA journal_size_limit = {pages * page_bytes}")


def check_regular_files(path: Path, kind: str, *beside: str) -> None:
    """Raise `FailedPrecondition` when the file, or one that is opened beside it, is a device, a FIFO or a directory."""
    try:
        for suffix in ("", *BESIDE, *beside):
            check_regular(f"{path}{suffix}")
    except NotRegular as error:
        raise FailedPrecondition(f"{error.filename} cannot be used for a {kind}: {error.strerror}") from error


def is_damage(error: BaseException) -> bool:
    """Return whether `error` means that the file is damaged, rather than locked, unreadable, or on a full disk."""
    return not isinstance(error, sqlite3.OperationalError) or any(words in str(error) for words in _DAMAGE)


class FileLock:
    """A lock file, ``<file>-lock``, that contains the id of the process. The system releases it when the process ends.

    SQLite holds its own locks only during a statement, so they do not stop two programs that both append and fork the chain.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Take the lock of a file; `kind` says in messages what it is. Raises `FailedPrecondition` when a process holds it."""
        self._kind = kind
        self._descriptor = open_regular(f"{path}-lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._acquire(path)
        except BaseException:
            self.release()
            raise
        hold(self._descriptor)

    def _acquire(self, path: Path) -> None:
        """Lock the file and write the id of this process into it."""
        if sys.platform == "win32":
            return  # it has no flock
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "another process"
            raise FailedPrecondition(
                f"the {self._kind} {path} is being written by process {holder}; such a file has one writer, "
                "so stop that process or give this one another file"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode("ascii"))

    def release(self) -> None:
        """Release the lock: at once, also while a child that was forked a moment ago still has a copy of the descriptor."""
        release(self._descriptor)
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
