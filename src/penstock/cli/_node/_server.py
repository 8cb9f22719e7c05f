"""`penstock server`: a node in the foreground until a signal stops it."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import penstock
from penstock import TLS
from penstock._texts import one_line
from penstock.actors import ActorInfo
from penstock.cli._format import as_json
from penstock.cli._logs import log_to_stderr
from penstock.cli._node._paths import history_path, make_folder, socket_path
from penstock.cli._options import NodeOptions
from penstock.cli._run import OK, Unusable, noting_a_slow_stop, print_notice, print_traceback
from penstock.errors import FailedPrecondition, InvalidArgument, PenstockError
from penstock.history import History
from penstock.node import Node, error_text, user_traceback

#: The size of a history, some millions of events: a server that runs for months does not fill its disk.
HISTORY_BYTES_MAX: Final = 1024**3
#: Frames of this package are left out of tracebacks: they do not help the author of an actor.
_OWN_FILES: Final = (str(Path(penstock.__file__).parent),)
#: How many busy actors are named when the node stops.
_NAMED_MAX: Final = 3


class ServerOptions(NamedTuple):
    """The options of `penstock server`."""

    node: NodeOptions
    manifests: Sequence[str]
    urls: Sequence[str]
    history: str | None
    name: str
    grace_s: float
    tls: TLS | None
    console: str | None
    trust: dict[str, Any]


async def serve(options: ServerOptions, stopping: asyncio.Event) -> int:
    """Run a node until `stopping` is set, then drain it. Cancelling it closes at once."""
    log_to_stderr()
    socket = socket_path(options.node.socket)
    make_folder(socket)
    try:
        node = _made(options, socket)
        async with AsyncExitStack() as stack:
            stop_begins = stack.enter_context(noting_a_slow_stop())
            await stack.enter_async_context(node)
            started = [await _started(node, manifest) for manifest in options.manifests]
            _announce(node, started, options.node)
            await stopping.wait()
            stop_begins()
            _print_busy_actors(node)
    except InvalidArgument as error:
        print_traceback(error)
        raise Unusable(error.message) from None
    if not node.drained:
        print_notice(f"stopped; work that still ran after {options.grace_s:g} s was cancelled (--grace gives it more time)")
    return OK


def _made(options: ServerOptions, socket: Path) -> Node:
    """Return the node. Raises `FailedPrecondition` for an address that others can reach, when it takes every client."""
    try:
        return Node(
            listen=options.urls,
            history=_history(options.history),
            socket=socket,
            name=options.name,
            tls=options.tls,
            grace=options.grace_s,
            console=options.console,
            **options.trust,
        )
    except FailedPrecondition as error:
        error.add_note("on the command line: --tokens PATH, or --insecure")
        raise


async def _started(node: Node, manifest: str) -> ActorInfo:
    """Start the actor of a manifest; an error in its own code is printed with its traceback and becomes `Unusable`."""
    try:
        return await node.start(manifest)
    except PenstockError:
        raise
    except Exception as error:
        print(user_traceback(error, _OWN_FILES), file=sys.stderr, end="")
        raise Unusable(f"{manifest}: the actor could not be started: {error_text(error)}") from error


def _history(option: str | None) -> History | None:
    if option == "none":
        return None
    path = Path(option).expanduser() if option else history_path()
    if not option:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return History(path, keep_bytes=HISTORY_BYTES_MAX)


def _print_busy_actors(node: Node) -> None:
    """Print the actors for which the node waits before it stops."""
    busy = node.busy()
    if busy:
        names = ", ".join(map(one_line, busy[:_NAMED_MAX])) + (
            f" and {len(busy) - _NAMED_MAX} more" if busy[_NAMED_MAX:] else ""
        )
        print_notice(
            f"stopping: {names} {'have' if busy[1:] else 'has'} {node.grace_s:g} s to end; a second signal stops at once"
        )


# ── printing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _announce(node: Node, started: Sequence[ActorInfo], options: NodeOptions) -> None:
    """Print where the node can be reached. Programs may rely on the lines that begin with "at": each ends with a URL."""
    history = None if node.history is None else str(node.history.path)
    if options.as_json:
        actors = [{"address": info.address, "id": info.id, "actor": info.actor} for info in started]
        about = {"socket": node.socket, "urls": node.urls, "console": node.console, "history": history, "actors": actors}
        print(as_json(about), flush=True)
        return
    print("node at", node.socket)
    for url in node.urls:
        print("at", url)
    if node.console is not None:
        print("console", node.console)
    print("history", history or "none")
    for info in started:
        print("started", one_line(info.address), info.id)
    print("try", _next_step(started, options), flush=True)


def _next_step(started: Sequence[ActorInfo], options: NodeOptions) -> str:
    socket = ["--socket", options.socket] if options.socket else []
    verb = ["list"] if started else ["start", "MANIFEST"]
    return " ".join(["penstock", *verb, *map(shlex.quote, socket)])
