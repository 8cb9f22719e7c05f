"""A server on a simulated network whose client connects again, and the ways to lose it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import penstock
from penstock.errors import ConnectionLost
from penstock.testing import SimulatedNetwork

URL = "sim://client@server"
AGAIN = penstock.Reconnect(first_s=0.01, max_s=0.1)


class Desk:
    """A service whose handlers write down how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def numbers(self, count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                yield number
                await asyncio.sleep(0.1)
        finally:
            self.ended.append("numbers")

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def echo(self, value: int) -> int:
        await asyncio.sleep(0.1)
        return value


@asynccontextmanager
async def served(
    *, reconnect: penstock.Reconnect | None = AGAIN, **settings: float
) -> AsyncIterator[tuple[SimulatedNetwork, Desk, penstock.Server, penstock.Peer]]:
    desk = Desk()
    limits = penstock.Settings(**settings)
    with SimulatedNetwork(seed=1, latency_s=(0.001, 0.002)) as network:
        async with (
            penstock.serve(desk, listen=URL, settings=limits) as server,
            penstock.connect(URL, reconnect=reconnect, settings=limits) as peer,
        ):
            yield network, desk, server, peer


async def connected(peer: penstock.Peer) -> None:
    """Wait until a peer is connected again."""
    async for state in peer.states():
        if state == "connected":
            return


async def restarted(network: SimulatedNetwork, server: penstock.Server) -> None:
    """Let the server forget its sessions, as a restart does, and cut the connections."""
    network.cut()
    await asyncio.sleep(0)
    for session in [*server._kept._tokens]:
        session.end(ConnectionLost("as a restart does"))


async def away(network: SimulatedNetwork, server: penstock.Server) -> float:
    """Let the server be gone, as `kill -9` does, and return the time of the loss. The session is lost, too."""
    for listener in server._listeners:
        await listener.aclose()
    await restarted(network, server)
    return asyncio.get_running_loop().time()
