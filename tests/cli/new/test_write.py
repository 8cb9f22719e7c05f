"""`penstock new`: what is made runs, and nothing is overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from penstock.cli import main


@pytest.fixture
def new(monkeypatch, tmp_path, capfd):
    """Make something in an empty folder; the exit code, what was said, what was complained of."""
    monkeypatch.chdir(tmp_path)

    def make(*arguments):
        capfd.readouterr()
        return main(["new", *arguments]), *capfd.readouterr()

    return make


def test_a_project_is_a_folder_with_an_actor_a_manifest_and_a_test(new, tmp_path):
    code, said, _ = new("project", "greetings")
    assert code == 0
    assert "made greetings/counter.py" in said
    assert "penstock server counter.toml" in said
    made = {path.name for path in (tmp_path / "greetings").iterdir()}
    assert made == {"counter.py", "counter.toml", "test_counter.py", "README.md", ".gitignore"}


def test_an_actor_is_added_to_what_is_here(new, tmp_path):
    assert new("actor", "chat-room")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"chat_room.py", "chat-room.toml", "test_chat_room.py"}
    assert "class ChatRoom(penstock.Actor)" in (tmp_path / "chat_room.py").read_text()


def test_the_files_are_told_as_json(new):
    assert json.loads(new("actor", "counter", "--json")[1])["files"] == ["counter.py", "counter.toml", "test_counter.py"]


def test_nothing_is_overwritten(new, tmp_path):
    (tmp_path / "counter.toml").write_text("mine")
    code, _, complaint = new("actor", "counter")
    assert code == 2
    assert "counter.toml exists already, and no file was written" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["counter.toml"]
    (tmp_path / "taken").touch()
    assert "taken exists already" in new("project", "taken")[2]
    new("project", "one")
    assert new("project", "one")[0] == 2


@pytest.mark.parametrize("name", ["", "Counter", "1x", "a b", "../x", "class", "a/b", "x" * 300])
def test_a_name_that_cannot_be_a_module_is_refused(new, tmp_path, name):
    assert new("actor", name)[0] == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
@pytest.mark.timeout(240)  # a minute on a machine with ten times the work that it can do
def test_what_is_made_runs_passes_its_test_and_is_clean(new, tmp_path):
    new("project", "greetings")
    folder = tmp_path / "greetings"

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=30
        )

    tested = run("pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    linted = run("ruff", "check", "--isolated", "--line-length", "120", ".")
    assert linted.returncode == 0, linted.stdout
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "penstock", "server", "--socket", str(tmp_path / "n.sock"), "counter.toml"]
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        for line in process.stdout:
            if line.startswith("try"):
                break
        asked = ["request", "counter", '{"action": "add", "params": {"count": 5}}', "--socket", str(tmp_path / "n.sock")]
        assert run("penstock", *asked).stdout == "5\n"
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0
