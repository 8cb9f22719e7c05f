"""The files of a new project or actor; `$name`, `$module`, `$Class` and `$project` are filled in."""

from __future__ import annotations

from typing import Final

ACTOR: Final = '''\
"""An actor that counts."""

import asyncio
from collections.abc import AsyncIterator

import penstock


class $Class(penstock.Actor):
    """Counts, and streams the count."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    async def on_start(self) -> None:
        self.log.info("starting at %d", self.count)

    async def add(self, count: int = 1) -> int:
        """Add to the count and return it."""
        self.count += count
        self.log.info("counted to %d", self.count)
        return self.count

    async def ticks(self, every_s: float = 1.0) -> AsyncIterator[int]:
        """Stream the count; the actor handles messages meanwhile."""
        while True:
            yield self.count
            await asyncio.sleep(every_s)
'''

MANIFEST: Final = """\
name = "$name"
actor = "$module.py:$Class"

[init]                  # the arguments of $Class.__init__
start = 0

[limits]
mailbox_size = 1000     # messages that may wait
overflow = "wait"       # or "reject", "drop_oldest"

[supervision]
max_restarts = 5        # after more crashes within 60 seconds it stays stopped
within = 60
"""

TEST: Final = '''\
"""The promises of the actor."""

import asyncio

import penstock

from $module import $Class


def test_it_counts_from_where_it_starts():
    async def program():
        async with penstock.ActorSystem() as system:
            counter = await system.spawn($Class, 10)
            assert await counter.add(5) == 15
            async for count in counter.ticks(0):
                assert count == 15
                break

    asyncio.run(program())
'''

README: Final = """\
# $project

An actor on a Penstock node.

    penstock server counter.toml             # the node, with the actor; Ctrl-C stops it

In a second terminal:

    penstock list
    penstock request counter '{"action": "add", "params": {"count": 5}}'
    penstock subscribe counter ticks
    penstock logs counter -f

| file | content |
|---|---|
| `counter.py` | the actor: a class whose async methods can be called |
| `counter.toml` | its manifest: its name, class, arguments and limits |
| `test_counter.py` | its test: `pytest` |
"""

GITIGNORE: Final = """\
__pycache__/
*.db
*.db-shm
*.db-wal
"""
