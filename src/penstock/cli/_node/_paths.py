"""The paths of a user's node: a Unix socket that only this user can open, and a folder for its history."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from penstock.errors import PermissionDenied, Unavailable

#: The environment variable with the path of another socket, for the commands and for the server.
VARIABLE: Final = "PENSTOCK_SOCKET"


def socket_path(option: str | None) -> Path:
    """Return the socket of the node: the option, else $PENSTOCK_SOCKET, else the socket of this user."""
    chosen = option or os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else _own_folder() / "node.sock"


def history_path() -> Path:
    """Return the default path of a history: in the user's directory for state."""
    return state_folder() / "history.db"


def state_folder() -> Path:
    """Return Penstock's folder in the user's directory for state."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "penstock"


def make_folder(socket: Path) -> None:
    """Make the user's own folder with mode 0700; other folders must exist. Raises as `refuse_strangers`."""
    if socket.parent != _own_folder():
        return
    try:
        socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{socket.parent} cannot be created: {error.strerror or error}; choose --socket PATH") from error
    refuse_strangers(socket)


def refuse_strangers(socket: Path) -> None:
    """Raise `PermissionDenied` when the user's own folder belongs to another user, or is open to other users."""
    folder = socket.parent
    if folder != _own_folder() or not os.path.lexists(folder):
        return
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != _uid() or status.st_mode & 0o077:
        raise PermissionDenied(f"{folder} belongs to or is open to other users; remove it, or choose another --socket PATH")


def _own_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "penstock" if runtime else Path(tempfile.gettempdir()) / f"penstock-{_uid()}"


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
