"""The actors of a node, and the facts that control reads: history, socket, listeners, whether it drains."""

from __future__ import annotations

import asyncio
import os
from os import PathLike
from pathlib import Path

import msgspec

from penstock._stalls import Stalls
from penstock.actors import ActorInfo, ActorSystem, Mailbox, Supervision
from penstock.auth import Access, Authorize, Principal
from penstock.errors import AlreadyExists, FailedPrecondition
from penstock.history import History
from penstock.node._manifest import Manifest, read_manifest
from penstock.peer import Server


class NodeBase(ActorSystem):
    """An actor system that starts actors from manifests. `Node` gives it listeners, a control service and an end.

    server: the listeners of its actors, None before the node is ready. draining: True from the moment it begins to close.
    socket: the absolute path of the control socket, None for none. stalls: when its event loop has stood still.
    """

    def __init__(self, name: str, history: History | None, socket: str | PathLike[str] | None) -> None:
        super().__init__(name, tap=history)
        self.history = history
        self.socket = None if socket is None else str(Path(socket).absolute())
        self.server: Server | None = None
        self.draining = False
        self.stalls = Stalls()
        self._proves = False  # whether its clients are proven
        self._rights: dict[str, Access] = {}  # of clients, to the actors of manifests that say so, by the names of the actors

    @property
    def urls(self) -> list[str]:
        """Where its actors can be reached, with real port numbers."""
        return [] if self.server is None else self.server.urls

    async def start(self, manifest: str | PathLike[str]) -> ActorInfo:
        """Start the actor of a manifest file, and return its state.

        Raises `InvalidArgument` that names file, key and reason, `AlreadyExists` for a name in use, and any error that the
        actor's `on_start` raises. Cancelling it starts nothing.
        """
        read = await asyncio.to_thread(read_manifest, os.fspath(manifest))
        cls = read.load()
        arguments, rights = read.arguments(cls), read.rights()
        if rights is not None and not self._proves:
            text = "this node takes every client, so the table would mean nothing: give it authenticate=, or --tokens"
            raise FailedPrecondition(f"{read.path}: key `access`: {text}")
        mailbox, supervision = _mailbox(read, cls.mailbox), _supervision(read, self._host.supervision)
        before = self._rights.get(read.name)
        self._set_rights(read.name, rights)  # before its first message
        try:
            await self._host.spawn(None, cls, (), arguments, name=read.name, mailbox=mailbox, supervision=supervision)
        except AlreadyExists as error:
            text = f"an actor {read.name!r} runs already; stop it, or give this one another name"
            raise AlreadyExists(f"{read.path}: key `name`: {text}") from error
        except BaseException:
            self._set_rights(read.name, before)
            raise
        return self.info(read.name)

    def _set_rights(self, name: str, rights: Access | None) -> None:
        if rights is None:
            self._rights.pop(name, None)
        else:
            self._rights[name] = rights

    def _authorize(self, otherwise: Authorize, principal: Principal, target: str, verb: str) -> bool | None:
        """Say whether a principal may use a target: by the manifest of the actor, or of one above it, else by `otherwise`."""
        if self._rights and target.startswith("/"):
            name = target[1:]
            while name:
                if name in self._rights:
                    return self._rights[name](principal, target, verb)
                name = name.rpartition("/")[0]
        return otherwise(principal, target, verb)


def _mailbox(manifest: Manifest, base: Mailbox) -> Mailbox:
    limits = manifest.limits
    return Mailbox(limits.mailbox_size or base.size, limits.overflow or base.overflow)


def _supervision(manifest: Manifest, base: Supervision) -> Supervision:
    values = {key: value for key, value in msgspec.structs.asdict(manifest.supervision).items() if value is not None}
    return msgspec.structs.replace(base, **values)
