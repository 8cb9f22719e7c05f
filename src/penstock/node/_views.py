"""What a node tells of itself, as values that travel. This module asks nobody."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.actors import ActorInfo, StreamInfo
from penstock.service import MethodDescription


class Started(msgspec.Struct, frozen=True):
    """An actor that was started."""

    address: str
    id: str
    actor: str


class Found(msgspec.Struct, frozen=True):
    """An actor that was looked for."""

    address: str
    id: str


class Prepared(msgspec.Struct, frozen=True):
    """What the router's verbs take to say something to an actor, or to follow something of it."""

    address: str
    id: str
    type: str
    payload: Any = None
    is_port: bool = False


class Doing(msgspec.Struct, frozen=True):
    """What an actor is busy with, and since when, where the history knows it."""

    handling: str
    since_s: float | None


class Inspection(msgspec.Struct, frozen=True):
    """Everything about one actor; values of its `state` that cannot travel are their repr.

    takes: what it takes besides calls of its methods: "channels", "messages" (it has a ``receive``).
    """

    info: ActorInfo
    doing: Doing | None
    takes: list[str]
    methods: list[MethodDescription]
    ports: list[str]
    state: dict[str, Any]


class HistoryView(msgspec.Struct, frozen=True):
    """How the history stands: events so far, events that wait to be written and how many may, what is wrong with it."""

    path: str
    events: int
    waiting: int
    waiting_max: int
    unrecorded: int
    problem: str | None


class NodeView(msgspec.Struct, frozen=True):
    """How the node stands. `time_s` is a clock that only goes forward: rates are differences of two views."""

    name: str
    pid: int
    version: str
    urls: list[str]
    socket: str | None
    history: str | None
    time_s: float
    uptime_s: float
    dead_letters: int


class Snapshot(msgspec.Struct, frozen=True):
    """What `top` shows."""

    node: NodeView
    actors: list[ActorInfo]
    streams: list[StreamInfo]
    history: HistoryView | None


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: of an actor's name, or of all that fit a pattern with ``*``.

    kinds: only these, or all. since, until: offsets. after, before: seconds since 1970. search: a text in the data.
    last: only so many of what is there. follow: go on with what happens from now on.
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
