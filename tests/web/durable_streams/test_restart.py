"""Nothing is lost and nothing doubled when the server is killed and started again, for writers and for live readers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.house._source import ROOT
from tests.web.durable_streams.kit import JSON, live
from tests.web.durable_streams.npm import installed, node

COUNT = 300
pytestmark = [pytest.mark.processes, pytest.mark.slow]


class Site:
    """The server, which listens at the same address after each start."""

    def __init__(self, file: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1/stream"
        self._file = file
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.web.durable_streams.site",
            str(self.port),
            str(self._file),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


@pytest.fixture
async def server(tmp_path):
    server = Site(tmp_path / "streams.db")
    await server.start()
    yield server
    await server.kill()


@asynccontextmanager
async def client_of(server: Site):
    """A client that waits until the server is there."""
    async with httpx.AsyncClient(base_url=server.url, timeout=10, verify=False) as client:
        await again(lambda: client.get("/none"))
        yield client


async def again(request):
    """Make a request until there is an answer."""
    while True:
        try:
            return await request()
        except httpx.TransportError:
            await asyncio.sleep(0.05)


async def write(client: httpx.AsyncClient, written: asyncio.Queue[int]) -> None:
    """Append the numbers below `COUNT`, each again until it is acknowledged, and close the stream."""
    for number in range(COUNT):
        headers = {**JSON, "producer-id": "w", "producer-epoch": "0", "producer-seq": str(number)}
        if number == COUNT - 1:
            headers["stream-closed"] = "true"
        answer = await again(
            lambda headers=headers, number=number: client.post("/s", headers=headers, content=str(number).encode())
        )
        assert answer.status_code in {200, 204}, answer.text
        written.put_nowait(number)


async def read(client: httpx.AsyncClient) -> list[int]:
    """Follow the stream to its end, as an `EventSource` does."""
    items: list[int] = []
    last = ""
    while True:
        try:
            async with live(client, "/s?offset=-1&live=sse", **({"last_event_id": last} if last else {})) as events:
                async for event, data, at in events:
                    items += json.loads(data) if event == "data" else []
                    last = at
                    if event == "control" and json.loads(data).get("streamClosed"):
                        return items
        except httpx.TransportError:
            await asyncio.sleep(0.05)


@pytest.mark.interop
async def test_writers_and_live_readers_go_on_when_the_server_is_killed_and_started_again(server):
    await installed()
    async with client_of(server) as client, asyncio.timeout(50):
        await client.put("/s", headers=JSON)
        in_typescript = asyncio.create_task(node("peer.mjs", "follow", f"{server.url}/s", "-1", "sse"))
        written: asyncio.Queue[int] = asyncio.Queue()
        writing, reading = asyncio.create_task(write(client, written)), asyncio.create_task(read(client))
        for _ in range(COUNT // 2):
            await written.get()
        await server.kill()
        await server.start()
        await writing
        assert await reading == list(range(COUNT))
        code, said = await in_typescript
        assert code == 0, said
        assert list(map(int, said.splitlines()[:-1])) == list(range(COUNT))
