"""The npm package ts-rpc itself, under Bun, as a peer and as the relay.

`npm` brings Bun and the package. Where the registry has no such package, a checkout of it can be named: PENSTOCK_TS_RPC=folder.
Skipped only where neither is to be had.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock.errors import Cancelled, ResourceExhausted, Unknown
from penstock.signalrpc import connect
from tests.signalrpc.kit import relayed

pytestmark = [pytest.mark.interop, pytest.mark.processes, pytest.mark.slow]

HERE = Path(__file__).parent / "ts"
PACKAGE = "@jadujoel/ts-rpc"


@pytest.fixture(scope="session")
def bun(tmp_path_factory) -> tuple[str, dict[str, str]]:
    """Return the command `bun`, and the environment in which its programs find ts-rpc and zod."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("ts-rpc")
    checkout = os.environ.get("PENSTOCK_TS_RPC", "")
    wanted = ["bun", "zod@4.3.6"] if checkout else ["bun", PACKAGE]
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--prefix", folder, *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"npm cannot install {' '.join(wanted)}: {done.stderr.strip()[:200]}")
    root = Path(checkout) if checkout else folder / "node_modules" / PACKAGE
    for name in ("peer.ts", "relay.ts"):
        shutil.copy(HERE / name, folder / name)
    if checkout:  # Bun looks for zod beside the file that imports it
        for part in ("lib.ts", "shared", "examples", "api"):
            source, to = root / part, folder / part
            (shutil.copytree(source, to, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, to))
        root = folder
    return str(folder / "node_modules" / ".bin" / "bun"), {**os.environ, "TS_RPC": str(root), "HERE": str(folder)}


@asynccontextmanager
async def running(bun, program: str, *arguments: str) -> AsyncIterator[str]:
    """Run a program; yield its first line."""
    command, environment = bun
    path = Path(environment["HERE"]) / program
    process = await asyncio.create_subprocess_exec(
        command, "run", str(path), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = (await process.stdout.readline()).decode().strip()
        assert line, (await process.stderr.read()).decode()
        yield line
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture(params=["our relay", "their relay"])
async def room(request, bun) -> AsyncIterator[tuple[str, str]]:
    """Yield the URL of a topic with a peer of ts-rpc in it, and the address of that peer."""
    if request.param == "our relay":
        async with relayed() as (_, url), running(bun, "peer.ts", url) as address:
            yield url, address
        return
    if not (Path(bun[1]["TS_RPC"]) / "api").exists():
        pytest.skip("the package on the registry comes without the files that its server needs; name a checkout")
    async with running(bun, "relay.ts") as port:
        url = f"ws://127.0.0.1:{port}/room"
        async with running(bun, "peer.ts", url) as address:
            yield url, address


async def numbers(n, error=None):
    for number in range(n):
        yield number
    if error is not None:
        raise error


async def test_each_side_asks_and_the_other_answers(room):
    url, other = room
    async with connect(url, name="py") as peer:
        response = await peer.request({"method": "echo", "value": [1, "é", None, {"a": 1.5}]})
        assert (response.data, response.from_, response.from_name) == ({"echo": [1, "é", None, {"a": 1.5}]}, other, "bun")
        peer.match(lambda data, from_: {"heard": data, "was": from_} if data == "hello" else None)
        asked = await peer.request({"method": "ask", "value": "hello"}, other)
        assert asked.data == {"heard": "hello", "was": other}


async def test_its_streams_arrive_here_whole_and_with_their_outcome(room):
    url, other = room
    async with connect(url) as peer:
        response = await peer.request({"method": "stream", "n": 500}, other)
        _, source = peer.receive_stream(response.data["streamId"])
        assert [item async for item in source] == list(range(500))
        response = await peer.request({"method": "stream", "n": 2, "error": "sensor broke"}, other)
        _, source = peer.receive_stream(response.data["streamId"])
        assert [await source.receive(), await source.receive()] == [0, 1]
        with pytest.raises(Unknown, match="sensor broke"):
            await source.receive()


async def test_a_receiver_that_comes_late_gets_all_items_or_an_error_and_never_a_part(room):
    url, other = room
    async with connect(url) as peer:
        response = await peer.request({"method": "stream", "n": 1000}, other)
        await peer.request({"method": "echo", "value": 0}, other)  # all frames of the stream have come before this answer
        _, source = peer.receive_stream(response.data["streamId"])
        assert [item async for item in source] == list(range(1000))
        response = await peer.request({"method": "stream", "n": 3000}, other)
        await peer.request({"method": "echo", "value": 0}, other)
        _, source = peer.receive_stream(response.data["streamId"])
        got = []
        with pytest.raises(ResourceExhausted):
            got.extend([await source.receive() for _ in range(3000)])


async def test_our_streams_arrive_there_whole_and_with_their_outcome(room):
    url, other = room
    async with connect(url) as peer:
        collecting = asyncio.create_task(peer.request({"method": "collect", "streamId": "s"}, other, timeout=10))
        await peer.request({"method": "echo", "value": 0}, other)  # it receives before we send
        assert await peer.send_stream(numbers(3000), "s", to=other) == "s"
        assert (await collecting).data == {"items": list(range(3000))}
        collecting = asyncio.create_task(peer.request({"method": "collect", "streamId": "t"}, other, timeout=10))
        await peer.request({"method": "echo", "value": 0}, other)
        with pytest.raises(ResourceExhausted):
            await peer.send_stream(numbers(3, ResourceExhausted("no more paper")), "t", to=other)
        assert (await collecting).data == {"items": [0, 1, 2], "error": "no more paper"}


async def test_a_stream_of_a_handler_is_pulled_there(room):
    url, other = room
    async with connect(url) as peer:

        def handler(data, from_):
            if isinstance(data, dict) and data["method"] == "stream":
                return {"streamId": peer.send_stream(numbers(data["n"])).id}
            return None

        peer.match(handler)
        assert (await peer.request({"method": "pull", "n": 90}, other)).data == {"sum": 4005}


async def test_a_stream_that_it_aborts_is_cancelled_here(room):
    url, other = room
    async with connect(url) as peer:
        response = await peer.request({"method": "slow", "n": 1_000_000}, other)
        stream_id = response.data["streamId"]
        _, source = peer.receive_stream(stream_id)
        assert await source.receive() == 0
        await peer.request({"method": "abort", "streamId": stream_id}, other)
        with pytest.raises(Cancelled, match="Stream aborted"):
            async for _ in source:
                pass


async def test_between_two_of_ours_demand_and_cancel_pass_through_their_relay(bun):
    if not (Path(bun[1]["TS_RPC"]) / "api").exists():
        pytest.skip("the package on the registry comes without the files that its server needs; name a checkout")
    made, closed = 0, asyncio.Event()

    async def endless():
        nonlocal made
        try:
            while True:
                made += 1
                yield made
        finally:
            closed.set()

    async with running(bun, "relay.ts") as port:
        url = f"ws://127.0.0.1:{port}/room"
        async with connect(url) as reader, connect(url) as sender:
            sender.match(lambda data, _: {"streamId": sender.send_stream(endless()).id})
            response = await reader.request({"method": "stream"})
            _, source = reader.receive_stream(response.data["streamId"], buffer_size=8)
            assert [await source.receive() for _ in range(20)] == list(range(1, 21))
            await asyncio.sleep(0.1)
            assert made <= 28
            await source.aclose()
            await closed.wait()
