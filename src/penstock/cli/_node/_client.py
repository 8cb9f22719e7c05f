"""The node that a command is for: reached at its socket, asked by name. This module starts no node."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from penstock import Peer, Unavailable
from penstock.cli._describe import connecting
from penstock.cli._node._place import refuse_strangers, socket_path
from penstock.cli._node._shown import as_json
from penstock.errors import StatusError
from penstock.service import CallOptions

#: The service by which a node is controlled.
CONTROL: Final = "Penstock.Control"
#: How long a node may take for an answer that is not an actor's.
ANSWER_TIMEOUT_S: Final = 30.0


class Where(NamedTuple):
    """What every verb takes: which node, and whether a program reads the answer."""

    socket: str | None
    as_json: bool


class Node(NamedTuple):
    """A node that answers."""

    peer: Peer
    socket: Path

    async def ask(self, method: str, *arguments: Any, timeout_s: float | None = ANSWER_TIMEOUT_S) -> Any:
        """Call a method of its control service."""
        try:
            return await self.peer.call(f"{CONTROL}/{method}", *arguments, options=CallOptions(timeout=timeout_s))
        except StatusError as error:
            print(error.details.pop("traceback", ""), file=sys.stderr, end="")  # of the user's own code
            raise

    def items(self, method: str, *arguments: Any) -> Any:
        """Call a streaming method of its control service."""
        return self.peer.stream(f"{CONTROL}/{method}", *arguments)

    async def find(self, actor: str) -> dict[str, Any]:
        """Return what is known of an actor, by its name, id, or the beginning of its id."""
        found: dict[str, Any] = await self.ask("find", actor)
        return found


@asynccontextmanager
async def reached(where: Where) -> AsyncIterator[Node]:
    """Connect to the node. Raises `Unavailable` that says how to start one."""
    path = socket_path(where.socket)
    refuse_strangers(path)
    async with AsyncExitStack() as stack:
        try:
            peer = await stack.enter_async_context(connecting(url_of(path), None))
        except Unavailable as error:
            raise nobody_at(path) if "nothing listens" in error.message else error from None
        yield Node(peer, path)


def url_of(path: Path) -> str:
    """Return the URL of a socket."""
    return f"unix://{quote(str(path))}"


def nobody_at(path: Path) -> Unavailable:
    """Make the error that says how to start a node."""
    return Unavailable(f"no server at {path}; start one with `penstock server`")


def show(value: Any, where: Where) -> None:
    """Print a value as JSON: indented for a person, in one line for a program."""
    print(as_json(value, indent=2 if sys.stdout.isatty() and not where.as_json else -1), flush=True)
