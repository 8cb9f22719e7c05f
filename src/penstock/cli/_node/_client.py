"""The connection of a command to its node: the socket, the typed control service, JSON output."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import penstock
from penstock import Peer, Unavailable
from penstock.cli._describe import connecting
from penstock.cli._format import as_json
from penstock.cli._node._paths import refuse_strangers, socket_path
from penstock.cli._options import NodeOptions, tls_of
from penstock.errors import Cause
from penstock.node import ActorControl
from penstock.service import service_of

if TYPE_CHECKING:
    from penstock.node import HistoryControl

#: How long a node may take for an answer that does not depend on an actor.
ANSWER_TIMEOUT_S: Final = 30.0
#: How the history of a node that is down is read.
READING_A_HISTORY: Final = "without a manifest it runs no actor, and shows its history; `penstock verify FILE` needs no server"


class NodeConnection:
    """A connected node: `peer` for the verbs of its actors, `control` and `history` for its control service."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    @cached_property
    def control(self) -> ActorControl:
        """The questions about actors and the node; each has `ANSWER_TIMEOUT_S`."""
        return penstock.options(self.peer.service(ActorControl), timeout=ANSWER_TIMEOUT_S)

    @cached_property
    def history(self) -> HistoryControl:
        """The questions to its history, without a timeout: a stream of events may go on for ever."""
        from penstock.node import HistoryControl

        return self.peer.service(HistoryControl)


@asynccontextmanager
async def connected_node(options: NodeOptions, service: type = ActorControl) -> AsyncIterator[NodeConnection]:
    """Connect to the node, to call `service`. Raises `Unavailable` that says how to start one."""
    reach = options.reach
    if reach.node is not None:
        async with connecting(reach.node, tls_of([reach.node], dict(reach.tls), server=False)) as peer:
            yield NodeConnection(peer)
        return
    service_of(service)  # reading a class takes milliseconds, in which a connection would not be answered
    path = socket_path(options.socket)
    refuse_strangers(path)
    async with AsyncExitStack() as stack:
        try:
            peer = await stack.enter_async_context(connecting(url_of(path), None))
        except Unavailable as error:
            raise no_server_at(path, service) if error.cause is Cause.NOTHING_LISTENS else error from None
        yield NodeConnection(peer)


def url_of(path: Path) -> str:
    """Return the URL of a socket."""
    return f"unix://{quote(str(path))}"


def no_server_at(path: Path, service: type = ActorControl) -> Unavailable:
    """Return the error that says how to start a node, and how to look at a history without its actors."""
    error = Unavailable(f"no server at {path}; start one with `penstock server`")
    if service is not ActorControl:
        error.add_note(READING_A_HISTORY)
    return error


def show(value: Any, options: NodeOptions) -> None:
    """Print a value as JSON: indented on a terminal, in one line for a program."""
    print(as_json(value, indent=2 if sys.stdout.isatty() and not options.as_json else -1), flush=True)
