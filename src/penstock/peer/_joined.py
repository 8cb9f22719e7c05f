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
from penstock.errors import FailedPrecondition, PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable
from penstock.peer._peer import Peer
from penstock.protocol import Settings
from penstock.session import LastingSession
from penstock.transports import memory_links

#: Clients of one face with credentials of their own, at most: each has a connection within the process, of some 100 KiB. One
#: that has no call open makes room for the next.
CLIENTS_MAX: Final = 1024
#: Seconds after which the token of a client is proven again: a request is a new connection, for those who take tokens back.
PROVEN_S: Final = 10.0


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


class _Joined:
    """One of the peers.

    users: requests that have it. proven_s: when its token was last proven, a time of the loop's clock. gone: it was closed.
    """

    __slots__ = ("gone", "peer", "proven_s", "stack", "users")

    def __init__(self, peer: Peer, stack: AsyncExitStack, proven_s: float) -> None:
        self.peer = peer
        self.stack = stack
        self.proven_s = proven_s
        self.users = 0
        self.gone = False

    @property
    def idle(self) -> bool:
        """Whether no request has it, and no call is open."""
        return not self.users and not self.peer._scope.session.stream_count


class JoinedPeers:
    """The peers of one face: one for all its clients or, at a server that proves them, one for each of their tokens.

    new_session: makes the server's side of a connection, a `LastingSession`, as for a listener.

    `proves`: whether the server proves its clients; None before the first connection.
    """

    def __init__(self, new_session: Callable[[], Any], settings: Settings, url: str) -> None:
        self._new_session = new_session
        self._settings = settings
        self._url = url
        self._peers: OrderedDict[str, _Joined] = OrderedDict()
        self._joining: dict[str, asyncio.Task[_Joined]] = {}
        self.proves: bool | None = None
        self._closing = False

    @asynccontextmanager
    async def use(self, token: str) -> AsyncIterator[Peer]:
        """Return the peer of the clients with this token, made at the first use, and anew when its connection has ended.

        It stays for the block, and as long as a call is open. A token is proven again every `PROVEN_S`: one that was taken back
        is refused, and what is open for it ends.

        Raises `Unauthenticated` for a token that is not accepted, `ResourceExhausted` when too many others have calls open,
        `Unavailable` when the face closes. Safe to cancel.
        """
        while (known := await self._get("" if self.proves is False else token, token)).gone:
            pass  # it made room for another one, before this task had its turn
        known.users += 1
        try:
            yield known.peer
        finally:
            known.users -= 1

    async def _get(self, key: str, token: str) -> _Joined:
        loop = asyncio.get_running_loop()
        known = self._peers.get(key)
        if known is not None and known.peer.state != "closed":
            self._peers.move_to_end(key)
            if not self.proves or loop.time() - known.proven_s < PROVEN_S:
                return known
        joining = self._joining.get(key)
        if joining is None:
            if len(self._joining) >= CLIENTS_MAX:
                raise _too_many("are being proven")
            joining = self._joining[key] = loop.create_task(self._join(key, token), context=Context())
            joining.add_done_callback(partial(self._has_joined, key))
        return await asyncio.shield(joining)

    def _has_joined(self, key: str, joining: asyncio.Task[_Joined]) -> None:
        del self._joining[key]
        if not joining.cancelled():
            joining.exception()  # mark it as retrieved: its waiters may have left

    async def _join(self, key: str, token: str) -> _Joined:
        known = self._peers.get(key)
        if known is not None and await self._proven_again(known, token):
            return known
        await self._close(key)
        if self._closing:
            raise Unavailable("this server is shutting down")
        session: LastingSession = self._new_session()
        stack = AsyncExitStack()
        peer = await stack.enter_async_context(joined(session, self._settings, self._url, token))
        self.proves = session.proof.principal is not None
        key = key if self.proves else ""
        try:
            if key in self._peers:  # of another token, at a server that proves none
                await stack.aclose()
                return self._peers[key]
            await self._make_room()  # a token that is not accepted takes the place of none
        except BaseException:
            await stack.aclose()
            raise
        made = self._peers[key] = _Joined(peer, stack, session.loop.time())
        return made

    async def _proven_again(self, known: _Joined, token: str) -> bool:
        """Return whether a peer holds on. Raises the error of a server that cannot decide now."""
        if known.peer.state == "closed":
            return False
        try:
            await known.peer.call("Penstock/authenticate", token)
        except (Unauthenticated, PermissionDenied, FailedPrecondition):
            return False  # the error is that of a new connection
        known.proven_s = known.peer._scope.session.loop.time()
        return True

    async def _make_room(self) -> None:
        while len(self._peers) >= CLIENTS_MAX:
            idle = next((key for key, known in self._peers.items() if known.idle), None)
            if idle is None:
                raise _too_many("have calls open")
            await self._close(idle)

    async def _close(self, key: str) -> None:
        known = self._peers.pop(key, None)
        if known is not None:
            known.gone = True
            await known.stack.aclose()

    async def aclose(self) -> None:
        """Close all of them, and make no more. Idempotent."""
        self._closing = True
        if self._joining:
            await asyncio.wait([*self._joining.values()])
        for key in tuple(self._peers):
            await self._close(key)


def _too_many(why: str) -> ResourceExhausted:
    return ResourceExhausted(f"{CLIENTS_MAX} clients with credentials of their own {why} here", started=False)
