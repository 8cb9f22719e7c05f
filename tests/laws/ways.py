"""One program, run where its actors live and across a connection: what it meets has to be the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from penstock import Actor, ActorSystem, Peer, Struct, connect, serve
from penstock.actors import Router

#: The ways from a program to its actors: in one system, by a connection, by a connection and a bridge.
WAYS = ("here", "memory", "bridge")
_NUMBERS = itertools.count(1)


class Place(NamedTuple):
    """A system of actors, and how a program reaches them.

    system: the actors. router: the verbs by address. prefix: stands before each address.
    """

    system: ActorSystem
    router: Router
    prefix: str = ""

    def stub(self, cls: type[Actor], name: str) -> Any:
        """Return a typed stub of an actor."""
        router: Any = self.router
        return router.actor(cls, self.prefix + name)

    def ref(self, name: str) -> Any:
        """Return the ref of an actor."""
        return self.router.ref(self.prefix + name)


@asynccontextmanager
async def place(way: str, url: str | None = None, **serving: Any) -> AsyncIterator[Place]:
    """Make a system of actors that is reached by one of `WAYS`. url: where it listens; in memory by default."""
    async with ActorSystem() as system:
        if way == "here":
            yield Place(system, system)
            return
        url = url or f"memory://ways-{next(_NUMBERS)}"
        async with serve(system, listen=url, **serving) as server, connect(server.urls[0]) as peer:
            yield await _reached(way, system, peer)


async def _reached(way: str, system: ActorSystem, peer: Peer) -> Place:
    if way != "bridge":
        return Place(system, peer)
    near = ActorSystem()
    near.bridge("far", peer)
    return Place(system, near, "far/")


class Item(Struct):
    """An item of a declared type."""

    name: str
    size: int = 0


class Special(Item):
    """An item of a subclass: it says more than its declared type."""

    colour: str = "red"


async def settle(turns: int = 20) -> None:
    """Let the messages that are under way arrive."""
    for _ in range(turns):
        await asyncio.sleep(0)
