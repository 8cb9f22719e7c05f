"""A channel to another process: a bidirectional stream of a session (PROTOCOL.md 6.10, 6.11). It decides no demand.

The session holds a channel by a `_Watch`, which knows it only weakly: a channel that everybody has forgotten fails.
"""

from __future__ import annotations

import weakref
from typing import Any, Final, TypeVar, cast

from penstock.channel._channel import Channel
from penstock.codec import MSGPACK, UNDECODABLE, UNENCODABLE, Decode
from penstock.errors import (
    Cancelled,
    ChannelClosed,
    ChannelRejected,
    DataLoss,
    EndOfStream,
    Internal,
    InvalidArgument,
    StatusError,
    StreamCancelled,
    StreamClosed,
)
from penstock.protocol import Accept, CallKind, Cancel, Open, ReceiveHalf, Settings, Status, grant_for
from penstock.session import Endpoint, RemoteSink, RemoteSource, Session, StreamHandle, error_of, error_of_cancel

T = TypeVar("T")

_PAYLOAD: Final = MSGPACK.decode_for(Any)


class RemoteChannel(Channel[T]):
    """One end of a channel whose other end is elsewhere."""

    __slots__ = ("_decode", "_half", "_remote_sink", "_remote_source", "_stopped", "_stream", "_wire")

    def __init__(
        self, settings: Settings, decode: Decode, names: tuple[str, str, str, Any], *, opener: bool, buffer_size: int
    ) -> None:
        if buffer_size < 1:
            raise ValueError(f"buffer_size is {buffer_size}; a channel holds at least one message")
        super().__init__(*names, opener=opener)
        self._decode = decode
        self._half = ReceiveHalf(grant_for(settings, buffer_size, None))
        self._remote_source: _ChannelSource[T] | None = None
        self._stopped = False

    def begin(self, session: Session, target: str, argument: bytes | None, metadata: dict[str, str]) -> None:
        """Send the `OPEN`. Raises what makes it impossible; then nothing was sent."""
        grant = self._half.grant
        opened = Open(target, CallKind.BIDIRECTIONAL, MSGPACK.number, grant.items, grant.bytes, argument, metadata)
        try:
            self.take(session.open(opened, self._half, Endpoint()))
        except StatusError as error:
            self._life.end("lost", error.message, error.fresh_copy())
            raise

    def take(self, stream: StreamHandle) -> None:
        """Belong to this stream from now on."""
        self._stream = stream
        self._remote_sink: RemoteSink[Any] = stream.sink(MSGPACK)
        self._wire = _Watch(self)
        stream.attach(self._wire)

    # ── steps that tell the other side ────────────────────────────────────────────────────────────────────────────────

    def _tell_accepted(self, payload: Any) -> None:
        try:
            encoded = None if payload is None else MSGPACK.encode(payload)
        except UNENCODABLE as error:
            raise InvalidArgument(f"{self.target}: the channel cannot be accepted with it: {error}") from error
        self._stream.accept(self._half.grant, encoded)
        self._half = cast("ReceiveHalf", self._stream.receiving)

    def _tell_half_closed(self) -> None:
        self._remote_sink.finish(StreamClosed())
        self._stream.half_close()

    def _tell_closed(self, reason: str) -> None:
        self._leave()
        if self._stopped:  # what was dropped cannot be counted
            self._stream.cancel(Cancelled(reason))
        else:
            self._stream.close(reason)

    def _tell_failed(self, error: Exception) -> None:
        self._leave()
        told = error if isinstance(error, StatusError) else Internal(f"the other side has stopped: {type(error).__name__}")
        if self.opener:
            self._stream.cancel(told)
        else:
            self._stream.fail(told)

    def _complete(self) -> None:
        if not self.opener:  # the opener waits for this, and for nothing else
            self._stream.close("")
            self._ended("closed", "", ChannelClosed("both sides have ended the channel"))

    def _leave(self) -> None:
        """Nothing more is sent or wanted here."""
        self._stream.detach()
        self._remote_sink.finish(StreamClosed())
        self._drop()

    def _drop(self) -> None:
        if self._remote_source is not None:
            self._remote_source.discard(StreamClosed())

    # ── what happens to the stream ────────────────────────────────────────────────────────────────────────────────────

    def _opened(self, payload: Any) -> None:
        source: _ChannelSource[T] = _ChannelSource(self._stream.session, self.target, self._half, self._decode)
        source.stream = self._stream.wire
        source.watch = self._wire
        source.bad_item = DataLoss if self.opener else InvalidArgument
        self._remote_source = self._source = source
        self._sink = self._remote_sink
        if self._life.ended_there:
            source.finish(EndOfStream())
        super()._opened(payload)

    def accepted_there(self, accept: Accept) -> None:
        """The other side has accepted."""
        try:
            payload = None if accept.payload is None else _PAYLOAD.value(accept.payload)
        except UNDECODABLE as error:
            self.fail(DataLoss(f"{self.target}: what the channel was accepted with cannot be read: {error}"))
        else:
            self._opened(payload)
            self._remote_sink.on_room()

    def arrived(self) -> None:
        """Messages are here."""
        if self._remote_source is not None:
            self._remote_source.wake()

    def room(self) -> None:
        """There is credit."""
        self._remote_sink.on_room()

    def stopped_there(self, why: str) -> None:
        """The acceptor takes no more messages; its own may still come (rule 6.6)."""
        self._stopped = self._life.ended_here = True
        self._remote_sink.finish(StreamCancelled(why))

    def half_closed_there(self) -> None:
        """The other side's messages have ended."""
        if self._remote_source is not None:
            self._remote_source.finish(EndOfStream())
        self._half_closed_there()

    def ended_there(self, status: Status | None) -> None:
        """The acceptor has ended the call."""
        if status is not None and status.code:
            self.failed_there(cast("StatusError", error_of(status)))
        elif self._life.opened:
            self.closed_there(status.message if status is not None else "")
        else:
            self.failed_there(
                ChannelRejected((status.message if status is not None else "") or "closed before it was accepted")
            )

    def closed_there(self, reason: str) -> None:
        """The other side has closed the channel, after its last message."""
        self._closed_there(reason)
        if self._remote_source is not None:
            self._remote_source.finish(EndOfStream())
        self._remote_sink.finish(StreamClosed())

    def failed_there(self, error: StatusError) -> None:
        """The other side has failed the channel, or is gone."""
        self._failed_there(error)
        if self._remote_source is not None:
            self._remote_source.finish(error)
        self._remote_sink.finish(StreamClosed())


