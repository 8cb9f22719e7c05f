"""`Penstock.Control`: what the commands ask of a node. Served on the node's own socket only; this module listens nowhere."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.actors import ActorInfo
from penstock.codec import MSGPACK, UNENCODABLE
from penstock.errors import FailedPrecondition, InvalidArgument, NotFound, PenstockError, Unavailable, Unimplemented
from penstock.history import History, HistoryEvent, Replay, replay
from penstock.node import _views as views
from penstock.node._events import events_of, handling_since
from penstock.node._finding import EVERY, find, find_recorded
from penstock.node._load import said, shown
from penstock.node._sayings import method_of, payload_of, refuse_stream
from penstock.service import describe, suggest

if TYPE_CHECKING:
    from penstock.node._node import Node

#: What ``receive`` gets as the type of a message that calls no method.
PLAIN: Final = "message"
#: How a method is called, for messages.
EXAMPLE: Final = '{"action": "NAME", "params": …}'
#: Questions that every actor answers, which tell nothing about one.
_EVERYBODY_HAS: Final = ("ping", "accepts", "describe")
#: Frames of this package are no news to who wrote an actor.
_NOT_THEIRS: Final = (str(Path(__file__).parent.parent),)
#: What else can be sent to an actor that has one of these.
_TAKES: Final = {"channels": {"on_channel", "on_channel_open", "on_channel_message"}, "messages": {"receive"}}
#: Streams and channels in one snapshot: a screen shows no more.
STREAMS_MAX: Final = 200
#: How much is shown of a value that cannot travel.
_REPR_CHARACTERS: Final = 200


class Control:
    """A node, as its commands see it. An actor is named by its name, its id, or the beginning of its id."""

    service_name = "Penstock.Control"

    def __init__(self, node: Node) -> None:
        self._node = node
        self._born_s = time.monotonic()
        self.ended = asyncio.Event()  # set when all actors have stopped: who follows the history hears that

    # ── the life of actors ────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, manifest: str) -> views.Started:
        """Start the actor of a manifest, an absolute path on this machine."""
        if self._node.server is None or self._node.draining:
            raise Unavailable("the node is not ready, or is stopping, and starts nothing now", started=False)
        try:
            info = await self._node.start(manifest)
        except PenstockError:
            raise
        except Exception as error:
            text = f"{manifest}: the actor could not be started: {said(error)}"
            raise FailedPrecondition(text, {"traceback": shown(error, _NOT_THEIRS)}) from error
        return views.Started(info.address, info.id, info.actor)

    async def stop(self, actor: str) -> ActorInfo:
        """Stop an actor, its children first; return how it stood."""
        info = find(self._node, actor)
        await self._node.stop(info.address)
        return info

    async def restart(self, actor: str) -> ActorInfo:
        """Restart an actor with a fresh state; return how it stands."""
        address = find(self._node, actor).address
        await self._node.restart(address)
        return self._node.info(address)

    # ── how they stand ────────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, actor: str) -> views.Found:
        """Return the address and id of an actor."""
        info = find(self._node, actor)
        return views.Found(info.address, info.id)

    async def prepare(self, actor: str, action: str | None, params: Any = None) -> views.Prepared:
        """Return what to tell or ask an actor, so that it calls the method `action` with `params`, checked beforehand.

        What no method answers goes to the actor's ``receive``, if it has one; so does a plain message, whose `action` is None.
        """
        info = find(self._node, actor)
        cell = self._node.cell(info.address)
        if info.mailbox >= info.mailbox_size and cell.queue.rules.overflow == "reject":
            cell.queue.make_room(info.address)  # raises: a message that is only sent has nobody who would hear of it
        receives = "receive" in cell.hooks
        if action is None and not receives:
            raise Unimplemented(f"{info.address} has no `receive` for plain messages; call a method: {EXAMPLE}")
        if receives and (action is None or action not in cell.service.methods):
            return views.Prepared(info.address, info.id, action or PLAIN, params)
        method = method_of(cell.service, info.address, action or "")
        refuse_stream(method, info.address)
        return views.Prepared(info.address, info.id, method.name, payload_of(method, params))

    async def prepare_stream(self, actor: str, name: str, params: Any = None) -> views.Prepared:
        """Return what to follow: the streaming method of that name, else the port."""
        info = find(self._node, actor)
        cell = self._node.cell(info.address)
        method = cell.service.methods.get(name)
        if method is not None and method.streams_responses:
            return views.Prepared(info.address, info.id, name, payload_of(method, params), is_port=False)
        if name in (cell.ports or ()):
            return views.Prepared(info.address, info.id, name, is_port=True)
        streams = [method.name for method in cell.service.methods.values() if method.streams_responses]
        raise NotFound(f"{info.address} has no port or stream {name!r}; {suggest(name, [*(cell.ports or ()), *streams])}")

    async def list(self, pattern: str = EVERY) -> list[ActorInfo]:
        """Return the actors whose names fit: ``*`` is one part of a name, ``**`` any number of them."""
        return self._node.list(pattern)

    async def state(self, actor: str) -> dict[str, Any]:
        """Return the attributes of an actor."""
        return _travelling(self._node.state(find(self._node, actor).address))

    async def inspect(self, actor: str) -> views.Inspection:
        """Return everything about an actor."""
        info = find(self._node, actor)
        cell = self._node.cell(info.address)
        methods = [method for method in describe(cell.service).methods if method.name not in _EVERYBODY_HAS]
        return views.Inspection(
            info=info,
            doing=await _doing(self._node, info),
            takes=[what for what, hooks in _TAKES.items() if hooks & cell.hooks],
            methods=methods,
            ports=list(cell.ports or ()),
            state=_travelling(self._node.state(info.address)),
        )

    async def doing(self, actor: str) -> views.Doing | None:
        """Return what an actor is busy with, None when it waits for messages."""
        return await _doing(self._node, find(self._node, actor))

    async def status(self) -> views.NodeView:
        """Return how the node stands."""
        node, now = self._node, time.monotonic()
        return views.NodeView(
            name=node.name,
            pid=os.getpid(),
            version=version("penstock"),
            urls=node.urls,
            socket=node.socket,
            history=None if node.history is None else str(node.history.path.absolute()),
            time_s=now,
            uptime_s=now - self._born_s,
            dead_letters=node.dead_letters.count,
        )

    async def snapshot(self) -> views.Snapshot:
        """Return how everything stands, for a screen."""
        return views.Snapshot(
            await self.status(),
            self._node.list(EVERY),
            list(self._node.streams()[:STREAMS_MAX]),
            _history_view(self._node.history),
        )

    # ── what happened ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def events(self, query: views.EventQuery) -> AsyncIterator[HistoryEvent]:
        """Iterate over what is recorded, then, with `follow`, over what is recorded from now on."""
        history = _history_of(self._node)
        actor = await find_recorded(self._node, history, query.actor)
        async for page in events_of(history, actor, query, self.ended):
            for event in page:
                yield event

    async def replay(self, actor: str) -> Replay:
        """Give what an actor was told to a fresh one, and compare what comes of it. Cancelling it stops the fresh one."""
        history = _history_of(self._node)
        address = await find_recorded(self._node, history, actor)
        if address is None:
            raise InvalidArgument("name one actor to replay")
        try:
            cls = self._node.cell(address).cls
        except NotFound:  # it has stopped: its class is imported
            cls = None
        return await replay(history, address, cls)


def _history_of(node: Node) -> History:
    if node.history is None:
        raise FailedPrecondition("this node records no history; start it with `penstock server --history PATH`")
    return node.history


async def _doing(node: Node, info: ActorInfo) -> views.Doing | None:
    if not info.handling:
        return None
    begun = None if node.history is None else await handling_since(node.history, info)
    return views.Doing(info.handling, None if begun is None else max(0.0, time.time() - begun))


def _travelling(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with what cannot travel as its repr."""
    return {name: value if _can_travel(value) else f"{value!r:.{_REPR_CHARACTERS}}" for name, value in state.items()}


def _can_travel(value: Any) -> bool:
    try:
        MSGPACK.encode(value)
    except UNENCODABLE:
        return False
    return True


def _history_view(history: History | None) -> views.HistoryView | None:
    if history is None:
        return None
    return views.HistoryView(
        str(history.path), history.next_offset, history.waiting, history.queue_events, history.unrecorded, history.problem
    )
