"""What a session and its streams hold and wait for, read from their ledgers. Nothing here is called by a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from penstock.protocol import CallKind, ReceiveHalf, SendHalf, WireStream, sent_bytes_of
from penstock.session._process import crowd
from penstock.session._session import Session
from penstock.session.lasting import LastingSession

ConnectionState = Literal["handshake", "connected", "draining", "detached"]
#: Why a producer sends nothing: its consumer has granted nothing more, or its link takes nothing more.
Held = Literal["", "consumer", "link"]

_UNARY: Final = CallKind.UNARY.label


class ConnectionView(msgspec.Struct, frozen=True, gc=False):
    """One connection.

    remote: the address of the other side; its scheme is the transport. role: that of this side, "client" or "server".
    agent: the name of the program at the other side, empty before the handshake. here: whether the other side is in this
    event loop, too. state: "detached" for a session that waits for another link. round_trip_s: the shortest recent round trip,
    None before the first measurement. silent_s: seconds since the last byte of the other side. streams: those that are open, of
    both sides. waiting: calls of this side that wait until the other side takes more. held_bytes, held_bytes_max: what this
    side holds for the other one, and its budget. received_bytes, sent_bytes: of all links; None when the session counts none.
    """

    remote: str
    role: str
    agent: str
    here: bool
    state: ConnectionState
    round_trip_s: float | None
    silent_s: float
    streams: int
    waiting: int
    held_bytes: int
    held_bytes_max: int
    received_bytes: int
    sent_bytes: int | None


class FlowView(msgspec.Struct, frozen=True, gc=False):
    """One direction of a stream with its items, or a unary call.

    id: of the stream on its connection. outgoing: whether its producer is here. callee: whether the other side opened it.
    sent: items that the producer has sent, as far as this side knows. taken: those that the consumer has taken; it counts
    them in chunks, and tells it with credit: at most half a window late. credit: items that may still be sent.
    window: items that the consumer grants ahead. held: why the producer cannot send. waits: whether the call has not begun.
    """

    id: int
    target: str
    kind: str
    outgoing: bool
    callee: bool
    sent: int
    taken: int
    credit: int
    window: int
    held: Held = ""
    waits: bool = False


def sessions_here() -> list[Session]:
    """Return the sessions of this event loop that are not over, the oldest first."""
    return [session for session in crowd().sessions() if isinstance(session, Session) and session.lost is None]


def view_of(session: Session) -> ConnectionView:
    """Return the state of a session."""
    connection, hello, budget = session._connection, session.hello, session.budget
    streams, keepalive = connection.streams, connection.keepalive
    return ConnectionView(
        remote=session.remote,
        role=session.role,
        agent="" if hello is None else hello.agent,
        here=hello is not None and hello.instance == session.instance,
        state=_state_of(session),
        round_trip_s=keepalive.measured_s,
        silent_s=keepalive.silent_s(session._now()),
        streams=len(streams),
        waiting=len(streams.waiting),
        held_bytes=budget.held_bytes,
        held_bytes_max=budget.max_bytes,
        received_bytes=connection.decoder.arrived_bytes,
        sent_bytes=sent_bytes_of(connection.links),
    )


def _state_of(session: Session) -> ConnectionState:
    if isinstance(session, LastingSession) and session.detached:
        return "detached"
    if session.hello is None:
        return "handshake"
    return "draining" if session.draining.is_set() else "connected"


def flows_of(session: Session) -> Iterator[FlowView]:
    """Iterate over the directions of the streams of a session. Streams that end meanwhile are left out."""
    for wire in session._connection.streams.all():
        if not wire.over:
            yield from _flows_of(wire)


def _flows_of(wire: WireStream) -> Iterator[FlowView]:
    opened = wire.opened
    if not opened.kind:
        waits = wire.waits_since is not None and not wire.begun
        yield FlowView(wire.id, opened.target, _UNARY, wire.callee, wire.callee, 0, 0, 0, 0, waits=waits)
        return
    label = CallKind(opened.kind).label
    out, into = opened.streams_requests, opened.streams_responses
    if wire.callee:
        out, into = into, out
    if out and wire.send is not None and wire.sending == "open":
        yield _outgoing(wire, wire.send, label)
    if into and wire.receive is not None and wire.receive.final is None:
        yield _incoming(wire, wire.receive, label)


def _outgoing(wire: WireStream, half: SendHalf, label: str) -> FlowView:
    limit, sent = half.limit, half.pushed
    held: Held = "link" if half.is_stuffed() else "" if half.has_room() else "consumer"
    figures = (sent, limit.consumed, max(limit.items - sent, 0), limit.items - limit.consumed)
    return FlowView(wire.id, wire.opened.target, label, True, wire.callee, *figures, held)  # noqa: FBT003


def _incoming(wire: WireStream, half: ReceiveHalf, label: str) -> FlowView:
    grant, sent = half.grant, half.arrived
    credit = max(grant.items - sent, 0)
    held: Held = "" if credit and half.arrived_bytes < grant.bytes else "consumer"
    figures = (sent, min(grant.consumed_items, sent), credit, grant.window_items)
    return FlowView(wire.id, wire.opened.target, label, False, wire.callee, *figures, held)  # noqa: FBT003
