"""A node: the actors of a process with listeners, a control service and a history."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from os import PathLike
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from penstock.actors.cell import handling
from penstock.auth import Authenticator, Authorize, rule_of
from penstock.errors import Cause, FailedPrecondition, Unavailable
from penstock.history import History
from penstock.node._base import NodeBase
from penstock.node._control import Control
from penstock.node.watch import Channels, Watch
from penstock.peer import Server, check_outside, serve
from penstock.protocol import Settings
from penstock.service import served
from penstock.transports import TLS, socket_mode
from penstock.web.console import serve_console

#: How long calls and channels may go on when a node closes.
NODE_GRACE_S: Final = 5.0
#: How often a closing node checks whether its actors are still busy.
QUIET_POLL_S: Final = 0.02
#: How long peers may take to receive that their actors stopped, when the grace time is used up.
FAREWELL_S: Final = 1.0
#: The mode of the control socket: only its owner may open it.
_SOCKET_MODE: Final = 0o600
#: The recorded reason of an actor without an end in the history: `kill -9`, or a machine that went down.
_NEVER_STOPPED: Final = "the node ended without stopping it"
#: The schemes whose addresses have a host.
_NETWORK: Final = frozenset({"tcp", "tls", "ws", "wss", "http", "https"})


class Node(NodeBase):
    """An `ActorSystem` with listeners, a history, and a socket for the command `penstock`.

    ::

        async with penstock.Node(listen="tcp://127.0.0.1:7700", history="history.db") as node:
            counter = await node.spawn(Counter, name="counter")
            await node.wait_closed()

    listen: a URL or several. Without `authenticate`, each client there can ask, tell, stream and stop every actor, so these are
    addresses of this machine alone, and Unix sockets that only this user can open. authenticate: returns the `auth.Principal`
    of a client. authorize: says what a principal may do; both as for `serve`. Those to whom it allows ``Penstock.Control/*``
    may use the commands over the network (``penstock --node URL list``). insecure: True to listen anywhere without
    `authenticate`. history: the file to record to, a `History` with options of its own, or None. socket: the path of a Unix
    socket for the commands (``penstock list --socket PATH``), which only this user can open; None for none. name: the name of
    the node. tls: for ``tls://`` URLs. settings: limits of each connection. grace: seconds that calls and channels have to end
    when the node closes. console: where the live console listens on this machine, ``http://127.0.0.1:7780``, or None; the
    attribute `console` then has the address to open, with a token that each request needs. services: objects
    whose methods are served at `listen` beside the actors, as `serve` does it; none by default.

    Leaving the block drains the node: it accepts no new connection, running calls and channels learn that it drains and have
    the grace time, then the actors stop, children first, then the history is closed. Raises `FailedPrecondition` for an address
    that others can reach, without `authenticate` and without `insecure`. Entering raises `Unavailable` for an
    address or socket in use, and the errors of opening a `History`; nothing is left running then. Cancelling the entry or the
    exit closes at once.
    """

    def __init__(  # noqa: PLR0913 - each is one part of a node
        self,
        *,
        listen: str | Sequence[str] = (),
        history: str | PathLike[str] | History | None = None,
        socket: str | PathLike[str] | None = None,
        name: str = "",
        tls: TLS | None = None,
        settings: Settings | None = None,
        grace: float = NODE_GRACE_S,
        console: str | None = None,
        services: Sequence[object] = (),
        authenticate: Authenticator | None = None,
        authorize: Authorize | None = None,
        insecure: bool = False,
    ) -> None:
        super().__init__(name, History(history) if isinstance(history, str | PathLike) else history, socket)
        self.grace_s = grace
        self.drained = True
        self._listen = [listen] if isinstance(listen, str) else list(listen)
        self._tls = tls
        self._settings = settings
        self._console = console
        self._services = tuple(services)
        self._insecure = insecure
        self._proves = authenticate is not None
        rule = partial(self._authorize, rule_of(authorize)) if self._proves else authorize
        self._trust: dict[str, Any] = {"authenticate": authenticate, "authorize": rule}
        if authenticate is None and not insecure:
            for url in self._listen:
                _check_local(url)
        self.console: str | None = None
        self.commands: Server | None = None
        self._life = AsyncExitStack()
        self._closing = False
        self._closed = asyncio.Event()

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        control = Control(self)
        async with AsyncExitStack() as stack:  # left in reverse order: commands are answered until the end
            await stack.enter_async_context(self.stalls)
            self.commands = await stack.enter_async_context(
                serve(self, control, listen=[], settings=self._settings, expose_errors=True)
            )
            if self.socket is not None:
                await self._listen_to_owner(self.commands, self.socket)
            if self._console is not None:
                self.console = await stack.enter_async_context(self._serve_console(control, self._console))
            if self.history is not None:
                await stack.enter_async_context(self.history)
                await _end_the_dead(self.history)
            stack.push_async_callback(self.commands.aclose)
            stack.callback(control.ended.set)
            await super().__aenter__()
            stack.push_async_callback(super().aclose)
            server = await stack.enter_async_context(
                serve(*self._served(control), listen=[], settings=self._settings, **self._trust)
            )
            with self._for_owner_only():
                await server.listen(*self._listen, tls=self._tls)
            self.server = server
            self._life = stack.pop_all()
        return self

    @asynccontextmanager
    async def _serve_console(self, control: Control, url: str) -> AsyncIterator[str]:
        """Serve the console, and return its address."""
        watch = Watch(self, control, [served(service).schema for service in self._services])
        services = (self, control, watch, Channels(self), *self._services)
        try:
            async with serve_console(services, url, self._settings) as address:
                yield address
        finally:
            watch.forget()

    async def aclose(self) -> None:
        """Drain and close. Idempotent.

        Afterwards `drained` is True when every message, stream and channel ended by itself. Cancelling it cuts the grace
        time short.

        Raises `FailedPrecondition` in a handler of a call from elsewhere, for which it would wait.
        """
        if self.server is not None:
            check_outside(self.server.peers)
        if self._closing:
            await self._closed.wait()
            return
        self._closing = self.draining = True
        try:
            async with self._life:
                if self.server is not None:
                    await self._drain(self.server)
        finally:
            self._closed.set()

    async def _drain(self, server: Server) -> None:
        """Let running work go on for the grace time, then stop the actors while their callers are still connected."""
        left_s = 0.0
        self.drained = False
        try:
            try:
                await server.begin_drain()
                deadline = self._host.loop.time() + self.grace_s
                self.drained = await self._quiet(deadline)
            finally:
                if not self.drained:
                    self._host.end_grace()  # the actors had the grace time of the node, or it was cut short
            await super().aclose()
            left_s = max(FAREWELL_S, deadline - self._host.loop.time())
        finally:
            await server.aclose(left_s)

    async def _quiet(self, deadline: float) -> bool:
        """Wait until no actor is busy; return False when the deadline came first."""
        while self.busy():
            if self._host.loop.time() >= deadline:
                return False
            await asyncio.sleep(min(QUIET_POLL_S, self.grace_s))
        return True

    def busy(self) -> list[str]:
        """Return the addresses of the actors with messages, or with streams or channels of other processes.

        The actor that calls this is left out: it would wait for itself.
        """
        caller = handling.get()
        own = None if caller is None else caller.cell.address
        served = {stream.address for stream in self.streams() if stream.peer}
        busy = [info.address for info in self.list() if info.handling or info.mailbox or info.address in served]
        return [address for address in busy if address != own]

    async def wait_closed(self) -> None:
        """Wait until the node is closed. Safe to cancel."""
        await self._closed.wait()

    def _served(self, control: Control) -> tuple[object, ...]:
        """Return what clients of the network reach: actors, services and, where clients are proven, the commands."""
        return (self, *self._services, control) if self._proves else (self, *self._services)

    @contextmanager
    def _for_owner_only(self) -> Iterator[None]:
        """Let no other user open the Unix sockets that are made in this block, unless clients are proven, or may be any."""
        mode = socket_mode.set(None if self._proves or self._insecure else _SOCKET_MODE)
        try:
            yield
        finally:
            socket_mode.reset(mode)

    async def _listen_to_owner(self, server: Server, path: str) -> None:
        """Listen at a socket that only this user can open, from its first moment on."""
        mode = socket_mode.set(_SOCKET_MODE)
        try:
            await server.listen(f"unix://{quote(path)}")
        except Unavailable as error:
            if error.cause is Cause.ADDRESS_TAKEN:
                raise Unavailable(f"a node runs at {path} already; stop it, or choose another socket") from error
            raise
        finally:
            socket_mode.reset(mode)

    def __repr__(self) -> str:
        state = "closed" if self._closed.is_set() else "draining" if self.draining else "up"
        return f"<Node {self.name} {state}, {', '.join(self.urls) or 'no listener'}>"


async def _end_the_dead(history: History) -> None:
    """Record an end for each actor that has none, before the first event of this run."""
    for actor in await history.unended():
        history.record(actor, "stopped", {"reason": _NEVER_STOPPED})


def _check_local(url: str) -> None:
    """Raise `FailedPrecondition` for a URL that other machines can reach."""
    scheme = url.partition("://")[0].lower()
    if scheme not in _NETWORK or _is_this_machine(url):
        return
    raise FailedPrecondition(
        f"{url} can be reached from other machines, and this node takes every client: any could use and stop its actors. Give "
        "it authenticate= (penstock.auth), listen at 127.0.0.1, or write insecure=True"
    )


def _is_this_machine(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # to listen there raises the error that explains it
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