class _ChannelSource(RemoteSource[T]):
    """The messages that arrive; a bad one fails the channel."""

    __slots__ = ("watch",)
    watch: _Watch

    def fail_locally(self, error: StatusError) -> None:
        self.finish(error)
        self.watch.spoiled(error)


class _Watch(Endpoint):
    """What the session holds of a channel: it tells what happens, as long as somebody else wants it."""

    __slots__ = ("_channel",)

    def __init__(self, channel: RemoteChannel[Any]) -> None:
        self._channel = weakref.ref(channel)

    def on_accepted(self, accept: Accept) -> None:
        channel = self._channel()
        if channel is not None:
            channel.accepted_there(accept)

    def on_items(self) -> None:
        channel = self._channel()
        if channel is not None:
            channel.arrived()

    def on_room(self) -> None:
        channel = self._channel()
        if channel is not None:
            channel.room()

    def on_half_closed(self) -> None:
        channel = self._channel()
        if channel is not None:
            channel.half_closed_there()

    def on_ended(self, status: Status | None) -> None:
        channel = self._channel()
        if channel is None:
            return
        if channel.opener:
            channel.ended_there(status)
        else:
            channel.half_closed_there()

    def on_closed(self, reason: str) -> None:
        channel = self._channel()
        if channel is not None and channel.state == "opening":
            channel.failed_there(StreamCancelled(reason))
        elif channel is not None:
            channel.closed_there(reason)

    def on_stop_sending(self, cancel: Cancel) -> None:
        channel = self._channel()
        if channel is not None:
            channel.stopped_there(cancel.message)

    def on_cancelled(self, cancel: Cancel) -> None:
        self._fail(error_of_cancel(cancel))

    def on_lost(self, error: StatusError) -> None:
        self._fail(error)

    def spoiled(self, error: StatusError) -> None:
        """A message does not fit its type."""
        channel = self._channel()
        if channel is not None:
            channel.fail(error)

    def _fail(self, error: StatusError) -> None:
        channel = self._channel()
        if channel is not None:
            channel.failed_there(error)
