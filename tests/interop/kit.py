"""Real sockets and real processes for the tests here. Waiting is for a condition, with a limit that only a bug reaches."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import penstock
from tests.house._source import ROOT

PATIENCE_S = 20.0
SCHEMES = ["memory", "tcp", "tls", "unix", "ws"]


def url_for(scheme: str, folder: Path) -> str:
    return {
        "memory": "memory://must-show",
        "tcp": "tcp://127.0.0.1:0",
        "tls": "tls://127.0.0.1:0",
        "unix": f"unix://{folder}/s",
        "ws": "ws://127.0.0.1:0",
    }[scheme]


def tls_for(scheme: str, folder: Path) -> penstock.TLS | None:
    return penstock.TLS.development(folder / "tls") if scheme == "tls" else None


@asynccontextmanager
async def linked(service: object, scheme: str, folder: Path, **options: Any) -> AsyncIterator[penstock.Peer]:
    """Serve and connect over a real transport."""
    tls = tls_for(scheme, folder)
    async with (
        penstock.serve(service, listen=url_for(scheme, folder), tls=tls, **options) as server,
        penstock.connect(server.urls[0], tls=tls) as peer,
    ):
        yield peer


async def until(condition: Callable[[], bool], what: str) -> float:
    """Wait until `condition` holds; return how long that took in seconds."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not condition():
        if loop.time() - begun > PATIENCE_S:
            raise AssertionError(f"{what} did not happen within {PATIENCE_S:g} s")
        await asyncio.sleep(0.001)
    return loop.time() - begun


async def still(value: Callable[[], Any], seconds: float = 0.03) -> Any:
    """Return a value that has not changed for `seconds`."""
    loop = asyncio.get_running_loop()
    seen, since, begun = value(), loop.time(), loop.time()
    while loop.time() - since < seconds:
        if loop.time() - begun > PATIENCE_S:
            raise AssertionError(f"it never comes to rest: {seen}")
        await asyncio.sleep(0.002)
        if value() != seen:
            seen, since = value(), loop.time()
    return seen


async def take(stream: Any, count: int) -> None:
    """Take `count` items."""
    for _ in range(count):
        await stream.receive()


@asynccontextmanager
async def far(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run `tests.interop.far` in a process of its own; yield it with its first line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.interop.far", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            line = await process.stdout.readline()
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()
