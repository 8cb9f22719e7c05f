"""The tables of connections and of streams: for each direction its producer, its consumer, and which of them waits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from operator import attrgetter
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from penstock.actors import StreamInfo, streams_of
from penstock.node._base import NodeBase
from penstock.node._types import ALL_ACTORS
from penstock.node.watch._table import Columns, Rates, Table, in_slices
from penstock.node.watch._types import ConnectionRow, FlowRow
from penstock.session import Session
from penstock.session.views import FlowView, flows_of, sessions_here, view_of

HERE: Final = "this process"
#: The method by which another process reads a retained stream.
_FOLLOW: Final = "Penstock/follow"

_OF_CONNECTIONS: Final = Columns[ConnectionRow](
    text=lambda row: f"{row.view.remote} {row.view.agent} {row.view.role} {row.view.state}",
    sorts={
        **{
            name: attrgetter(f"view.{name}")
            for name in ("remote", "role", "agent", "state", "silent_s", "streams", "waiting", "held_bytes")
        },
        "round_trip_s": lambda row: row.view.round_trip_s or 0.0,
        "rate": lambda row: row.received_rate + row.sent_rate,
    },
)
_OF_FLOWS: Final = Columns[FlowRow](
    text=lambda row: f"{row.name} {row.kind} {row.producer} {row.consumer}",
    sorts={
        name: attrgetter(name)
        for name in ("name", "kind", "producer", "consumer", "sent", "buffered", "credit", "rate", "waits", "waited_s")
    },
)


class _Wait(NamedTuple):
    """Which side of a stream has waited since when, and how far the stream was."""

    side: str
    since_s: float


class Connections:
    """The connections of this event loop and their streams. A connection whose two ends are here is listed once.

    connections, flows: the tables.
    """

    def __init__(self, node: NodeBase) -> None:
        self._node = node
        self._numbers: WeakKeyDictionary[Session, int] = WeakKeyDictionary()
        self._next = count(1)
        self._traffic, self._items = Rates(), Rates()
        self._waits: dict[str, _Wait] = {}
        self.connections: Table[ConnectionRow] = Table(self._look_at_connections, _OF_CONNECTIONS, self._traffic.forget)
        self.flows: Table[FlowRow] = Table(self._look_at_flows, _OF_FLOWS, self._forget)
        self.console = ""  # the address of the connection over which the console asks

    def sessions(self) -> list[Session]:
        """Return the sessions that are listed: all but the client's end of a connection within this event loop."""
        return [session for session in sessions_here() if not _is_second_end(session)]

    def _number(self, session: Session) -> int:
        number = self._numbers.get(session)
        if number is None:
            number = self._numbers[session] = next(self._next)
        return number

    async def _look_at_connections(self, now_s: float) -> list[ConnectionRow]:
        self._traffic.begin(now_s)
        return [self._connection(session) async for session in in_slices(self.sessions())]

    def _connection(self, session: Session) -> ConnectionRow:
        number, view = self._number(session), view_of(session)
        received = self._traffic.rate((number, "received"), view.received_bytes)
        sent = self._traffic.rate((number, "sent"), view.sent_bytes or 0)
        return ConnectionRow(number, view, session.remote == self.console, received, sent)

    # ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_at_flows(self, now_s: float) -> list[FlowRow]:
        self._items.begin(now_s)
        before, self._waits = self._waits, {}
        return [self._timed(row, held, before, now_s) async for row, held in in_slices(self._all_flows())]

    def _all_flows(self) -> Iterator[tuple[FlowRow, str]]:
        """Iterate over the flows of all connections but the console's, then over those within this process."""
        for session in self.sessions():
            if session.remote != self.console:
                number, remote, is_here = self._number(session), session.remote, _is_here(session)
                for view in flows_of(session):
                    yield _row_of(number, HERE if is_here else remote, view, is_here=is_here), view.held
        for cell in self._node._host.registry.matching(ALL_ACTORS):
            for info in streams_of(cell):
                if not info.peer and info.state == "open":
                    yield from _rows_within(info)

    def _timed(self, row: FlowRow, held: str, before: dict[str, _Wait], now_s: float) -> FlowRow:
        """Return a row with its rate, the side that waits, and since when."""
        key, earlier = row.key, self._items.before(row.key)
        row.rate = self._items.rate(key, row.sent)
        waits = {"consumer": "producer", "link": "link"}.get(held, "")
        if not waits and (row.kind == "unary" or (earlier == row.sent and not _has_more(row))):
            waits = "consumer"
        if waits:
            was = before.get(key)
            self._waits[key] = since = was if was is not None and was.side == waits else _Wait(waits, now_s)
            row.waits, row.waited_s = waits, now_s - since.since_s
        return row

    def _forget(self) -> None:
        self._items.forget()
        self._waits = {}


def _has_more(row: FlowRow) -> bool:
    """Whether the consumer surely has items that it has not taken, and so does not wait: they are counted late."""
    return row.here == "consumer" and row.buffered > row.window // 2


def _is_here(session: Session) -> bool:
    return session.hello is not None and session.hello.instance == session.instance


def _is_second_end(session: Session) -> bool:
    return session.role == "client" and _is_here(session)


def _row_of(number: int, remote: str, view: FlowView, *, is_here: bool) -> FlowRow:
    name, kind = named(view.target, view.kind)
    callee, caller = (name, remote) if view.callee else (f"{name} at {remote}", HERE)
    from_callee = view.outgoing == view.callee
    producer, consumer = (callee, caller) if from_callee else (caller, callee)
    here = "both" if is_here else "producer" if view.outgoing else "consumer"
    return FlowRow(
        *(f"{number}/{view.id}/{view.outgoing:d}", number, name, kind, producer, consumer, here),
        *(view.sent, max(view.sent - view.taken, 0), view.credit, view.window),
    )


def named(target: str, kind: str) -> tuple[str, str]:
    """Return what a target names, for people, and the kind of its stream: "lane" for the messages to an actor."""
    if target == _FOLLOW:
        return "a retained stream", "follow"
    if not target.startswith("/"):
        return target, kind
    name, _, verb = target[1:].partition("!")
    return name, verb or kind


def _rows_within(info: StreamInfo) -> Iterator[tuple[FlowRow, str]]:
    """Iterate over the directions of a stream or channel of an actor within this process."""
    key = f"{info.address}/{info.number}"
    held = "" if info.credit else "consumer"
    if not info.channel:
        name = f"{info.address}/{info.name}"
        row = FlowRow(key, 0, name, "stream", name, HERE, "both", info.sent, info.lag, info.credit, info.credit + info.lag)
        yield row, held
        return
    yield FlowRow(f"{key}/1", 0, info.address, "channel", info.address, HERE, "both", info.sent, 0, info.credit, 0), held
    into = FlowRow(f"{key}/0", 0, info.address, "channel", HERE, info.address, "both", info.received, info.lag, 0, 0)
    yield into, ""
