"""Two ends of channels, wherever they live: in one process, over memory, a simulated network, or TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from penstock.channel import Channel, accept_channel, local_channel, open_channel
from penstock.errors import StatusError
from penstock.protocol import Settings, Status
from penstock.session import Endpoint, Session, StreamHandle
from penstock.testing import SimulatedNetwork, memory_pair
from penstock.transports import dial, listen
from tests.session.kit import held_for_peer

URLS = {"sim": "sim://alice@server", "tcp": "tcp://127.0.0.1:0"}


class World:
    """A place where channels are opened; `incoming` are those that were opened to the far side, not yet answered."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.incoming: asyncio.Queue[Channel[Any]] = asyncio.Queue()
        self.client: Session | None = None
        self.server: Session | None = None
        self.network: SimulatedNetwork | None = None
        self.accept_options: dict[str, Any] = {}

    def session(self, role: str) -> Session:
        return Session(role, Settings(), self._take)

    def _take(self, stream: StreamHandle) -> None:
        try:
            self.incoming.put_nowait(accept_channel(stream, **self.accept_options))
        except StatusError as error:
            stream.fail(error)

    async def open(self, payload: Any = None, *, initiator: str = "producer", **options: Any) -> Channel[Any]:
        """Open a channel to "consumer". The test takes the other end from `incoming` and answers it."""
        if self.client is not None:
            return await open_channel(self.client, "/consumer!channel", payload, initiator=initiator, **options)
        timeout, observer = options.pop("timeout", 30.0), options.pop("observer", None)
        sizes = {"accept_buffer_size": self.accept_options["buffer_size"]} if self.accept_options else {}
        opener, acceptor = local_channel(initiator, "consumer", payload, **options, **sizes)
        self.incoming.put_nowait(acceptor)
        del acceptor
        if observer is not None:
            opener.observe(observer)
        await opener.wait_opened(timeout)
        return opener

    async def pair(self, payload: Any = None, accepted: Any = None, **options: Any) -> tuple[Channel[Any], Channel[Any]]:
        """Open and accept a channel."""
        opening = asyncio.ensure_future(self.open(payload, **options))
        acceptor = await self.incoming.get()
        await acceptor.accept(accepted)
        return await opening, acceptor

    def check_empty(self) -> None:
        """Check that no channel has left a stream, bytes or a waiting sink behind in either session."""
        for session in (self.client, self.server):
            if session is not None and session.lost is None:
                assert not session._connection.streams.all()
                assert held_for_peer(session) == 0
                assert not session.waiting_sinks


@asynccontextmanager
async def worlds(place: str) -> AsyncIterator[World]:
    """Make a place of this kind."""
    world = World(place)
    if place == "local":
        yield world
        return
    world.client, world.server = world.session("client"), world.session("server")
    if place == "memory":
        memory_pair(world.client, world.server)
        async with _closing(world):
            yield world
    elif place == "sim":
        with SimulatedNetwork(7, latency_s=(0.001, 0.003), split=0.3) as world.network:
            async with _dialled(world, URLS[place]):
                yield world
    else:
        async with _dialled(world, URLS[place]):
            yield world


@asynccontextmanager
async def _dialled(world: World, url: str) -> AsyncIterator[None]:
    listener = await listen(url, lambda: world.server)
    await dial("sim://alice@server" if world.place == "sim" else listener.url, world.client)
    async with _closing(world):
        yield
    await listener.aclose()


@asynccontextmanager
async def _closing(world: World) -> AsyncIterator[None]:
    await world.client.ready
    await world.server.ready
    yield
    world.client.close()
    world.server.close()
    await asyncio.wait([world.client.closed, world.server.closed])


async def settle() -> None:
    """Return when all frames that are on their way have arrived; it needs the virtual clock."""
    await asyncio.sleep(0.1)


async def drained(channel: Channel[Any]) -> tuple[list[Any], Exception | None]:
    """Receive to the end; return the messages, and the error with which the channel failed, if it did."""
    found: list[Any] = []
    try:
        async for message in channel:
            found.append(message)  # noqa: PERF401 - what came before a failure counts
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return found, error
    return found, None


class Told(Endpoint):
    """An endpoint that keeps how its call ended."""

    def __init__(self) -> None:
        self.seen: list[Status | None] = []

    def on_ended(self, status: Status | None) -> None:
        self.seen.append(status)
