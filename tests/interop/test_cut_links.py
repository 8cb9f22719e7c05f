"""Streams over real TCP through a proxy that cuts the connection again and again: every stream's running hash is right."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Iterator

import penstock
from tests.interop.proxy import AT_ONCE, Proxy, port_of

STREAMS = 10
ITEMS = 400


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
        Proxy(port_of(server)) as proxy,
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
