"""The check that a file is a history. This module never writes."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from penstock._database import check_regular_files, connect, is_damage
from penstock.errors import FailedPrecondition, Unavailable

#: "pshy", in the header of each file. A file without it is never opened for writing or moved.
APPLICATION_ID: Final = 0x70736879
FILE_VERSION: Final = 1
#: The errors that reading a damaged file may raise.
UNREADABLE: Final = (sqlite3.Error, msgspec.MsgspecError, AttributeError, TypeError, ValueError)
#: The file beside the history that notes the end of its chain.
HEAD: Final = "-head"


def open_damaged(path: Path) -> sqlite3.Connection:
    """Open the file for reading although it may be damaged: it may be cut off, or be on a read-only disk.

    Raises `FailedPrecondition` when it is not a history, and `Unavailable` when it cannot be opened at all.
    """
    check_regular_files(path, "history", HEAD)
    log = Path(f"{path}-wal")
    try:
        return _open_damaged(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if is_damage(error):
            raise
        if log.exists() and log.stat().st_size:
            raise Unavailable(f"{path} cannot be read where it is: {error}; copy it and {log.name} elsewhere") from error
        return _open_damaged(path, "immutable=1")  # SQLite cannot make its lock file beside it, and needs none


def _open_damaged(path: Path, mode: str) -> sqlite3.Connection:
    connection = connect(path, mode)
    try:
        connection.execute("PRAGMA writable_schema = ON")  # it lets SQLite begin to read a short file; nothing is written
        check_format(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_format(path: Path, connection: sqlite3.Connection) -> None:
    """Raise `FailedPrecondition` when the file is not a history that this program can read. An empty database is allowed."""
    try:
        ours = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if not ours and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return
    except sqlite3.DatabaseError as error:
        if "not a database" not in str(error):
            raise
        raise FailedPrecondition(f"{path} is not a history: it has another format") from error
    if ours != APPLICATION_ID:
        raise FailedPrecondition(f"{path} is a database, but not a history")
    if version != FILE_VERSION:
        raise FailedPrecondition(f"{path} is a history of version {version}; this program knows version {FILE_VERSION}")


def check_file(path: Path) -> None:
    """Apply `check_format` to a file that is not open. A file that does not exist is allowed."""
    if path.exists():
        with contextlib.closing(open_damaged(path)):
            pass
