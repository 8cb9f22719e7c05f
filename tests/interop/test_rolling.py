"""A rolling restart of two server processes, under 100 followers and calls beside them: nothing is lost, each exits with 0."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

import penstock
from tests.house._source import ROOT
from tests.interop.kit import PATIENCE_S, until

CLIENTS, FOLLOWERS = 10, 10
SERVICE = """
    import asyncio
    import os
    from collections.abc import AsyncIterator


    class Log:
        async def entries(self, since: int) -> AsyncIterator[int]:
            while True:
                yield since
                since += 1
                await asyncio.sleep(0.02)

        async def process_id(self) -> int:
            await asyncio.sleep(0.01)
            return os.getpid()
"""


class Log:
    """The service of the processes, as a client sees it."""

    async def entries(self, since: int) -> AsyncIterator[int]:
        yield since

    async def process_id(self) -> int: ...


@asynccontextmanager
async def serving(folder: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `penstock serve` in a process of its own. Leaving the block sends SIGTERM: the exit code has to be 0."""
    arguments = ("-m", "penstock", "serve", f"{folder}/log.py:Log", "--listen", url, "--grace", "10")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (await process.stdout.readline()).startswith(b"try "):
                pass
        yield process
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            _printed, complaint = await process.communicate()
        assert (process.returncode, b"cancelled" in complaint) == (0, False), complaint
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


class Fleet:
    """The followers and callers of all clients.

    taken: the next offset of each follower. pids: the processes that have answered.
    """

    def __init__(self) -> None:
        self.taken = [0] * (CLIENTS * FOLLOWERS)
        self.pids: set[int] = set()
        self.calls = 0

    async def follow(self, number: int, peer: penstock.Peer) -> None:
        while True:
            entries = penstock.Stream.of(peer.service(Log).entries(self.taken[number]))
            async for entry in entries:
                assert entry == self.taken[number]
                self.taken[number] += 1
                if entries.draining:
                    break

    async def call(self, peer: penstock.Peer) -> None:
        while True:
            self.pids.add(await peer.service(Log).process_id())
            self.calls += 1

    async def went_on(self) -> None:
        """Wait until each follower and some calls have gone on."""
        wanted, calls = [next_one + 10 for next_one in self.taken], self.calls + 100
        await until(lambda: self.calls >= calls and all(map(int.__le__, wanted, self.taken)), "going on")


@pytest.mark.processes
@pytest.mark.timeout(120)
async def test_a_rolling_restart_of_two_processes_loses_no_call(tmp_path):
    (tmp_path / "log.py").write_text(textwrap.dedent(SERVICE))
    urls = [f"unix://{tmp_path}/{number}" for number in range(2)]
    fleet = Fleet()
    async with AsyncExitStack() as last, AsyncExitStack() as stack:
        blocks = [await last.enter_async_context(AsyncExitStack()) for _ in urls]
        pids = {(await one.enter_async_context(serving(tmp_path, url))).pid for one, url in zip(blocks, urls, strict=True)}
        peers = [await stack.enter_async_context(penstock.connect(*urls)) for _ in range(CLIENTS)]
        group = await stack.enter_async_context(asyncio.TaskGroup())
        work = [group.create_task(fleet.follow(number, peers[number % CLIENTS])) for number in range(len(fleet.taken))]
        work += [group.create_task(fleet.call(peer)) for peer in peers]
        await fleet.went_on()
        for url, block in zip(urls, blocks, strict=True):
            await block.aclose()
            await fleet.went_on()
            pids.add((await last.enter_async_context(serving(tmp_path, url))).pid)
        await fleet.went_on()
        assert not [task for task in work if task.done()]
        for task in work:
            task.cancel()
    assert len(fleet.pids & pids) >= 3  # both first ones, and one of the second
