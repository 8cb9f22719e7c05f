"""Streams over real TCP through a proxy that cuts the connection again and again: every stream's running hash is right."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Iterator
from typing import Self

import penstock

STREAMS = 10
ITEMS = 400
AT_ONCE = penstock.Reconnect(first_s=0.005, max_s=0.05)


class Proxy:
    """Carries bytes between clients and the server at `port`, until it cuts all connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, server = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, server}
        await asyncio.gather(self._copy(reader, server), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)

    def cut(self) -> None:
        """Cut every connection, with a reset."""
        self.cuts += len(self._writers) // 2
        for writer in tuple(self._writers):
            writer.transport.abort()


def payloads(seed: int) -> Iterator[bytes]:
    draw = random.Random(seed)
    for number in range(ITEMS):
        yield number.to_bytes(4, "big") * draw.choice([1, 5, 300, 8000])


class Depot:
    """Streams both ways."""

    async def load(self, seed: int) -> AsyncIterator[bytes]:
        for payload in payloads(seed):
            yield payload

    async def store(self, payloads: AsyncIterator[bytes]) -> str:
        digest = hashlib.sha256()
        async for payload in payloads:
            digest.update(payload)
        return digest.hexdigest()


def digest_of(seed: int) -> str:
    digest = hashlib.sha256()
    for payload in payloads(seed):
        digest.update(payload)
    return digest.hexdigest()


async def test_every_stream_is_whole_through_a_proxy_that_cuts_again_and_again():
    async with (
        penstock.serve(Depot(), listen="tcp://127.0.0.1:0") as server,
        Proxy(int(server.urls[0].rpartition(":")[2])) as proxy,
        penstock.connect(proxy.url, reconnect=AT_ONCE) as peer,
    ):
        depot = peer.service(Depot)
        await peer.call("Penstock/describe")

        async def load(seed: int) -> str:
            digest = hashlib.sha256()
            async for payload in depot.load(seed):
                digest.update(payload)
            return digest.hexdigest()

        async def cut_on() -> None:
            while True:
                await asyncio.sleep(random.uniform(0.02, 0.1))
                proxy.cut()

        cutting = asyncio.create_task(cut_on())
        got = await asyncio.gather(
            *(load(seed) for seed in range(STREAMS)), *(depot.store(payloads(seed)) for seed in range(STREAMS))
        )
        cutting.cancel()
        assert got == [digest_of(seed) for seed in range(STREAMS)] * 2
        assert proxy.cuts >= 3
        assert len(server.peers) == 1
