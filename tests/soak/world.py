"""A small world: a server that may restart, its clients, a network with faults, and the flows of a program between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import penstock
from penstock import ActorSystem, Reconnect, Settings
from penstock.calls import CallScope
from penstock.refs import _offers, _sink, _source, _state
from penstock.session import LastingSession
from penstock.testing import SimulatedNetwork
from penstock.transports import Link, Receiver
from tests.protocol.kit import hello
from tests.soak.census import Census
from tests.soak.model import Flow
from tests.soak.program import Program
from tests.soak.services import ACTORS, FLOWS, Desk, Hall, at_the_door

AGAIN: Final = Reconnect(first_s=0.02, max_s=0.2)
#: Sessions are kept for the time that a partition of a program cannot last, and less than one that it calls an outage.
KEPT_S: Final = 20.0
CONNECT_S: Final = 5.0
SERVER: Final = "server"

#: The client whose code runs now; the server's handlers have none.
_HOST: ContextVar[str] = ContextVar("soak_host", default=SERVER)


class World:
    """Everything of one program. `wrongs`: what must not happen, and did."""

    def __init__(self, program: Program, network: SimulatedNetwork) -> None:
        self.loop = asyncio.get_running_loop()
        self.program = program
        self.network = network
        self.census = Census(self)
        self.wrongs: list[str] = []
        self.flows: dict[int, Flow] = FLOWS
        FLOWS.clear()
        self.clients: dict[str, Client] = {}
        self.one_at_a_time = asyncio.Lock()  # of faults that replace the server or a client
        self._owners: dict[bytes, str] = {}
        self.server: penstock.Server
        self.system: ActorSystem

    def wrong(self, what: str) -> None:
        """Note what must not happen."""
        self.wrongs.append(what)

    async def pause(self, seconds: float) -> None:
        """Wait in a producer or a consumer; those without a pause still let others run at times."""
        if seconds:
            await asyncio.sleep(seconds)

    def forget(self) -> None:
        """Let go of everything: what is alive after this was kept by the library."""
        self.flows.clear()
        self.clients.clear()
        self.server, self.system, self._block = None, None, None  # type: ignore[assignment]

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def settings(self) -> Settings:
        return Settings(detach_ttl_s=KEPT_S, **self.program.limits)

    async def open_server(self) -> None:
        """Begin a server, with its actors."""
        self.system = ActorSystem()
        await self.system.__aenter__()
        for name in ("clerk", "narrow"):
            await self.system.spawn(ACTORS[name], name=name)
        self._block = penstock.serve(
            Hall(self), self.system, listen=f"sim://{SERVER}", settings=self.settings, interceptors=[at_the_door]
        )
        self.server = await self._block.__aenter__()

    async def close_server(self, grace_s: float = 0.0) -> None:
        """End the server and its actors."""
        await self.server.aclose(grace_s)
        await self._block.__aexit__(None, None, None)
        await self.system.__aexit__(None, None, None)

    async def herald(self, number: int) -> str:
        """Spawn the actor that publishes the items of a flow, and return its name."""
        name = f"herald-{number}"
        async with self.one_at_a_time:
            await self.system.spawn(ACTORS["herald"], name=name)
        return name

    # ── the clients ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def open_client(self, name: str) -> None:
        """Connect a client, also while the network has faults."""
        while name not in self.clients:
            client = Client(self, name)
            try:
                await client.open()
            except penstock.Unavailable:
                await asyncio.sleep(0.05)
            else:
                self.clients[name] = client

    def name_of(self, peer: penstock.Peer) -> str:
        return next(name for name, client in self.clients.items() if client.peer is peer)

    @contextmanager
    def as_client(self, name: str) -> Iterator[None]:
        """Run the block as code of this client."""
        before = _HOST.set(name)
        try:
            yield
        finally:
            _HOST.reset(before)

    def other_side(self, session: LastingSession) -> LastingSession | None:
        """Return the session at the server of a session of a client; None when there is none."""
        link = session.link
        if link is None:
            return None
        far = link._connection.server.receiver  # type: ignore[attr-defined]
        return far if isinstance(far, LastingSession) else None

    def served(self, name: str) -> list[penstock.Peer]:
        """Return the peers that the server has for a client: those with a link first."""
        peers = [peer for peer in self.server.peers if peer.remote == f"sim://{name}"]
        return sorted(peers, key=lambda peer: peer._sessions.now.detached)

    def cancel_handlers(self, name: str) -> None:
        """Cancel all handlers of a client at the server; the flows that they serve may end so."""
        self.excuse(penstock.Cancelled, penstock.StreamCancelled, penstock.Aborted, client=name)
        for peer in self.served(name):
            for task in sorted(peer._scope.tasks, key=lambda task: task.get_name()):
                if task.get_coro().__qualname__ == "ServerCall._run":  # type: ignore[union-attr] # no lane, no interceptor
                    task.cancel()

    # ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def excuse(self, *errors: type[BaseException], client: str | None = None, kinds: frozenset[str] | None = None) -> None:
        """Let the flows that are not over (of a client, of some kinds), and those that begin, end with these errors.

        The follower of a retained stream goes on through any loss, but for that of a client that closes its connection.
        """
        for flow in self.flows.values():
            near = client is None or client == flow.client or flow.kind == "relay"
            if flow.kind == "retained" and flow.client in self.clients and penstock.ConnectionLost in errors:
                continue
            if near and not flow.done and (kinds is None or flow.kind in kinds):
                flow.excuses += errors

    async def raw_hello(self, host: str, token: bytes, received: int) -> None:
        """Dial the server, ask for the session with `token`, listen for a while, and leave."""
        stranger = _Stranger(hello(keep_ms=30_000, token=token, received=received))
        try:
            link = await self.network.dial(f"sim://{host}@{SERVER}", stranger, tls=None, timeout_s=CONNECT_S)
        except penstock.Unavailable:
            return
        await asyncio.sleep(0.5)
        link.abort()

    # ── refs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let the one event loop take itself for many: each ref is claimed over the connection to its owner."""
        put, is_here, routes = _offers.Offers.put, _state.is_here, [(room, room.route_to) for room in (_source, _sink, _state)]

        def noted_put(table: Any, *args: Any, **kwargs: Any) -> Any:
            location = put(table, *args, **kwargs)
            self._owners[location.token] = _HOST.get()
            return location

        _offers.Offers.put = noted_put  # type: ignore[method-assign]
        _state.is_here = lambda _place: False
        for room, _ in routes:
            room.route_to = self._route_to  # type: ignore[attr-defined]
        try:
            yield
        finally:
            _offers.Offers.put, _state.is_here = put, is_here  # type: ignore[method-assign]
            for room, route_to in routes:
                room.route_to = route_to  # type: ignore[attr-defined]

    def _route_to(self, location: Any) -> CallScope:
        here, owner = _HOST.get(), self._owners[location.token]
        if here == SERVER and owner != SERVER:
            scopes = [peer._scope for peer in self.served(owner) if peer._scope.session.hello is not None]
        else:
            name = here if here != SERVER else next(iter(self.clients))
            scopes = [self.clients[name].peer._scope] if name in self.clients else []
        for scope in scopes:
            if scope.session.lost is None and not scope.closing:
                return scope
        raise penstock.Unavailable(f"no connection to {owner}", started=False)


class _Stranger(Receiver):
    """Says one thing, and takes whatever is said to it."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self._buffer = memoryview(bytearray(4096))

    def link_made(self, link: Link) -> None:
        link.write([self._says])

    def get_buffer(self, size_hint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size: int) -> None: ...
    def link_lost(self, error: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class Client:
    """A client with its connection, which is made again when it is lost."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self._block = penstock.connect(
            f"sim://{name}@{SERVER}", services=[Desk(world)], settings=world.settings, timeout=CONNECT_S, reconnect=AGAIN
        )
        self.peer: penstock.Peer

    async def open(self) -> None:
        self.peer = await self._block.__aenter__()

    async def close(self) -> None:
        await self._block.__aexit__(None, None, None)

    @property
    def session(self) -> LastingSession:
        return self.peer._sessions.now
