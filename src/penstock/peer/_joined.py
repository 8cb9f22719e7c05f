"""`joined`: a peer without a socket, for a face of a server that makes the calls of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from penstock.calls import Dispatcher
from penstock.peer._peer import Peer
from penstock.protocol import Settings
from penstock.transports import Receiver, memory_links


@asynccontextmanager
async def joined(receivers: Callable[[], Receiver], settings: Settings, url: str) -> AsyncIterator[Peer]:
    """Connect to a server of this event loop, as `connect` does, and return it as a peer.

    receivers: makes the server's side of a connection, as for a listener. url: the address that both sides have of each other.

    Raises `Unavailable` for a server that is closing. Leaving the block closes the connection.
    """
    peer = Peer("client", settings, Dispatcher([], (), expose_errors=False), ())
    session = peer._sessions.now
    try:
        memory_links(session, receivers(), url=url)
        await session.wait_up()
        yield peer
    finally:
        await peer.aclose()
