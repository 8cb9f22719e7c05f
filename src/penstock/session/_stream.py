"""`StreamHandle`: the verbs of one stream, for its owner.

A handle is bound to its session and its wire stream, and each verb also has its frames written. An owner that held the two
apart would have to write after every command, and a forgotten write is a hang that no type checker finds.
"""

from __future__ import annotations

from typing import Any, cast

from penstock.codec import Codec, Decode
from penstock.errors import StatusError, Unimplemented
from penstock.protocol import (
    Arrived,
    Budget,
    CallKind,
    Cancel,
    Grant,
    Open,
    ReceiveHalf,
    SendHalf,
    WireStream,
    shorten_deadline,
)
from penstock.session._endpoint import NULL_ENDPOINT, Carrier, Endpoint
from penstock.session._sink import RemoteSink
from penstock.session._source import RemoteSource
from penstock.session._status import cancel_of, status_of


class StreamHandle:
    """One stream.

    session: carries its frames.
    wire: its state in the protocol.
    opened: its `OPEN`.

    The verbs never wait. They raise `ProtocolError` for a step that the state of the stream does not allow.
    """

    __slots__ = ("_connection", "opened", "session", "wire")

    def __init__(self, session: Carrier, wire: WireStream) -> None:
        self.session = session
        self.wire = wire
        self.opened: Open = wire.opened
        self._connection = session._connection

    # ── state ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def over(self) -> bool:
        """Whether both directions have ended."""
        return self.wire.over

    @property
    def receiving(self) -> ReceiveHalf | None:
        """The half that collects the peer's items; None for a direction without items."""
        return self.wire.receive

    def attach(self, endpoint: Endpoint = NULL_ENDPOINT) -> None:
        """Send the events of the stream to `endpoint` from now on. Without one they are ignored."""
        self.wire.endpoint = endpoint

    # ── items ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def sink(self, codec: Codec) -> RemoteSink[Any]:
        """Return the sending end, for a kind of call with items in this direction."""
        return RemoteSink(self.session, self.wire, cast("SendHalf", self.wire.send), codec)

    def source(self, target: str, decode: Decode) -> RemoteSource[Any]:
        """Return the receiving end, for a kind of call with items in the peer's direction; errors name it `target`."""
        source: RemoteSource[Any] = RemoteSource(self.session, target, cast("ReceiveHalf", self.wire.receive), decode)
        source.wire = self.wire
        return source

    def feed_into(self, source: RemoteSource[Any]) -> None:
        """Let a source that was made before this stream hand out its items."""
        source.wire = self.wire

    def line_up(self) -> None:
        """Put queued items in line for writing. Call `session.flush` or `flush_soon` next."""
        self._connection.ready(self.wire)

    def consume(self, items: int, size_bytes: int) -> None:
        """Count items that the owner has taken from the receiving half, and give the peer credit when that is due."""
        if self._connection.consume(self.wire, items, size_bytes):
            self.session.flush_soon()

    def take_result(self, half: ReceiveHalf) -> Arrived:
        """Return the one batch of a unary answer, which has just arrived."""
        return self._connection.take_result(half)

    def discard(self) -> None:
        """Drop the buffered items and all that still arrive."""
        self._connection.discard(self.wire)

    # ── the callee ────────────────────────────────────────────────────────────────────────────────────────────────────

    def has_waited(self, since_s: float) -> bool:
        """Take the time since then from the deadline of a peer's call that begins late; return whether a part of it is left."""
        self.wire.waits_since = since_s
        is_left = shorten_deadline(self.wire, self.session.loop.time())
        self.opened = self.wire.opened
        return is_left

    def repeat_end(self) -> None:
        """Tell the endpoint that the caller's items have ended, which was before it was attached."""
        if not self.over:
            self.wire.endpoint.on_ended(None)

    def begin_handling(self, endpoint: Endpoint) -> None:
        """Attach the endpoint of a peer's call, whose handler begins. Call `end_handling` when the handler is done."""
        wire = self.wire
        wire.endpoint = endpoint
        wire.handled = True
        if not self.opened.kind:
            self.session.unary_answers += 1

    def end_handling(self) -> None:
        """Record that the handler is done; the bytes held for the call are freed."""
        wire = self.wire
        if not self.opened.kind:
            self.session.unary_answers -= 1
        wire.endpoint = NULL_ENDPOINT
        self._connection.handled(wire)

    def forget_argument(self) -> None:
        """Drop a large encoded argument after it was decoded."""
        self.wire.forget_argument()
        self.opened = self.wire.opened

    def accept(self, grant: Grant | None, payload: bytes | None = None) -> None:
        """Send `ACCEPT`.

        grant: the first credit for the caller's items; None for a kind without items from the caller.
        payload: encoded data for the caller.

        Raises `ResourceExhausted` for a payload over the peer's limit; then nothing was sent.
        """
        self._connection.accept(self.wire, grant, payload=payload)
        self.session.flush_soon()

    def accept_on_arrival(self, grant: Grant | None) -> None:
        """As `accept`, but only while the call is being read: the session writes after each read.

        The answer of a handler that ends in its first turn of the loop then leaves together with its `ACCEPT`.
        """
        self._connection.accept(self.wire, grant)

    def answer(self, encoded: bytes) -> bool:
        """Send the one response and end the call. Without credit from the caller, send nothing and return False.

        Raises `ResourceExhausted` when too many bytes wait for the peer.
        """
        session = self.session
        answered = self._connection.answer(self.wire, encoded)
        if answered:
            session.flush_for(session.unary_answers)
        return answered

    def fail(self, error: StatusError) -> None:
        """End a peer's call with `error`, after the queued items."""
        self._connection.fail(self.wire, status_of(error))
        self.session.flush_soon()

    def stop(self, message: str) -> None:
        """Request the end of the caller's items; the items of this side go on."""
        self._connection.stop(self.wire, Cancel(message=message))
        self.session.flush_soon()

    def hold(self, size_bytes: int, *, answer: bool = False) -> None:
        """Charge bytes that this side holds for a peer's call; a negative number gives bytes back.

        Raises `ResourceExhausted` for an answer that does not fit into the budget.
        """
        self._connection.hold(self.wire, size_bytes, answer=answer)

    @property
    def holds_too_much(self) -> bool:
        """Whether the bytes held for this call have reached their limit, or the budget of the connection is tight."""
        return self.wire.held_bytes >= self.session.settings.max_unsent_bytes or self._connection.budget.is_tight

    @property
    def budget(self) -> Budget:
        """What the connection holds."""
        return self._connection.budget

    # ── the caller ────────────────────────────────────────────────────────────────────────────────────────────────────

    def cancel(self, error: BaseException) -> None:
        """Cancel a call of this side because of `error`: queued frames are dropped, arriving frames are ignored.

        The `started` of `error` becomes False when the `OPEN` of the call has not left.
        """
        if isinstance(error, StatusError) and not self.wire.begun:
            error.started = False
        self._connection.cancel(self.wire, cancel_of(error))
        self.session.flush_soon()

    def begin_unary(self) -> None:
        """Write the `OPEN` of a unary call: at once for a lone call. Call `end_unary` when the call is over."""
        session = self.session
        session.unary_calls += 1
        session.flush_for(session.unary_calls)

    def end_unary(self) -> None:
        """Record that a unary call of this side is over, with any outcome."""
        self.wire.endpoint = NULL_ENDPOINT
        self.session.unary_calls -= 1

    # ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def end(self) -> None:
        """End this direction normally, after its queued items. For a callee this ends the call."""
        self._connection.end(self.wire)
        self.session.flush_soon()

    def half_close(self) -> None:
        """End this direction normally, after its queued items; the other direction goes on, for a callee too."""
        self._connection.half_close(self.wire)
        self.session.flush_soon()

    def close(self, reason: str) -> None:
        """End both directions normally, after the queued items. Also call `discard` when arriving items have no consumer."""
        self._connection.close(self.wire, reason)
        self.session.flush_soon()

    def __repr__(self) -> str:
        state = "over" if self.over else "open"
        return f"<StreamHandle {self.opened.target} {CallKind(self.opened.kind).label}, {state}>"


def refuse(stream: StreamHandle) -> None:
    """Refuse a call of the peer: this side takes none."""
    stream.fail(Unimplemented("this side takes no calls", started=False))
