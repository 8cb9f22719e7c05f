"""A node: the actors of a process, listeners, control and history, wired together. It handles no message."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from os import PathLike
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

import msgspec

from penstock.actors import ActorInfo, ActorSystem, Mailbox, Supervision
from penstock.actors.cell import handling
from penstock.errors import AlreadyExists, Cause, Unavailable
from penstock.history import History
from penstock.node._control import Control
from penstock.node._manifest import Manifest, read_manifest
from penstock.peer import Server, serve
from penstock.protocol import Settings
from penstock.transports import TLS, socket_mode

#: How long calls and channels may go on when a node closes.
GRACE_S: Final = 5.0
#: How often a node that closes looks whether its actors are still busy.
QUIET_POLL_S: Final = 0.02
#: How long the last words of stopped actors may take on their way to peers, when nothing is left of the grace time.
FAREWELL_S: Final = 1.0
#: Who may open the socket of the control service: its owner.
_SOCKET_MODE: Final = 0o600
#: How an actor ended that has no end in the history: by `kill -9`, or with the machine.
_NEVER_STOPPED: Final = "the node ended without stopping it"


class Node(ActorSystem):
    """An `ActorSystem` that others reach, that records what happens, and that the command `penstock` controls.

    ::

        async with penstock.Node(listen="tcp://127.0.0.1:7700", history="history.db") as node:
            counter = await node.spawn(Counter, name="counter")
            await node.wait_closed()

    listen: a URL or several; whoever connects there can ask, tell, stream and stop every actor, and is not asked who they are.
    history: the file to record to, a `History` with options of its own, or None. socket: the path of a Unix socket for the
    commands (``penstock list --socket PATH``), which only this user can open; None for none. name: what the node is called.
    tls: for ``tls://`` URLs. grace: seconds that calls and channels have when it closes.

    Leaving the block drains: nobody new is let in, calls and channels are told and have their grace, then the actors stop,
    children first, then the history is closed. Entering raises `Unavailable` for an address or socket that is taken, and what
    `History` raises; then nothing runs. Cancelling either closes at once.
    """

    def __init__(
        self,
        *,
        listen: str | Sequence[str] = (),
        history: str | PathLike[str] | History | None = None,
        socket: str | PathLike[str] | None = None,
        name: str = "",
        tls: TLS | None = None,
        settings: Settings | None = None,
        grace: float = GRACE_S,
    ) -> None:
        self.history = History(history) if isinstance(history, str | PathLike) else history
        super().__init__(name, tap=self.history)
        self.draining = False
        self.grace_s = grace
        self.socket = None if socket is None else str(Path(socket).absolute())
        self.drained = True
        self._listen = [listen] if isinstance(listen, str) else list(listen)
        self._tls = tls
        self._settings = settings
        self.server: Server | None = None
        self.commands: Server | None = None
        self._life = AsyncExitStack()
        self._closing = False
        self._closed = asyncio.Event()

    @property
    def urls(self) -> list[str]:
        """Where its actors can be reached, with real port numbers."""
        return [] if self.server is None else self.server.urls

    # ── manifests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, manifest: str | PathLike[str]) -> ActorInfo:
        """Start the actor of a manifest file, and return how it stands.

        Raises `InvalidArgument` that names file, key and reason, `AlreadyExists` for a name that is taken, and what the
        actor's `on_start` raises. Cancelling it starts nothing.
        """
        said = await asyncio.to_thread(read_manifest, os.fspath(manifest))
        cls = said.load()
        arguments = said.arguments(cls)
        mailbox, supervision = _mailbox(said, cls.mailbox), _supervision(said, self.supervision)
        try:
            await self.spawn_below(None, cls, (), arguments, name=said.name, mailbox=mailbox, supervision=supervision)
        except AlreadyExists as error:
            text = f"an actor {said.name!r} runs already; stop it, or give this one another name"
            raise AlreadyExists(f"{said.path}: key `name`: {text}") from error
        return self.info(said.name)

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        control = Control(self)
        async with AsyncExitStack() as stack:  # left in the reverse order: commands may look until the end
            self.commands = await stack.enter_async_context(
                serve(self, control, listen=[], settings=self._settings, expose_errors=True)
            )
            if self.socket is not None:
                await self._listen_to_owner(self.commands, self.socket)
            if self.history is not None:
                await stack.enter_async_context(self.history)
                await _end_the_dead(self.history)
            stack.push_async_callback(self.commands.aclose)
            stack.callback(control.ended.set)
            await super().__aenter__()
            stack.push_async_callback(super().aclose)
            server = await stack.enter_async_context(serve(self, listen=[], settings=self._settings))
            for url in self._listen:
                await server.listen(url, self._tls if url.startswith("tls:") else None)
            self.server = server
            self._life = stack.pop_all()
        return self

    async def aclose(self) -> None:
        """Drain and close; `drained` says whether every message, stream and channel ended by itself.

        Idempotent. Cancelling it cuts the grace short.
        """
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
        """Let what runs go on for the grace time, then stop the actors while who waits for them can still be told."""
        left_s = 0.0
        try:
            await server.begin_drain()
            deadline = self.loop.time() + self.grace_s
            self.drained = await self._quiet(deadline)
            self.stop_grace_s = self.stop_grace_s if self.drained else 0.0  # they had theirs
            await super().aclose()
            left_s = max(FAREWELL_S, deadline - self.loop.time())
        finally:
            await server.aclose(left_s)

    async def _quiet(self, deadline: float) -> bool:
        """Wait until nobody is busy; return whether that was before the deadline."""
        while self.busy():
            if self.loop.time() >= deadline:
                return False
            await asyncio.sleep(min(QUIET_POLL_S, self.grace_s))
        return True

    def busy(self) -> list[str]:
        """Return the actors that handle messages, or have streams or channels from elsewhere; not the one that asks."""
        asking = handling.get()
        me = None if asking is None else asking.cell.address
        served = {stream.address for stream in self.streams() if stream.peer}
        found = [info.address for info in self.list() if info.handling or info.mailbox or info.address in served]
        return [address for address in found if address != me]

    async def wait_closed(self) -> None:
        """Wait until the node is closed. Safe to cancel."""
        await self._closed.wait()

    async def _listen_to_owner(self, server: Server, path: str) -> None:
        """Listen at a socket that nobody but this user can open, from its first moment on."""
        mode = socket_mode.set(_SOCKET_MODE)
        try:
            await server.listen(f"unix://{quote(path)}", None)
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
    """Record an end for each actor that has none, before anything else is recorded of this life."""
    for actor in await history.unended():
        history.record(actor, "stopped", {"reason": _NEVER_STOPPED})


def _mailbox(said: Manifest, base: Mailbox) -> Mailbox:
    limits = said.limits
    return Mailbox(limits.mailbox_size or base.size, limits.overflow or base.overflow)


def _supervision(said: Manifest, base: Supervision) -> Supervision:
    given = {key: value for key, value in msgspec.structs.asdict(said.supervision).items() if value is not None}
    return msgspec.structs.replace(base, **given)
