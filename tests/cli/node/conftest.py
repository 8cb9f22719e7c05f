"""A node in a process of its own, and the commands in this one: one start of Python instead of sixty."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock.cli import main

FOLDER = Path(__file__).parent
SECONDS_MAX = 20


class Done(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def values(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the node of these tests keeps its things."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "run").mkdir(mode=0o700)
    return {"XDG_STATE_HOME": str(folder / "state"), "XDG_RUNTIME_DIR": str(folder / "run"), "NO_COLOR": "1", "COLUMNS": "100"}


@pytest.fixture(scope="session")
def server(places: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A node with a counter and a silent actor; what it announced."""
    manifests = [str(FOLDER / "counter.toml"), str(FOLDER / "silent.toml")]
    command = [sys.executable, "-m", "penstock", "server", "--json", "--listen", "tcp://127.0.0.1:0", *manifests]
    environment = {**os.environ, **places}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        announced = process.stdout.readline()
        assert announced, process.stderr.read()
        yield json.loads(announced)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS_MAX)


@pytest.fixture
def here(places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in the surroundings of the node, whether or not it runs."""
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PENSTOCK_SOCKET", raising=False)
    monkeypatch.chdir(FOLDER)


@pytest.fixture
def cli(here: None, server: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command here, with a node."""
    return command(capfd)


@pytest.fixture
def lone(here: None, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command here; the node may not run."""
    return command(capfd)


def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Make what runs commands in this process."""

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def piped(cli: Callable[..., Done], tmp_path: Path) -> Iterator[Callable[..., Done]]:
    """Run a command here, with a file as its standard input."""
    before = os.dup(0)

    def run(*arguments: object, stdin: str = "") -> Done:
        given = tmp_path / "stdin"
        given.write_text(stdin)
        with given.open() as file:
            os.dup2(file.fileno(), 0)
        return cli(*arguments)

    yield run
    os.dup2(before, 0)
    os.close(before)


class Followed:
    """The lines of a command that goes on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self, poke: Callable[[], object] = lambda: None) -> str:
        """Wait for the next line; `poke` is done again and again until it comes."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            poke()
            with contextlib.suppress(queue.Empty):
                return self._lines.get(timeout=0.1)
        raise AssertionError("no line came")

    def end(self, number: int = signal.SIGINT) -> int:
        """End the command by a signal and return its exit code."""
        self.process.send_signal(number)
        self.process.wait(SECONDS_MAX)
        self._thread.join()
        self.process.stdout.close()
        return self.process.returncode


@pytest.fixture
def follow(places: dict[str, str], server: dict[str, Any]) -> Iterator[Callable[..., Followed]]:
    """Run a command that goes on."""
    begun: list[Followed] = []

    def following(*arguments: object) -> Followed:
        words = [sys.executable, "-m", "penstock", *map(str, arguments)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, **places}, cwd=FOLDER)
        begun.append(Followed(process))
        return begun[-1]

    yield following
    for each in begun:
        each.end(signal.SIGKILL)
