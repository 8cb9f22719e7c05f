"""The npm packages of these tests: installed once, by their lock, below `.cache`."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.house._source import ROOT

HERE = Path(__file__).parent / "node"
INSTALLED = ROOT / ".cache" / "durable_streams"
#: A machine of your own may lack Node or a registry. Continuous integration may not.
MUST_RUN = os.environ.get("CI") == "true"


def _cannot(reason: str) -> None:
    (pytest.fail if MUST_RUN else pytest.skip)(f"the npm packages cannot be used: {reason}")


async def installed() -> Path:
    """Return the folder with the packages and these scripts. It skips the test, but in CI, where they cannot be installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _cannot("this machine has no node and npm")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with (INSTALLED / "lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)  # another process of this test run may install them
        await _install()
    return INSTALLED


async def _install() -> None:
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = INSTALLED / "node_modules" / ".lock"
    for file in HERE.iterdir():
        shutil.copy(file, INSTALLED / file.name)
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    npm = await asyncio.create_subprocess_exec(
        "npm",
        "ci",
        "--ignore-scripts",
        "--loglevel=error",
        cwd=INSTALLED,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await npm.communicate()
    if npm.returncode:
        _cannot(said.decode()[-2000:])
    stamp.write_bytes(lock)


async def node(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run Node in that folder. Return its exit code, and its output."""
    process = await asyncio.create_subprocess_exec(
        "node",
        *arguments,
        cwd=INSTALLED,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, said.decode()
