"""`JoinedPeers`: peers without a socket, for a face of a server that makes the calls of others."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from functools import partial
from typing import Any, Final

from penstock.calls import Dispatcher
from penstock.errors import ResourceExhausted, Unavailable
from penstock.peer._peer import Peer
from penstock.protocol import Settings
from penstock.session import LastingSession
from penstock.transports import memory_links

#: Clients of one face with credentials of their own, at most: each has a connection within the process, of some 100 KiB. One
#: that has no call open makes room for the next.
CLIENTS_MAX: Final = 1024


@asynccontextmanager
async def joined(session_of_server: LastingSession, settings: Settings, url: str, token: str = "") -> AsyncIterator[Peer]:
    """Connect to a server of this event loop, as `connect` does, and return it as a peer.

    session_of_server: the server's side of the connection. url: the address that both sides have of each other.

    Raises `Unavailable` for a server that is closing, `Unauthenticated` for a token that it does not accept. Leaving the block
    closes the connection.
    """
    peer = Peer("client", settings, Dispatcher([], (), expose_errors=False), ())
    session = peer._sessions.now
    try:
        session.proof.show(token)
        memory_links(session, session_of_server, url=url)
        await session.wait_up()
        yield peer
    finally:
        await peer.aclose()


class JoinedPeers:
    """The peers of one face: one for all its clients or, at a server that proves them, one for each of their tokens.

    new_session: makes the server's side of a connection, a `LastingSession`, as for a listener.

    `proves`: whether the server proves its clients; None before the first connection.
    """

    def __init__(self, new_session: Callable[[], Any], settings: Settings, url: str) -> None:
        self._new_session = new_session
        self._settings = settings
        self._url = url
        self._peers: OrderedDict[str, tuple[Peer, AsyncExitStack]] = OrderedDict()
        self._joining: dict[str, asyncio.Task[Peer]] = {}
        self.proves: bool | None = None
        self._closing = False

    async def get(self, token: str) -> Peer:
        """Return the peer of the clients with this token, made at the first use, and anew when its connection has ended.

        Raises `Unauthenticated` for a token that is not accepted, `ResourceExhausted` when too many others have calls open,
        `Unavailable` when the face closes. Safe to cancel.
        """
        key = "" if self.proves is False else token
        known = self._peers.get(key)
        if known is not None and known[0].state != "closed":
            self._peers.move_to_end(key)
            return known[0]
        joining = self._joining.get(key)
        if joining is None:
            work = self._join(key, token)
            joining = self._joining[key] = asyncio.get_running_loop().create_task(work, context=Context())
            joining.add_done_callback(partial(self._has_joined, key))
        return await asyncio.shield(joining)

    def _has_joined(self, key: str, joining: asyncio.Task[Peer]) -> None:
        del self._joining[key]
        if not joining.cancelled():
            joining.exception()  # mark it as retrieved: its waiters may have left

    async def _join(self, key: str, token: str) -> Peer:
        await self._close(key)
        await self._make_room()
        if self._closing:
            raise Unavailable("this server is shutting down")
        session: LastingSession = self._new_session()
        stack = AsyncExitStack()
        peer = await stack.enter_async_context(joined(session, self._settings, self._url, token))
        self.proves = session.proof.principal is not None
        self._peers[key if self.proves else ""] = peer, stack
        return peer

    async def _make_room(self) -> None:
        if len(self._peers) >= CLIENTS_MAX:
            idle = next((key for key, (peer, _) in self._peers.items() if not peer._scope.session.stream_count), None)
            if idle is None:
                raise ResourceExhausted(
                    f"{CLIENTS_MAX} clients with credentials of their own have calls open here", started=False
                )
            await self._close(idle)

    async def _close(self, key: str) -> None:
        known = self._peers.pop(key, None)
        if known is not None:
            await known[1].aclose()

    async def aclose(self) -> None:
        """Close all of them, and make no more. Idempotent."""
        self._closing = True
        if self._joining:
            await asyncio.wait([*self._joining.values()])
        for key in tuple(self._peers):
            await self._close(key)
