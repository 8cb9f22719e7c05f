"""The command, run here when that makes no difference, and as a person runs it: in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock._loop import loop_factory
from penstock.cli import main

SHOP = Path(__file__).with_name("shop.py")
#: How long a command may take on a machine that does other things too.
SECONDS_MAX = 20

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """A command that ran in this process has taken them, and a closed uvloop does not give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")), "NO_COLOR": "1", "COLUMNS": "100"}


def _command(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "penstock", *map(str, arguments)]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run everything here on both loops: they treat descriptors differently."""
    made = {"asyncio": asyncio.SelectorEventLoop, "installed": loop_factory()}
    return {name: factory for name, factory in made.items() if factory is not None}


@pytest.fixture
def run(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command to its end, in this process: a start of Python for each would be most of the suite's time."""
    before = os.dup(0)

    def run(*arguments: object, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(cwd or Path.cwd())
        given = tmp_path / "standard-input"
        given.write_bytes(stdin.encode())
        with given.open() as file:
            os.dup2(file.fileno(), 0)
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    yield run
    os.dup2(before, 0)
    os.close(before)


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start a command with pipes; it is killed after the test when it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **more: Any) -> subprocess.Popen[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(_command(arguments), **{**pipes, **more}, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        _end(process)


@pytest.fixture(scope="session")
def shop(environment: dict[str, str]) -> Iterator[list[str]]:
    """A server with the services of shop.py; its URLs: TCP and Unix."""
    folder = Path(environment["XDG_STATE_HOME"])
    listening = [word for url in ("tcp://127.0.0.1:0", f"unix://{folder}/shop.sock") for word in ("--listen", url)]
    command = _command(("serve", f"{SHOP}:Prices", f"{SHOP}:Oddities", *listening))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        yield _announced(process)
    finally:
        _end(process)


@pytest.fixture
def shop_file() -> Path:
    """The module with the services."""
    return SHOP


@pytest.fixture
def url(shop: list[str]) -> str:
    return shop[0]


@pytest.fixture
def happened(url: str) -> Callable[[str], str]:
    """Wait until something has happened in the shop and return the whole line."""

    async def events() -> list[str]:
        async with penstock.connect(url) as peer:
            return await peer.call("Prices/events")

    def wait_for(beginning: str) -> str:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            found = next((line for line in asyncio.run(events()) if line.startswith(beginning)), None)
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{beginning!r} did not happen")

    return wait_for


@pytest.fixture
def announced() -> Callable[[subprocess.Popen[str]], list[str]]:
    """Wait until a server is ready and return its URLs."""
    return _announced


def _announced(process: subprocess.Popen[str]) -> list[str]:
    """Read what a server prints when it is ready and return its URLs."""
    assert process.stdout is not None
    urls = []
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "at":
            urls.append(rest)
        if word == "try":
            return urls
    raise AssertionError(f"the server ended with {process.wait()}")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(SECONDS_MAX)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # what was not read by then
                pipe.close()
