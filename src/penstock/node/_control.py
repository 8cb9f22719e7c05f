"""`Penstock.Control`: the service that the commands call. It is served on the node's own socket only."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from penstock.actors import ActorInfo
from penstock.errors import FailedPrecondition, InvalidArgument, NotFound, PenstockError, Unavailable, Unimplemented
from penstock.history import History, HistoryEvent, Replay, replay
from penstock.node._actor_control import ActorControl
from penstock.node._base import NodeBase
from penstock.node._events import events_of, handling_since
from penstock.node._history_control import HistoryControl
from penstock.node._lookup import find, find_recorded
from penstock.node._payload import payload_of, refuse_stream
from penstock.node._sendable import sendable_state
from penstock.node._types import (
    ALL_ACTORS,
    Activity,
    EventQuery,
    FoundActor,
    HistoryView,
    Inspection,
    NodeView,
    PreparedMessage,
    Snapshot,
    StartedActor,
)
from penstock.node.loading import error_text, user_traceback
from penstock.service import describe, suggest

#: The type of a message that calls no method, as ``receive`` gets it.
PLAIN: Final = "message"
#: The form of a message that calls a method, for error texts.
EXAMPLE: Final = '{"action": "NAME", "params": …}'
#: Questions that every actor answers; they say nothing about this one.
_COMMON_METHODS: Final = ("ping", "accepts", "describe")
#: Frames of this package are left out of tracebacks: they do not help the author of an actor.
_OWN_FILES: Final = (str(Path(__file__).parent.parent),)
#: The hooks that let an actor take more than calls of its methods.
_TAKES: Final = {"channels": {"on_channel", "on_channel_open", "on_channel_message"}, "messages": {"receive"}}
#: Streams and channels in one snapshot: a screen shows no more.
STREAMS_MAX: Final = 200


class Control(ActorControl, HistoryControl):
    """The control service of one node. The contracts of its methods are those of `ActorControl` and `HistoryControl`."""

    def __init__(self, node: NodeBase) -> None:
        self._node = node
        self._born_s = time.monotonic()
        self.ended = asyncio.Event()  # set when all actors have stopped: streams of events end then

    # ── the life of actors ───────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, manifest: str) -> StartedActor:
        """Start the actor of a manifest, an absolute path on this machine."""
        if self._node.server is None or self._node.draining:
            raise Unavailable("the node is not ready, or is stopping, and starts no actor now", started=False)
        try:
            info = await self._node.start(manifest)
        except PenstockError:
            raise
        except Exception as error:
            text = f"{manifest}: the actor could not be started: {error_text(error)}"
            raise FailedPrecondition(text, {"traceback": user_traceback(error, _OWN_FILES)}) from error
        return StartedActor(info.address, info.id, info.actor)

    async def stop(self, actor: str) -> ActorInfo:
        """Stop an actor, its children first; return its last state."""
        info = find(self._node, actor)
        await self._node.stop(info.address)
        return info

    async def restart(self, actor: str) -> ActorInfo:
        """Restart an actor with a fresh state, and return that state."""
        address = find(self._node, actor).address
        await self._node.restart(address)
        return self._node.info(address)

    # ── the state of actors and node ─────────────────────────────────────────────────────────────────────────────────

    async def find(self, actor: str) -> FoundActor:
        """Return the address and id of an actor."""
        info = find(self._node, actor)
        return FoundActor(info.address, info.id)

    async def prepare(self, actor: str, action: str | None, params: Any = None) -> PreparedMessage:
        """Return the message that calls the method `action` with `params`, checked against the types of its parameters."""
        info = find(self._node, actor)
        cell = self._node._host.cell(info.address)
        cell.queue.check_accepts(info.address)  # the sender of a tell would not learn of the rejection
        receives = "receive" in cell.hooks
        if action is None and not receives:
            raise Unimplemented(f"{info.address} has no `receive` for plain messages; call a method: {EXAMPLE}")
        if receives and (action is None or action not in cell.service.methods):
            return PreparedMessage(info.address, info.id, action or PLAIN, params)
        method = cell.service.method(action or "", of=info.address)
        refuse_stream(method, info.address)
        return PreparedMessage(info.address, info.id, method.name, payload_of(method, params))

    async def prepare_stream(self, actor: str, name: str, params: Any = None) -> PreparedMessage:
        """Return the arguments that open the streaming method `name`, or, where there is none, the port of that name."""
        info = find(self._node, actor)
        cell = self._node._host.cell(info.address)
        method = cell.service.methods.get(name)
        if method is not None and method.streams_responses:
            return PreparedMessage(info.address, info.id, name, payload_of(method, params), is_port=False)
        if name in cell.belongings.ports:
            return PreparedMessage(info.address, info.id, name, is_port=True)
        streams = [method.name for method in cell.service.methods.values() if method.streams_responses]
        hint = suggest(name, [*cell.belongings.ports, *streams], "ports and streams")
        raise NotFound(f"{info.address} has no port or stream {name!r}; {hint}")

    async def list(self, pattern: str = ALL_ACTORS) -> list[ActorInfo]:
        """Return the actors whose names match: ``*`` is one part of a name, ``**`` any number of parts."""
        return self._node.list(pattern)

    async def state(self, actor: str) -> dict[str, Any]:
        """Return the attributes of an actor; a value that cannot travel is its repr."""
        return sendable_state(self._node.state(find(self._node, actor).address))

    async def inspect(self, actor: str) -> Inspection:
        """Return everything about an actor."""
        info = find(self._node, actor)
        cell = self._node._host.cell(info.address)
        methods = [method for method in describe(cell.service).methods if method.name not in _COMMON_METHODS]
        return Inspection(
            info=info,
            doing=await _activity(self._node, info),
            takes=[word for word, hooks in _TAKES.items() if hooks & cell.hooks],
            methods=methods,
            ports=list(cell.belongings.ports),
            state=sendable_state(self._node.state(info.address)),
        )

    async def doing(self, actor: str) -> Activity | None:
        """Return the message that an actor is handling, None when it waits for messages."""
        return await _activity(self._node, find(self._node, actor))

    async def status(self) -> NodeView:
        """Return the state of the node."""
        node, now = self._node, time.monotonic()
        stalled = node.stalls.last
        return NodeView(
            name=node.name,
            pid=os.getpid(),
            version=_version(),
            urls=node.urls,
            socket=node.socket,
            history=None if node.history is None else str(node.history.path.absolute()),
            time_s=now,
            uptime_s=now - self._born_s,
            dead_letters=node.dead_letters.count,
            stalls=node.stalls.count,
            stalled_s=0.0 if stalled is None else stalled.seconds,
            stalled_in="" if stalled is None else stalled.where,
        )

    async def snapshot(self) -> Snapshot:
        """Return the state of the node, its actors, streams and history at one moment."""
        streams = self._node.streams()
        return Snapshot(
            await self.status(),
            self._node.list(ALL_ACTORS),
            streams[:STREAMS_MAX],
            history_view(self._node.history),
            max(0, len(streams) - STREAMS_MAX),
        )

    # ── the history ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def events(self, query: EventQuery) -> AsyncIterator[HistoryEvent]:
        """Iterate over the recorded events that match, then, with `follow`, over those that are recorded from now on."""
        history = _history_of(self._node)
        actor = await find_recorded(self._node, history, query.actor)
        async for page in events_of(history, actor, query, self.ended):
            for event in page:
                yield event

    async def replay(self, actor: str) -> Replay:
        """Send the recorded messages of an actor to a fresh one, and compare the outcomes. Cancelling stops the replay."""
        history = _history_of(self._node)
        recorded = await find_recorded(self._node, history, actor)
        address = recorded.address
        if address is None:
            raise InvalidArgument("name one actor to replay")
        if await recorded.end(history) is not None:
            raise FailedPrecondition(f"{actor} was an earlier {address}; only the last actor of a name can be replayed")
        try:
            cls = self._node._host.cell(address).cls
        except NotFound:  # it has stopped: its class is imported
            cls = None
        return await replay(history, address, cls)


@cache
def _version() -> str:
    """Return the version of this package, which is in a file: to read it takes a millisecond."""
    return version("penstock")


def _history_of(node: NodeBase) -> History:
    if node.history is None:
        raise FailedPrecondition("this node records no history; start it with `penstock server --history PATH`")
    return node.history


async def _activity(node: NodeBase, info: ActorInfo) -> Activity | None:
    if not info.handling:
        return None
    begun = None if node.history is None else await handling_since(node.history, info)
    return Activity(info.handling, None if begun is None else max(0.0, time.time() - begun))


def history_view(history: History | None) -> HistoryView | None:
    if history is None:
        return None
    return HistoryView(
        str(history.path), history.next_offset, history.waiting, history.queue_events, history.unrecorded, history.problem
    )
