"""Words of the package ts-rpc 0.0.5, recorded under Bun: our relay against its relay, and its peer against our peer.

`test_ts_rpc.py` talks to the package itself, where it can be had; these conversations are read everywhere.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import serve

from penstock.errors import Unknown
from penstock.signalrpc import connect
from tests.signalrpc.kit import bare, relayed

RECORDED = Path(__file__).parent / "recorded"


def lines(name):
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


async def test_our_relay_answers_as_their_relay_does():
    async with relayed() as (_, url), AsyncExitStack() as stack:
        clients, addresses = {}, {}
        for line in lines("relay"):
            name = line["client"]
            if name not in clients:
                theirs = json.loads(line["heard"])
                clients[name] = client = await stack.enter_async_context(bare(url))
                addresses[name] = client.id
                assert theirs.keys() == client.welcome.keys() - {"flow"}
                continue
            if "said_large" in line:
                large = {"category": "request", "requestId": "4", "data": "x" * line["said_large"]}
                await clients[name].say(large)
                continue
            text = line.get("said") or line["heard"]
            for other, address in addresses.items():
                text = text.replace(f'"{other}"', f'"{address}"')
            if "said" in line:
                await clients[name].say(text)
            else:
                heard, theirs = await clients[name].hear(), json.loads(text)
                if "from" not in theirs:
                    heard.pop("from", None)  # ours says the sender of every message
                assert heard == theirs


@asynccontextmanager
async def their_peer():
    """Play a relay with their peer: each request is answered with what the peer has said to it."""
    answers, said = {}, []
    for line in lines("peer"):
        if "heard" in line:
            said = answers[json.dumps(line["heard"].get("data"), sort_keys=True)] = []
        else:
            said.append(line["said"])

    async def play(socket):
        await socket.send(json.dumps({"category": "welcome", "clientId": "US", "sessionId": "s", "restoredSession": False}))
        async for text in socket:
            message = json.loads(text)
            for answer in answers[json.dumps(message["data"], sort_keys=True)]:
                await socket.send(answer.replace("ASKED", message["requestId"]))

    async with serve(play, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/room"


async def test_our_peer_reads_their_answers_and_their_streams():
    async with their_peer() as url, connect(url, name="py") as peer:
        answer = await peer.request({"method": "echo", "value": [1, "é", None]}, "PEER")
        assert (answer.data, answer.from_, answer.from_name) == ({"echo": [1, "é", None]}, "PEER", "bun")
        answer = await peer.request({"method": "stream", "n": 3}, "PEER")
        _, source = peer.receive_stream(answer.data["streamId"])
        assert [item async for item in source] == [0, 1, 2]
        answer = await peer.request({"method": "stream", "n": 1, "error": "sensor broke"}, "PEER")
        _, source = peer.receive_stream(answer.data["streamId"])
        assert await source.receive() == 0
        with pytest.raises(Unknown, match="sensor broke"):
            await source.receive()


async def test_our_peer_answers_their_request():
    async with their_peer() as url, connect(url, name="py") as peer:
        asked = []
        peer.match(lambda data, from_: asked.append((data, from_)))
        await peer.send({"method": "ask", "value": "hello"}, "PEER")
        await peer.request({"method": "echo", "value": [1, "é", None]}, "PEER")
        assert asked == [("hello", "PEER")]
