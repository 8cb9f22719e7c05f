"""The values that travel between a node and its commands. This module imports no database."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock.actors import ActorInfo, StreamInfo
from penstock.service import MethodDescription

#: The pattern that all actors match.
ALL_ACTORS: Final = "**"


class StartedActor(msgspec.Struct, frozen=True):
    """The answer to `start`: the new actor's address and id, and its class as ``module:Class``."""

    address: str
    id: str
    actor: str


class FoundActor(msgspec.Struct, frozen=True):
    """The answer to `find`: the address and id of the actor."""

    address: str
    id: str


class PreparedMessage(msgspec.Struct, frozen=True):
    """The arguments of the router's verbs for one message or one subscription: `address`, `type`, `payload`.

    is_port: `type` names a port to subscribe to; otherwise it names a method or a plain message.
    """

    address: str
    id: str
    type: str
    payload: Any = None
    is_port: bool = False


class Activity(msgspec.Struct, frozen=True):
    """The message that an actor is handling.

    handling: the type of the message. since_s: seconds since the actor began with it; None when the history does not know.
    """

    handling: str
    since_s: float | None


class Inspection(msgspec.Struct, frozen=True):
    """Everything about one actor.

    doing: None when the actor waits for messages. takes: "channels" when it takes channels, "messages" when it has a
    ``receive`` for plain messages. state: its attributes; a value that cannot travel is its repr.
    """

    info: ActorInfo
    doing: Activity | None
    takes: list[str]
    methods: list[MethodDescription]
    ports: list[str]
    state: dict[str, Any]


class HistoryView(msgspec.Struct, frozen=True):
    """The state of the history.

    events: recorded so far. waiting, waiting_max: events that wait to be written, and how many may. unrecorded: events that
    were left out and are not yet reported in the chain. problem: the reason why the history cannot be written, or None.
    """

    path: str
    events: int
    waiting: int
    waiting_max: int
    unrecorded: int
    problem: str | None


class NodeView(msgspec.Struct, frozen=True):
    """The state of the node.

    time_s: the reading of a monotonic clock; a rate is the difference of two views divided by the difference of their times.
    stalls: how often its event loop has stood still for more than 0.1 s. stalled_s, stalled_in: for how long the last time, and
    in which function.
    """

    name: str
    pid: int
    version: str
    urls: list[str]
    socket: str | None
    history: str | None
    time_s: float
    uptime_s: float
    dead_letters: int
    stalls: int = 0
    stalled_s: float = 0.0
    stalled_in: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """The node, its actors, streams and history at one moment, for `penstock top`.

    history: None when none is recorded. streams_left_out: how many streams are not in the snapshot, which has 200 at most.
    """

    node: NodeView
    actors: list[ActorInfo]
    streams: list[StreamInfo]
    history: HistoryView | None
    streams_left_out: int = 0


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A selection of recorded events.

    actor: a name, an id, the beginning of an id, or a pattern with ``*``. kinds: only these kinds; empty for all.
    since, until: offsets, the first included, the last excluded. after, before: seconds since 1970. search: a text in the
    data. last: only the last so many recorded events. follow: go on with the events that are recorded from now on.
    """

    actor: str
    kinds: list[str] = []
    since: int = 0
    until: int | None = None
    after: float = 0.0
    before: float | None = None
    search: str = ""
    last: int | None = None
    follow: bool = False
