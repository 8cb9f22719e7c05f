"""The server process of the demo: prints its URLs and serves until its standard input ends, so it ends with its parent."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

import penstock
from penstock._loop import loop_factory
from penstock.demo._metrics import Metrics
from penstock.demo._services import Chat, Files, Numbers

#: The longest path of a Unix socket on every system; with a longer one, the server listens on TCP alone.
UNIX_PATH_MAX: Final = 100


def main(workspace: Path, *, throw_away: bool) -> None:
    """Serve the files in `workspace`. It removes the folder at the end, because the parent may have been killed."""
    logging.basicConfig(level=logging.WARNING)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(workspace, _urls(workspace, throw_away=throw_away)))
    finally:
        if not throw_away:
            shutil.rmtree(workspace, ignore_errors=True)


async def _serve(workspace: Path, listen: list[str]) -> None:
    ended = asyncio.Event()
    threading.Thread(target=_wait_for_end, args=(asyncio.get_running_loop(), ended), daemon=True).start()
    async with penstock.serve(Metrics(), Files(workspace / "files"), Numbers(), Chat(), listen=listen) as server:
        sys.stdout.write(msgspec.json.encode(server.urls).decode() + "\n")
        sys.stdout.flush()
        await ended.wait()
        await server.aclose(grace_s=0)


def _urls(workspace: Path, *, throw_away: bool) -> list[str]:
    path = workspace / "demo.sock"
    has_unix = hasattr(socket, "AF_UNIX") and len(str(path)) <= UNIX_PATH_MAX and not throw_away
    return ["tcp://127.0.0.1:0", *([f"unix://{path}"] if has_unix else [])]


def _wait_for_end(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Wait for the end of standard input: the parent closed it or died."""
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(ended.set)


if __name__ == "__main__":
    main(Path(sys.argv[1]), throw_away="--throw-away" in sys.argv[2:])
