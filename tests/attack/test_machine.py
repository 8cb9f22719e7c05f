"""Attacks from the same machine, on a node and its files: rows of group H that need no connection, by the command."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.slow]

#: The bound of each command here; what these attacks did before was to wait for ever.
SECONDS_MAX = 20
ACTOR = "a" * 60
NODE = f"""
name = "{ACTOR}"
actor = "silent.py:Silent"
"""
CODE = """
import penstock

class Silent(penstock.Actor):
    pass
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [sys.executable, "-m", "penstock", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest, and with the socket and history of the node that the commands of this test use."""
    (tmp_path / "silent.toml").write_text(NODE)
    (tmp_path / "silent.py").write_text(CODE)
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("PENSTOCK_SOCKET", str(tmp_path / "run" / "node.sock"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@contextmanager
def node(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a node, and kill it at the end."""
    command = [sys.executable, "-m", "penstock", "server", "--json", "--history", "node.db", "silent.toml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("kind", ["FIFO", "device", "link to a FIFO"])
def test_what_is_no_regular_file_is_not_taken_for_a_history(folder, kind):
    """FAULTS H6: a device was renamed, a FIFO waited for."""
    special, named = folder / "special", folder / "history.db"
    if kind == "device":
        if os.geteuid() != 0:
            pytest.skip("only root can make a device")
        os.mknod(special, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    else:
        os.mkfifo(special)
    named.symlink_to(special) if kind == "link to a FIFO" else special.rename(named)
    before = named.stat()
    done = run("server", "--history", named, folder / "silent.toml")
    assert done.returncode not in (0, 1)
    assert "only a regular file can be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert (named.stat().st_mode, named.stat().st_ino) == (before.st_mode, before.st_ino)


def test_a_log_with_a_flipped_bit_is_told(folder):
    """FAULTS H7: 603 events became 127, and the check was content."""
    with node(folder):
        assert run("list", "--json").returncode == 0
    log = folder / "node.db-wal"
    data = bytearray(log.read_bytes())
    assert run("verify", folder / "node.db").returncode == 0
    data[-100] ^= 1
    log.write_bytes(data)
    done = run("verify", folder / "node.db")
    assert done.returncode != 0
    assert "missing" in done.stdout + done.stderr


def test_a_directory_that_another_process_has_locked_is_told(folder):
    """FAULTS H12: the node waited for ever."""
    held = os.open(folder / "run", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = run("server", "--history", "none", folder / "silent.toml")
    finally:
        os.close(held)
    assert done.returncode not in (0, 1)
    assert "another process has locked the directory" in done.stderr


def test_a_pattern_with_many_stars_is_matched_at_once(folder):
    """FAULTS H15: the node was busy for hours."""
    with node(folder):
        listed = run("list", "--json", "*?" * 20 + "!")
        assert json.loads(listed.stdout or "[]") == []
        assert ACTOR in run("list").stdout
