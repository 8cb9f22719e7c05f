"""The surroundings of every scene: the server process, the file, the peer, the pace.

The server process and the folder are gone at the end in every case.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec

import penstock
from penstock.demo._services import FileInfo

T = TypeVar("T")

MB: Final = 1_000_000
#: How long a server process may take to print its URLs.
START_S: Final = 15.0
#: How long a server process may take to end before it is killed.
END_S: Final = 3.0
#: How much of a dead server's log is shown.
LOG_BYTES: Final = 2000
SAMPLE_FILE: Final = "water.bin"


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class ServerProcess:
    """A running server process and its URLs."""

    def __init__(self, process: asyncio.subprocess.Process, urls: list[str], log: Path) -> None:
        self.urls = urls
        self.pid = process.pid
        self._process = process
        self._log = log

    def kill(self) -> int:
        """Kill the process as ``kill -9`` does, and return the time, in ns of `time.perf_counter_ns`."""
        at = time.perf_counter_ns()
        self._process.kill()
        return at

    async def watch(self) -> None:
        """Wait until the process ends by itself, which it should not. Raises `DemoError`. Safe to cancel."""
        code = await self._process.wait()
        raise DemoError(f"the server process ended by itself with code {code}\n{_tail(self._log)}".rstrip())


@asynccontextmanager
async def server_process(workspace: Path, *, throw_away: bool = False) -> AsyncIterator[ServerProcess]:
    """Run a server in another process. It ends with the block, and with this process in every case."""
    log = workspace / f"server-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "penstock.demo._server", str(workspace), *(["--throw-away"] if throw_away else [])]
    pipe = asyncio.subprocess.PIPE
    with log.open("wb") as errors:
        # A session of its own: Ctrl-C reaches only this process, which then ends the server.
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True)
    try:
        yield ServerProcess(process, await _urls(process, log), log)
    finally:
        await _end(process)


async def _urls(process: asyncio.subprocess.Process, log: Path) -> list[str]:
    """Read the URLs that the server process prints. Raises `DemoError` when it does not start."""
    stdout = cast("asyncio.StreamReader", process.stdout)
    try:
        async with asyncio.timeout(START_S):
            line = await stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise DemoError(f"the server process did not start within {START_S:g} s\n{_tail(log)}".rstrip())
    return msgspec.json.decode(line, type=list[str])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the input of the server process, and kill the process when it does not end."""
    cast("asyncio.StreamWriter", process.stdin).close()
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-LOG_BYTES:].decode(errors="replace")
    except OSError:  # the server has removed the folder
        return ""


def write_file(workspace: Path, size_mb: int) -> FileInfo:
    """Write a file without repeated blocks. Raises `DemoError` when the disk does not have room for it twice."""
    folder = workspace / "files"
    folder.mkdir()
    free_mb = shutil.disk_usage(folder).free // MB
    if free_mb < 2 * size_mb:
        raise DemoError(f"{workspace.parent} has {free_mb} MB free; {2 * size_mb} MB are needed (set TMPDIR to another folder)")
    digest, block = hashlib.sha256(), os.urandom(MB)
    with (folder / SAMPLE_FILE).open("wb") as file:
        for number in range(size_mb):
            piece = number.to_bytes(8, "big") + block[8:]  # equal blocks would hide a chunk out of place
            file.write(piece)
            digest.update(piece)
    return FileInfo(SAMPLE_FILE, size_mb * MB, digest.hexdigest())


# ── for the scenes ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Stage(NamedTuple):
    """The arguments of a scene. pace: stretches every duration. pids: the processes that were started."""

    peer: penstock.Peer
    server: ServerProcess
    workspace: Path
    file: FileInfo
    pace: float
    pids: list[int]

    async def pause(self, seconds: float) -> None:
        """Wait, so that a person can follow."""
        await asyncio.sleep(seconds * self.pace)

    def until(self, seconds: float) -> float:
        """Return the time in `seconds` seconds, stretched by the pace, by the clock of `time.perf_counter`."""
        return time.perf_counter() + seconds * self.pace


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run all of them until one ends; cancel the others; raise the error of that one."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
