"""Where the node of a user is reached: a Unix socket that only this user can open. This module listens nowhere."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from penstock.errors import PermissionDenied, Unavailable

#: The variable that names another socket, for the commands and for the server.
VARIABLE: Final = "PENSTOCK_SOCKET"


def socket_path(given: str | None) -> Path:
    """Return the socket of the node: what was given, by option or $PENSTOCK_SOCKET, else this user's own."""
    chosen = given or os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else _own_folder() / "node.sock"


def history_path() -> Path:
    """Return where a node keeps its history unless it is told: in the user's directory for state."""
    return state_folder() / "history.db"


def state_folder() -> Path:
    """Return the directory in which this user's state is kept."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "penstock"


def make_folder(socket: Path) -> None:
    """Make the user's own folder with mode 0700; any other is its owner's affair. Raises as `refuse_strangers`."""
    if socket.parent != _own_folder():
        return
    try:
        socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{socket.parent} cannot be made: {error.strerror or error}; choose --socket PATH") from error
    refuse_strangers(socket)


def refuse_strangers(socket: Path) -> None:
    """Raise `PermissionDenied` when the user's own folder is somebody else's, or open to others."""
    folder = socket.parent
    if folder != _own_folder() or not os.path.lexists(folder):
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _uid() or found.st_mode & 0o077:
        raise PermissionDenied(f"{folder} is not yours alone; remove it, or choose another place with --socket PATH")


def _own_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "penstock" if runtime else Path(tempfile.gettempdir()) / f"penstock-{_uid()}"


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
