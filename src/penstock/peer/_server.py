"""`serve` and `connect`: from a URL to peers. This module never looks into a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from penstock.actors import ActorSystem
from penstock.calls import Dispatcher, Interceptor
from penstock.errors import Cause, Unavailable
from penstock.peer._peer import Peer
from penstock.peer._reflection import Reflection
from penstock.protocol import Settings
from penstock.refs import CLAIMS
from penstock.remote import arrive
from penstock.session import Session
from penstock.transports import TLS, Listener, dial, listen

#: How long a server that closes lets its calls go on.
GRACE_S: Final = 1.0


class Server:
    """Services that can be called at `urls`. Made by `serve`."""

    def __init__(self, dispatcher: Dispatcher, settings: Settings) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._listeners: list[Listener] = []
        self._closed = asyncio.Event()
        self.peers: set[Peer] = set()

    @property
    def urls(self) -> list[str]:
        """Where it can be called, with real port numbers."""
        return [listener.url for listener in self._listeners]

    async def listen(self, url: str, tls: TLS | None) -> None:
        """Listen at one more URL."""
        self._listeners.append(await listen(url, self._take, tls=tls))

    @property
    def busy(self) -> int:
        """How many peers have a call that is still going on."""
        return sum(peer._scope.busy for peer in self.peers)

    async def wait_closed(self) -> None:
        """Wait until the server is closed. Safe to cancel."""
        await self._closed.wait()

    async def begin_drain(self) -> None:
        """Let nobody new in and take no new calls; tell peers, handlers and iterators. `aclose` does the rest. Idempotent."""
        for listener in self._listeners:
            await listener.aclose()
        for peer in set(self.peers):
            peer._scope.begin_drain()

    async def aclose(self, grace_s: float = GRACE_S) -> bool:
        """Drain and close: no new connections, no new calls; calls that run have `grace_s` seconds, then they are cancelled.

        Peers, handlers and iterators are told at once (`CallInfo.draining`). Return whether every call ended by itself.
        Idempotent. Cancelling it cuts the grace short.
        """
        late: set[asyncio.Task[None]] = set()
        try:
            await self.begin_drain()
            busy = [asyncio.ensure_future(peer._scope.wait_idle()) for peer in set(self.peers) if peer._scope.busy]
            if busy:
                _done, late = await asyncio.wait(busy, timeout=grace_s)
                for waiting in late:
                    waiting.cancel()
                await asyncio.gather(*late, return_exceptions=True)
        finally:
            await asyncio.gather(*(peer.aclose() for peer in set(self.peers)))
            self._listeners.clear()
            self._closed.set()
        return not late

    def _take(self) -> Session:
        """A link arrives."""
        peer = Peer("server", self._settings, self._dispatcher, ())
        peer._scope.on_gone = lambda: self.peers.discard(peer)
        self.peers.add(peer)
        return peer._scope.session

    def __repr__(self) -> str:
        return f"<Server {', '.join(self.urls) or 'closed'}, {len(self.peers)} peers>"


def _dispatcher(services: Sequence[object], interceptors: Sequence[Interceptor], *, expose_errors: bool) -> Dispatcher:
    """Make the dispatcher of one side: its services, its actors, and what every side serves by itself."""
    systems = [one for one in services if isinstance(one, ActorSystem)]
    if len(systems) > 1:
        raise TypeError(f"{len(systems)} actor systems are served, where one side has one: serve one, or bridge them by prefix")
    system = systems[0] if systems else None
    others = [one for one in services if not isinstance(one, ActorSystem)]
    arriving = None if system is None else partial(arrive, system._host)
    return Dispatcher(others, interceptors, expose_errors=expose_errors, arrive=arriving, built_in=(CLAIMS,))


@asynccontextmanager
async def serve(
    *services: object,
    listen: str | Sequence[str],
    tls: TLS | None = None,
    settings: Settings | None = None,
    interceptors: Sequence[Interceptor] = (),
    expose_errors: bool = False,
) -> AsyncIterator[Server]:
    """Serve objects: their public async methods can be called at `listen`, a URL or several.

    URLs: ``memory://name``, ``tcp://host:port`` (port 0 takes a free one), ``tls://host:port`` with `tls`, ``unix:///path``.
    `interceptors` go around every call, the first one outermost. `expose_errors` sends the text of unexpected errors to the
    caller: for development only. Leaving the block drains: calls that run have `GRACE_S` seconds.

    Raises `TypeError` for a service whose types cannot travel, naming method and parameter, `Unavailable` for an address that
    cannot be used, `InvalidArgument` for a URL that cannot be read. Cancelling it closes the server.
    """
    chosen = settings or Settings()
    reflection = Reflection()
    dispatcher = _dispatcher([*services, reflection], interceptors, expose_errors=expose_errors)
    reflection.describes = [service for service, _object in dispatcher.services]
    server = Server(dispatcher, chosen)
    try:
        for url in [listen] if isinstance(listen, str) or not isinstance(listen, Iterable) else listen:
            await server.listen(url, tls)
        yield server
    finally:
        await server.aclose()


@asynccontextmanager
async def connect(
    url: str,
    *,
    services: Sequence[object] = (),
    tls: TLS | None = None,
    settings: Settings | None = None,
    interceptors: Sequence[Interceptor] = (),
    timeout: float = 10.0,
) -> AsyncIterator[Peer]:
    """Connect to a server and return it as a `Peer`; leaving the block cancels what still runs and closes.

    `services` are what the peer can call on this side. `interceptors` go around every call this side makes. `timeout`
    is for the
    connection and the handshake, in seconds. Raises `Unavailable` when nobody answers there, `InvalidArgument` for a URL that
    cannot be read. Cancelling it closes the connection.
    """
    dispatcher = _dispatcher(services, (), expose_errors=False)
    peer = Peer("client", settings or Settings(), dispatcher, interceptors)
    try:
        await dial(url, peer._scope.session, tls=tls, timeout_s=timeout)
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(peer._scope.session.ready)
        except TimeoutError:
            raise Unavailable(
                f"{url} took the connection but did not say HELLO within {timeout:g} s", cause=Cause.TIMED_OUT, started=False
            ) from None
        yield peer
    finally:
        await peer.aclose()
