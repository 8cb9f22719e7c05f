"""Actors for the tests of a node, and a way to ask its control service. It starts no process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import penstock

MANIFEST = """
name = "{name}"
actor = "counting.py:Counter"

[init]
start = {start}
"""
MODULE = '''
import penstock


class Counter(penstock.Actor):
    """Counts."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    async def add(self, count: int = 1) -> int:
        """Count further."""
        self.count += count
        return self.count

    async def fail(self) -> None:
        raise ZeroDivisionError("on purpose")
'''


class Counter(penstock.Actor):
    """Counts, and what else an actor does."""

    def __init__(self, start: int = 0) -> None:
        self.count = start
        self.odd = object()

    async def on_start(self) -> None:
        self.log.info("starting at %d", self.count)

    async def add(self, count: int = 1) -> int:
        """Count further."""
        self.count += count
        return self.count

    async def breed(self, name: str) -> None:
        """Have a child."""
        await self.spawn(Counter, 0, name=name)

    async def ticks(self) -> AsyncIterator[int]:
        """Stream until it is left."""
        while True:
            yield self.count
            await asyncio.sleep(0)


def write(folder: Any, name: str = "counter", start: int = 5) -> Any:
    """Write a manifest and its module; return the path of the manifest."""
    (folder / "counting.py").write_text(MODULE)
    path = folder / f"{name}.toml"
    path.write_text(MANIFEST.format(name=name, start=start))
    return path


class Commands:
    """The control service, as the command line calls it."""

    def __init__(self, peer: penstock.Peer) -> None:
        self.peer = peer

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: self.peer.call(f"Penstock.Control/{method}", *arguments)

    async def events(self, actor: str, **query: Any) -> list[dict[str, Any]]:
        """Return the events that fit."""
        stream = self.peer.stream("Penstock.Control/events", {"actor": actor, **query})
        return [event async for event in stream]


@asynccontextmanager
async def commanding(node: penstock.Node) -> AsyncIterator[Commands]:
    """Connect to the socket of a node."""
    async with penstock.connect(f"unix://{node.socket}") as peer:
        yield Commands(peer)
