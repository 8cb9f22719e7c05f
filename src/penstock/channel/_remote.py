"""The wire of a channel to another process: a bidirectional stream of a session (PROTOCOL.md 6.10, 6.11).

The session holds a wire only weakly, by a `WeakEndpoint`. A channel that the program has forgotten therefore fails.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

from penstock._outcomes import sole_error, text_of
from penstock.channel._wire import ChannelEvents, Wire
from penstock.codec import MSGPACK, UNDECODABLE, UNENCODABLE, Decode, refuse_value
from penstock.errors import (
    Cancelled,
    ChannelRejected,
    DataLoss,
    EndOfStream,
    Internal,
    InvalidArgument,
    StatusError,
    StreamCancelled,
    StreamClosed,
)
from penstock.protocol import Accept, Cancel, ReceiveHalf, Status
from penstock.session import Endpoint, RemoteSink, RemoteSource, StreamHandle, WeakEndpoint, error_of, error_of_cancel

T = TypeVar("T")

_PAYLOAD: Final = MSGPACK.decode_for(Any)


class RemoteWire(RemoteSource[T], Wire, Endpoint):
    """The wire of one end whose other end is in another process.

    It is the endpoint of its stream and the source of the messages that arrive, as `RemoteStream` is for a call. `half` is the
    half that collects the messages; for the acceptor the connection makes another one with the same grant when it accepts.
    """

    __slots__ = ("_handle", "_sink", "_stopped", "events")

    def __init__(self, events: ChannelEvents, handle: StreamHandle, half: ReceiveHalf, decode: Decode) -> None:
        super().__init__(handle.session, events.opening.target, half, decode)
        self.events = events
        self._sink = handle.sink(MSGPACK)
        self.bad_item = DataLoss if events.opener else InvalidArgument
        self._handle = handle
        self._stopped = False  # by the acceptor: queued messages were dropped and cannot be counted
        handle.attach(WeakEndpoint(self))

    def ends(self) -> tuple[RemoteSink[Any], RemoteSource[Any]]:
        return self._sink, self

    # ── the six steps ─────────────────────────────────────────────────────────────────────────────────────────────────

    def accept(self, payload: Any) -> None:
        try:
            encoded = None if payload is None else MSGPACK.encode(payload)
        except UNENCODABLE as error:
            refuse_value(error, f"{self.target}: the payload of accept() cannot travel", InvalidArgument)
        self._handle.accept(self._half.grant, encoded)
        self._half = cast("ReceiveHalf", self._handle.receiving)
        self._handle.feed_into(self)

    def half_close(self) -> None:
        self._sink.finish(StreamClosed())
        self._handle.half_close()

    def close(self, reason: str) -> None:
        self._detach()
        if self._stopped:
            self._handle.cancel(Cancelled(reason))
        else:
            self._handle.close(reason)

    def fail(self, error: Exception) -> None:
        self._detach()
        cause = sole_error(error)
        status = cause if isinstance(cause, StatusError) else Internal(f"the other side has stopped: {type(cause).__name__}")
        if self.events.opener:
            self._handle.cancel(status)
        else:
            self._handle.fail(status)

    def complete(self) -> None:
        if not self.events.opener:  # the opener waits for the end of the call, which the acceptor sends
            self._handle.close("")
            self.events.completed()

    def drop(self) -> None:
        self.discard(StreamClosed())

    def _detach(self) -> None:
        """Leave the stream: this side sends nothing more, and takes nothing more."""
        self._handle.attach()
        self._sink.finish(StreamClosed())
        self.drop()

    def fail_locally(self, error: StatusError) -> None:
        self.finish(error)
        self.end_with("lost", error)

    # ── events of the stream ──────────────────────────────────────────────────────────────────────────────────────────

    def on_accepted(self, accept: Accept) -> None:
        try:
            payload = None if accept.payload is None else _PAYLOAD.value(accept.payload)
        except UNDECODABLE as error:
            self.end_with("lost", DataLoss(f"{self.target}: the payload of accept() cannot be read: {text_of(error)}"))
        else:
            self._handle.feed_into(self)
            self.events.opened(payload)
            self._sink.on_room()

    def on_items(self) -> None:
        self.wake()

    def on_room(self) -> None:
        self._sink.on_room()

    def on_half_closed(self) -> None:
        self.finish(EndOfStream())
        if self.events.half_closed():
            self.complete()

    def on_ended(self, status: Status | None) -> None:
        """For the acceptor, the opener's messages have ended; for the opener, the whole call."""
        if not self.events.opener:
            self.on_half_closed()
        elif status is not None and status.code:
            self.on_lost(cast("StatusError", error_of(status, self.session.remote)))
        elif self.events.life.opened:
            self.on_closed(status.message if status is not None else "")
        else:
            reason = status.message if status is not None else ""
            self.on_lost(ChannelRejected(reason or "closed before it was accepted"))

    def on_closed(self, reason: str) -> None:
        """The other side has closed the channel, after its last message; before it was accepted, the opener has left."""
        if not self.events.life.opened:
            self.on_lost(StreamCancelled(reason))
            return
        self.events.closed(reason)
        self.finish(EndOfStream())
        self._sink.finish(StreamClosed())

    def on_stop_sending(self, cancel: Cancel) -> None:
        """The acceptor takes no more messages; its own may still come (rule 6.6)."""
        self._stopped = True
        self.events.life.end_sending()
        self._sink.finish(StreamCancelled(cancel.message))

    def on_cancelled(self, cancel: Cancel) -> None:
        self.on_lost(error_of_cancel(cancel))

    def on_lost(self, error: StatusError) -> None:
        """The other side has failed or rejected the channel, or the connection is gone."""
        self.events.failed(error)
        self.finish(error)
        self._sink.finish(StreamClosed())
