"""`penstock server`: a node in the foreground until a signal says stop. This module decides nothing about an actor."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

import click

import penstock
from penstock import TLS
from penstock.actors import ActorInfo
from penstock.cli._node._client import Where
from penstock.cli._node._place import history_path, make_folder, socket_path
from penstock.cli._node._shown import as_json
from penstock.cli._run import OK, Unusable, one_line, tell
from penstock.errors import InvalidArgument, PenstockError
from penstock.history import History
from penstock.node import Node, said, shown

#: A history is kept to this, some millions of events: a server that runs for months does not fill its disk.
HISTORY_BYTES_MAX: Final = 1024**3
#: Frames of this package are no news to who wrote an actor.
_NOT_THEIRS: Final = (str(Path(penstock.__file__).parent),)
#: How many busy actors are named when a node stops.
_NAMED_MAX: Final = 3
_LEVELS: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red", "DEBUG": "bright_black"}


class Asked(NamedTuple):
    """What the command line asks for."""

    where: Where
    manifests: Sequence[str]
    urls: Sequence[str]
    history: str | None
    name: str
    grace_s: float
    tls: TLS | None


async def serve(asked: Asked, stopping: asyncio.Event) -> int:
    """Run a node until `stopping`; then drain it. Cancelling it cuts that short."""
    _log_to_stderr()
    socket = socket_path(asked.where.socket)
    make_folder(socket)
    if any(url.startswith("memory://") for url in asked.urls):
        raise Unusable("nobody can reach memory:// in this process from another one; listen at tcp://, tls:// or unix://")
    try:
        node = Node(
            listen=asked.urls,
            history=_history(asked.history),
            socket=socket,
            name=asked.name,
            tls=asked.tls,
            grace=asked.grace_s,
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(node)
            started = [await _started(node, manifest) for manifest in asked.manifests]
            _announce(node, started, asked.where)
            await stopping.wait()
            _say_who_is_busy(node)
    except InvalidArgument as error:
        print(error.details.get("traceback", ""), file=sys.stderr, end="")
        raise Unusable(error.message) from None
    if not node.drained:
        tell(f"stopped; what still ran after {asked.grace_s:g} s was cancelled (--grace gives more time)")
    return OK


async def _started(node: Node, manifest: str) -> ActorInfo:
    """Start the actor of a manifest; what its own code raises is shown where, and told."""
    try:
        return await node.start(manifest)
    except PenstockError:
        raise
    except Exception as error:
        print(shown(error, _NOT_THEIRS), file=sys.stderr, end="")
        raise Unusable(f"{manifest}: the actor could not be started: {said(error)}") from error


def _history(given: str | None) -> History | None:
    if given == "none":
        return None
    path = Path(given).expanduser() if given else history_path()
    if not given:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return History(path, keep_bytes=HISTORY_BYTES_MAX)


def _say_who_is_busy(node: Node) -> None:
    busy = node.busy()
    if busy:
        names = ", ".join(map(one_line, busy[:_NAMED_MAX])) + (
            f" and {len(busy) - _NAMED_MAX} more" if busy[_NAMED_MAX:] else ""
        )
        tell(f"stopping: {names} {'have' if busy[1:] else 'has'} {node.grace_s:g} s to end; once more stops at once")


# ── what is printed ───────────────────────────────────────────────────────────────────────────────────────────────────


def _announce(node: Node, started: Sequence[ActorInfo], where: Where) -> None:
    """Say where the node is, for people and for programs: each URL ends a line that begins with "at"."""
    history = None if node.history is None else str(node.history.path)
    if where.as_json:
        actors = [{"address": info.address, "id": info.id, "actor": info.actor} for info in started]
        print(as_json({"socket": node.socket, "urls": node.urls, "history": history, "actors": actors}), flush=True)
        return
    print("node at", node.socket)
    for url in node.urls:
        print("at", url)
    print("history", history or "none")
    for info in started:
        print("started", one_line(info.address), info.id)
    print("try", _next_step(started, where), flush=True)


def _next_step(started: Sequence[ActorInfo], where: Where) -> str:
    socket = ["--socket", where.socket] if where.socket else []
    verb = ["list"] if started else ["start", "MANIFEST"]
    return " ".join(["penstock", *verb, *map(shlex.quote, socket)])


class _Lines(logging.Formatter):
    """Time, level, who, what; tracebacks below, indented: no line in them can pass for one of the log."""

    def format(self, record: logging.LogRecord) -> str:
        level = click.style(f"{record.levelname:7}", fg=_LEVELS.get(record.levelname))
        who = "" if hasattr(record, "actor") or record.name == "penstock.actor" else f"{record.name}: "
        text = f"{self.formatTime(record, '%H:%M:%S')} {level} {who}{one_line(record.getMessage())}"
        if record.exc_info:
            text += "".join(f"\n    {one_line(line)}" for line in self.formatException(record.exc_info).split("\n"))
        return text if sys.stderr.isatty() else click.unstyle(text)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
