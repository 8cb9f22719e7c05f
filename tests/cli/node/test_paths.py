"""Where the node of a user is: one place, which nobody else can put something into."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli._node import _paths as paths
from penstock.errors import PermissionDenied, Unavailable


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    for name in ("PENSTOCK_SOCKET", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_an_option_goes_before_the_variable_and_that_before_the_runtime_directory(monkeypatch, tmp_path):
    assert paths.socket_path(None).parent.parent == tmp_path
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    assert paths.socket_path(None) == Path("/run/user/1/penstock/node.sock")
    monkeypatch.setenv("PENSTOCK_SOCKET", "/somewhere/n.sock")
    assert paths.socket_path(None) == Path("/somewhere/n.sock")
    assert paths.socket_path("/given.sock") == Path("/given.sock")


def test_the_folder_is_made_for_its_owner_alone(tmp_path):
    socket = paths.socket_path(None)
    paths.make_folder(socket)
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    paths.make_folder(socket)


def test_a_folder_that_others_can_write_is_refused_by_both_sides(tmp_path):
    socket = paths.socket_path(None)
    socket.parent.mkdir(mode=0o777)
    socket.parent.chmod(0o777)
    for step in (paths.make_folder, paths.refuse_strangers):
        with pytest.raises(PermissionDenied, match="belongs to or is open to other users"):
            step(socket)


def test_a_link_to_another_folder_is_refused(tmp_path):
    socket = paths.socket_path(None)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    socket.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionDenied):
        paths.refuse_strangers(socket)


def test_a_folder_that_was_chosen_is_its_owners_affair(tmp_path):
    (tmp_path / "open").mkdir(mode=0o777)
    paths.make_folder(tmp_path / "open" / "n.sock")
    paths.refuse_strangers(tmp_path / "open" / "n.sock")


def test_a_folder_that_cannot_be_made_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match="choose --socket PATH"):
        paths.make_folder(paths.socket_path(None))


def test_history_is_kept_in_the_directory_for_state(monkeypatch):
    assert paths.history_path() == Path.home() / ".local/state/penstock/history.db"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert paths.history_path() == Path("/state/penstock/history.db")
