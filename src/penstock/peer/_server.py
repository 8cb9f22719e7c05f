"""`serve` and `connect`: from a URL to peers, and `Server`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from functools import partial
from threading import get_ident
from typing import Any, Final, cast

from penstock.actors import ActorSystem
from penstock.actors.cell import handling
from penstock.auth import Authenticator, Authorize
from penstock.calls import Dispatcher, Interceptor, context
from penstock.errors import Cause, FailedPrecondition, ResourceExhausted, Unauthenticated, Unavailable
from penstock.peer._block import block
from penstock.peer._credentials import Admission, Authentication, Renewal, Token, admission_of, token_now
from penstock.peer._first import first_to_answer
from penstock.peer._peer import Peer
from penstock.peer._reconnect import RECONNECT, Reconnect, Reconnector
from penstock.peer._reflection import Reflection
from penstock.protocol import Hello, Settings
from penstock.refs import CLAIMS
from penstock.remote import find_handler
from penstock.retention import FOLLOWING
from penstock.service import exposed
from penstock.session import LastingSession, Session
from penstock.streams import check_thread, checked_seconds
from penstock.transports import TLS, Listener, dial, listen, tls_of_each

#: Seconds that the open calls of a closing server may go on, by default.
GRACE_S: Final = 1.0


class Server:
    """A server and its connections. Made by `serve`, whose block closes it.

    peers: the clients that are connected now.
    """

    def __init__(self, dispatcher: Dispatcher, settings: Settings, admission: Admission | None = None) -> None:
        self._dispatcher = dispatcher
        self._admission = admission
        self._settings = settings
        self._listeners: list[Listener] = []
        self._leaving: list[Listener] = []
        self._closed = asyncio.Event()
        self._draining = False
        self._kept = LastingSession.table(settings)
        self._thread = get_ident()
        self._connected = 0  # clients that are taken, and not gone
        self.peers: set[Peer] = set()

    @property
    def urls(self) -> list[str]:
        """The URLs at which the services can be called, with the port numbers that port 0 stood for. Empty when closed."""
        return [listener.url for listener in self._listeners]

    async def listen(self, *urls: str, tls: TLS | None = None) -> None:
        """Listen at more URLs, in their order. `Server.urls` has them afterwards.

        urls: as for `serve`.
        tls: the certificate for the ``tls://`` URLs; None without one.

        Raises `Unavailable` for an address that cannot be used and after `begin_drain` or `aclose`, `InvalidArgument` for a URL
        that cannot be parsed; the server listens at the URLs before it. So does a cancelled `listen`.
        """
        tls_of = tls_of_each(urls, tls)
        for url in urls:
            if not self._draining:
                await self._listen_at(url, tls_of[url])
            if self._draining:  # also when that began meanwhile
                await self._close_listeners()
                raise Unavailable(f"cannot listen at {url}: this server is shutting down", cause=Cause.DRAINING)

    async def _listen_at(self, url: str, tls: TLS | None) -> None:
        timeout_s, origins = self._settings.handshake_timeout_s, self._settings.origins
        self._listeners.append(await listen(url, self._new_session, tls=tls, timeout_s=timeout_s, origins=origins))

    @property
    def busy(self) -> int:
        """The number of peers with an open call."""
        return sum(peer._scope.busy for peer in self.peers)

    async def wait_closed(self) -> None:
        """Wait until `aclose` has ended: for ever, if no task calls it. Safe to cancel."""
        await self._closed.wait()

    async def begin_drain(self) -> None:
        """Accept no new connections and no new calls. Open calls go on. Idempotent.

        Peers are informed, and handlers see `CallInfo.draining`. Call `aclose` next. Cancelling it leaves some listeners open.
        """
        check_thread(self._thread, self)
        self._draining = True
        await self._close_listeners()
        for peer in set(self.peers):
            peer._scope.begin_drain()

    async def aclose(self, grace_s: float = GRACE_S) -> bool:
        """Drain and close the server: accept nothing new, let open calls end, cancel the rest. Idempotent.

        grace_s: seconds for the open calls to end by themselves, 1.0 by default. Handlers see `CallInfo.draining` at once.
            What was sent into a stream that has ended is a part of its call: it arrives within this time, or not at all.
            Calls that are cancelled have 5 s for their clean-up.

        Return True when every call ended by itself. Cancelling it ends the grace, and the server still closes.

        Raises `FailedPrecondition` in a handler of a call, for which it would wait.
        """
        check_thread(self._thread, self)
        check_outside(self.peers)
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
            await asyncio.gather(self._close_listeners(), *(peer._scope.aclose(deliver_s=0.0) for peer in set(self.peers)))
            await asyncio.gather(*(listener.wait_closed() for listener in self._leaving))
            self._closed.set()
        return not late

    async def _close_listeners(self) -> None:
        while self._listeners:
            self._leaving.append(self._listeners.pop())
            await self._leaving[-1].aclose()

    def _new_session(self) -> Session:
        """Return the session of a peer whose link arrives."""
        keep_s = self._settings.detach_ttl_s
        peer = Peer("server", self._settings, self._dispatcher, (), keep_s=keep_s, kept=self._kept)
        session = peer._sessions.now
        peer._scope.on_gone = lambda: self._forget(peer)
        self.peers.add(peer)
        session.ready.add_done_callback(self._count)
        if self._admission is not None:
            self._admission.watch(session, peer._scope, self._check_room)
        elif self._connected >= self._settings.max_connections:
            session.proof.wait(partial(self._take_or_refuse, session))
        return session

    def _count(self, ready: asyncio.Future[None]) -> None:
        self._connected += _is_connected(ready)

    def _forget(self, peer: Peer) -> None:
        self.peers.discard(peer)
        self._connected -= _is_connected(peer._scope.session.ready)

    def _check_room(self, hello: Hello) -> None:
        """Raise `ResourceExhausted` for a client that is one too many, unless it comes back to its session."""
        most = self._settings.max_connections
        if self._connected >= most and not self._kept.has(hello.token):
            raise ResourceExhausted(f"this server has {most} clients, as many as it takes (max_connections)", started=False)

    def _take_or_refuse(self, session: LastingSession, hello: Hello) -> None:
        try:
            self._check_room(hello)
        except ResourceExhausted as error:
            session.proof.refuse(error)
        else:
            session.proof.greet()

    def __repr__(self) -> str:
        return f"<Server {', '.join(self.urls) or 'closed'}, {len(self.peers)} peers>"


def _is_connected(ready: asyncio.Future[None]) -> bool:
    """Return whether the client of a session was taken."""
    return ready.done() and not ready.cancelled() and ready.exception() is None


def check_outside(peers: Collection[Peer]) -> None:
    """Raise `FailedPrecondition` in the handler of a call of one of these peers: the end of their server waits for it."""
    task, message = asyncio.current_task(), handling.get()
    in_actor = message is not None and message.cell.task is task and context().peer in peers
    if in_actor or any(task in peer._scope.tasks for peer in peers):
        raise FailedPrecondition(
            "closing a server waits for its handlers, and this is one of them: set an event that the program waits for, or "
            "close it in a task of its own, and return"
        )


def _dispatcher(
    services: Sequence[object],
    interceptors: Sequence[Interceptor],
    *,
    expose_errors: bool,
    admission: Admission | None = None,
) -> Dispatcher:
    """Return the dispatcher of one side: its services, its actors, and the claims of refs."""
    systems = [service for service in services if isinstance(service, ActorSystem)]
    if len(systems) > 1:
        raise TypeError(f"{len(systems)} actor systems are served, where one side has one: serve one, or bridge them by prefix")
    system = systems[0] if systems else None
    others = [service for service in services if not isinstance(service, ActorSystem)]
    find_actor = None if system is None else partial(find_handler, system._host)
    built_in = (CLAIMS, FOLLOWING, *(() if admission is None else (Authentication(admission),)))
    return Dispatcher(others, interceptors, expose_errors=expose_errors, find_actor=find_actor, built_in=built_in)


@block
async def serve(  # noqa: PLR0913 - each is a decision of the program that serves
    *services: object,
    listen: str | Sequence[str],
    as_: type[Any] | None = None,
    expose: Sequence[str] = (),
    tls: TLS | None = None,
    settings: Settings | None = None,
    interceptors: Sequence[Interceptor] = (),
    expose_errors: bool = False,
    authenticate: Authenticator | None = None,
    authorize: Authorize | None = None,
) -> AsyncIterator[Server]:
    """Serve objects: their public async methods can be called at `listen`.

    The block of ``async with serve(...) as server`` is the life of the server.

    services: the objects; their classes are the schema. An `ActorSystem` among them serves its actors.
    as_: the interface of the one service: a `Protocol`, an abstract class or any other class. Callers see its name, its methods
        and its types, and import it alone. By default, the class of the service.
    expose: the names of the methods of the one service that can be called; by default all public async ones. Of several
        services, `exposed` says both for each.
    listen: a URL or several: ``memory://name``, ``tcp://host:port`` (port 0 takes a free one), ``tls://host:port`` with `tls`,
        ``unix:///path``, ``ws://host:port/path`` or ``wss://`` for browsers, too (`Settings.origins`). ``tcp://[::]:port``
        listens at all addresses, IPv6 and IPv4; ``tcp://0.0.0.0:port`` at those of IPv4.
    tls: the certificate for the ``tls://`` and ``wss://`` URLs.
    settings: limits, windows and keep-alive of each connection; ``Settings()`` by default.
    interceptors: entered around every call of a peer, the first one outermost; none by default.
    expose_errors: whether callers get the text of unexpected errors; False by default. Use it in development only.
    authenticate: returns the `auth.Principal` of a client by its credentials: an authenticator of `penstock.auth`, or an async
        function. A client that is not known gets `Unauthenticated`. None, the default, takes every client.
    authorize: the rights of principals: an `auth.Access` table, or a function of principal, target and verb. With
        `authenticate` alone, a client may do everything but stop actors and retained streams.

    Raises `TypeError` for a service with a type or method that cannot be served, naming it, and for `authorize` without
    `authenticate`; `Unavailable` for an address that cannot be used; `InvalidArgument` for a URL that cannot be parsed. Leaving
    the block, also by cancelling it, drains and closes the server: open calls have 1 s (`Server.aclose`). Call
    ``await server.wait_closed()`` to serve for ever.
    """
    reflection = Reflection()
    if as_ is not None or expose:
        if len(services) != 1:
            raise TypeError(f"as_ and expose are for one service, and {len(services)} are given; use penstock.exposed for each")
        services = (exposed(services[0], *expose, as_=as_),)
    admission = admission_of(authenticate, authorize)
    dispatcher = _dispatcher([*services, reflection], interceptors, expose_errors=expose_errors, admission=admission)
    reflection.describes = [one.schema for one in dispatcher.services]
    server = Server(dispatcher, settings or Settings(), admission)
    try:
        urls = [listen] if isinstance(listen, str) or not isinstance(listen, Iterable) else [*listen]
        await server.listen(*urls, tls=tls)
        yield server
    finally:
        await server.aclose()


@block
async def connect(
    *urls: str,
    services: Sequence[object] = (),
    tls: TLS | None = None,
    settings: Settings | None = None,
    interceptors: Sequence[Interceptor] = (),
    timeout: float = 10.0,
    reconnect: Reconnect | None = RECONNECT,
    token: Token = "",
) -> AsyncIterator[Peer]:
    """Connect to a server, and return it as a `Peer`.

    The block of ``async with connect(url) as peer`` is the life of the connection.

    urls: one or several, as for `serve`: ``memory://name``, ``tcp://host:port``, ``tls://host:port``, ``unix:///path``,
        ``ws://host/path``, ``wss://host/path``. Of several the first that answers is taken: they are tried in this order, the
        next one as soon as those before it have failed, or 1 s later beside them.
    services: the objects of this side that the peer can call; none by default. An `ActorSystem` serves its actors.
    tls: the certificates that this side trusts, for ``tls://`` and ``wss://`` URLs.
    settings: limits, windows and keep-alive of the connection; ``Settings()`` by default.
    interceptors: entered around every call of this side, the first one outermost; none by default.
    timeout: seconds for the connection to each URL, again for its handshake, and for the `token` function; 10 by default.
    reconnect: how a connection that is lost is made again; by default ``Reconnect()``, which tries until the block ends.
        Everything that runs over it goes on exactly where it was, both ways. New calls wait until it has been lost for
        `Settings.detach_ttl_s` (30 s), then they raise `Unavailable` at once. None: the loss is the end, and all calls raise
        `ConnectionLost`.
    token: shown to the server, which may want to know its clients. A function, async or not, is called for each connection,
        and again before the server takes its last token no longer: the connection goes on. Anyone on the way can read a token
        that travels over ``tcp://``, ``ws://`` or ``http://``.

    Raises `Unauthenticated` when the server does not accept the credentials of this side, `Unavailable` when no server answers
    in time, `InvalidArgument` for a URL that cannot be parsed, `TypeError` for a service with a type that cannot travel,
    `ValueError` for a `timeout` that is not above zero. Leaving the block, also by cancelling it, delivers what was sent
    through completed refs, cancels the open calls and closes the connection (`Peer.aclose`). Call `Peer.service` next.
    """
    if not urls:
        raise TypeError("connect() takes at least one URL")
    timeout_s = cast("float", checked_seconds("timeout", timeout))
    dispatcher = _dispatcher(services, (), expose_errors=False)
    tls_of = tls_of_each(urls, tls)

    limits = settings or Settings()

    async def reach(url: str) -> Peer:
        peer = Peer(
            "client", limits, dispatcher, interceptors, keep_s=limits.detach_ttl_s if reconnect else 0.0, servers=len(urls)
        )
        try:
            await _shake_hands(peer._sessions.now, url, tls_of[url], timeout_s, token)
        except BaseException as error:
            if isinstance(error, Unavailable | Unauthenticated):
                error.came_from(url)
            await peer.aclose()
            raise
        return peer

    first, *others = urls
    if others:
        peer = await first_to_answer(urls, reach)
    else:
        peer = await reach(first)
    reaches = [partial(_shake_hands, url=url, tls=tls_of[url], timeout_s=timeout_s, token=token) for url in urls]
    at = next((number for number, url in enumerate(urls) if url == peer.remote), 0)
    if reconnect is not None:
        Reconnector(peer._sessions, reconnect, reaches, at, renews=not isinstance(token, str))
    if not isinstance(token, str):
        Renewal(peer._sessions, peer._scope, token)
    try:
        yield peer
    finally:
        await peer.aclose()


async def _shake_hands(session: LastingSession, url: str, tls: TLS | None, timeout_s: float, token: Token) -> None:
    """Connect a session to `url`, and wait until it is ready or goes on. Raises as `connect`. Cancelling it drops the link."""
    if token:
        session.proof.show(await token_now(token, timeout_s))
    await dial(url, session, tls=tls, timeout_s=timeout_s)
    try:
        async with asyncio.timeout(timeout_s):
            await session.wait_up()
    except BaseException as error:
        if isinstance(error, TimeoutError) and _is_up(session):  # both in one turn of the loop, which had stood still
            return
        session.fail_attempt()
        if isinstance(error, TimeoutError):
            raise Unavailable(
                f"{url} took the connection but did not say HELLO within {timeout_s:g} s", cause=Cause.TIMED_OUT, started=False
            ) from None
        raise


def _is_up(session: LastingSession) -> bool:
    """Whether the link of a session carries it."""
    return session.ready.done() and not session.detached and session.lost is None
