"""One connection, without any I/O (PROTOCOL.md): routes frames through tables to the ledgers. It never waits and never reads a clock.

Bytes go in (`get_buffer`, `buffer_updated`), events come out; commands go in (`open`, `accept`, `end`, `cancel` …), bytes come out
(`data_to_send`). Every rule lives in a ledger of its own: `_credit`, `_send`, `_receive`, `_scheduler`, `_keepalive`, `_states`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from penstock.errors import ProtocolError, ResourceExhausted, Unavailable
from penstock.protocol import _events as ev
from penstock.protocol._compression import available, compressor, decompress
from penstock.protocol._credit import Grant, Limit
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import (
    COMPRESSED,
    DECODERS,
    ITEMS_PREFIX,
    ITEMS_PREFIX_BYTES,
    LAST,
    MAGIC,
    MORE,
    VERSION,
    Cancel,
    FrameType,
    GoAway,
    Hello,
    Open,
    Ping,
    Resumed,
    Status,
)
from penstock.protocol._keepalive import KeepAlive
from penstock.protocol._outbox import Outbox
from penstock.protocol._receive import Reassembly, ReceiveHalf
from penstock.protocol._send import BATCH_BYTES, LAYOUTS, Segment, SendHalf
from penstock.protocol._settings import Settings
from penstock.protocol._stream import WireStream, refusal

_FIRST_ID: Final = {"client": 1, "server": 2}


class Connection:
    """The state of one connection. `role` is "client" for the side that dialled. Times are seconds of one steady clock."""

    def __init__(
        self, role: str, settings: Settings, now_s: float, *, agent: str = "", epoch: int = 0, token: bytes = b""
    ) -> None:
        self.settings = settings
        self.role = role
        self.streams: dict[int, WireStream] = {}
        self.peer: Hello | None = None
        self.failed = False
        self.draining = False
        self.peer_draining = False
        self.buffered_bytes = 0
        self.keepalive = KeepAlive(now_s, handshake_timeout_s=settings.handshake_timeout_s, keepalive_s=settings.keepalive_s)
        self._decoder = FrameDecoder()
        self._outbox = Outbox()
        self._unbegun: dict[WireStream, None] = {}
        self._reassembly = Reassembly(settings.max_item_bytes + settings.max_header_bytes + BATCH_BYTES)
        self._next_id = _FIRST_ID[role]
        self._highest_peer_id = 0
        self._peer_streams = 0
        self._our_streams = 0
        self._compress: Callable[[list[Segment]], list[Segment] | None] | None = None
        self._outbox.tell(
            FrameType.HELLO,
            Hello(
                MAGIC,
                VERSION,
                settings.max_frame_bytes,
                settings.max_item_bytes,
                settings.max_header_bytes,
                settings.max_streams,
                available(),
                agent,
                epoch,
                token,
            ),
        )

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, opened: Open, receive: ReceiveHalf) -> WireStream:
        """Begin a call. `receive` is where the callee's items go; `opened` carries its grant.

        Raises `Unavailable` before the handshake, after a drain and after the end, `ResourceExhausted` when the peer takes
        no more streams or the metadata are too large.
        """
        peer = self._usable_peer()
        if self._our_streams >= peer.max_streams:
            raise ResourceExhausted(f"the peer takes {peer.max_streams} open streams on one connection", started=False)
        stream = WireStream(opened, callee=False)
        if opened.streams_requests:
            stream.send = self._send_half(Limit(), opened.codec)
        stream.receive = receive
        stream.open()
        self._our_streams += 1
        self._unbegun[stream] = None
        self.ready(stream)
        return stream

    def accept(self, stream: WireStream, grant: Grant | None, epoch: int = 0) -> None:
        """Tell the caller that its call was begun, and how far it may go with its items: `grant`, None when its kind has none."""
        stream.sends(FrameType.ACCEPT)
        if grant is not None:
            stream.receive = ReceiveHalf(grant)
            if stream.receiving == "ended":
                stream.receive.final = 0
        self._outbox.tell(FrameType.ACCEPT, (epoch, 0, grant.items if grant else 0, grant.bytes if grant else 0), stream.id)

    def ready(self, stream: WireStream) -> None:
        """This stream has something to send."""
        self._outbox.ready(stream)

    def end(self, stream: WireStream) -> None:
        """End our direction of a stream normally, after what is queued."""
        stream.end()
        self.ready(stream)

    def fail(self, stream: WireStream, status: Status) -> None:
        """End a call that the peer opened with an error, after what is queued."""
        stream.fail(status)
        self.ready(stream)

    def cancel(self, stream: WireStream, cancel: Cancel) -> None:
        """Give up a call of ours: what is queued is forgotten, what arrives is ignored."""
        stream.stop_sending()
        if stream.sending != "closed":
            stream.sending = "closed"
            if stream.begun:
                self._outbox.tell(FrameType.CANCEL, cancel, stream.id)
        self._remove(stream)

    def stop(self, stream: WireStream, cancel: Cancel) -> None:
        """Tell the caller that we want no more of its items; our answer goes on."""
        if stream.sending == "open" and stream.receiving == "open":
            self._outbox.tell(FrameType.CANCEL, cancel, stream.id)

    def consume(self, stream: WireStream, items: int, size: int) -> bool:
        """Count what the consumer took of a stream; return whether there is something to tell the peer."""
        half = stream.receive
        assert half is not None
        self.buffered_bytes -= size
        if half.grant.consume(items, size) and half.final is None and stream.begun:
            self._outbox.owe_credit(stream)
            return True
        return False

    def discard(self, stream: WireStream) -> None:
        """Forget what waits for a consumer that will not come."""
        half = stream.receive
        if half is not None:
            self.buffered_bytes -= half.waiting_bytes
            half.grant.consumed_bytes = half.arrived_bytes
            half.queue.clear()

    def all_streams(self) -> list[WireStream]:
        """Every stream that is not over, those whose `OPEN` has not left included."""
        return [*self.streams.values(), *self._unbegun]

    def refuse_resume(self, message: str) -> None:
        """Tell the peer that its earlier session cannot be taken up (rule 9.5)."""
        self._outbox.tell(FrameType.RESUMED, Resumed(9, message=message))

    def drain(self, message: str, code: int = 0) -> None:
        """Tell the peer to open no more streams here."""
        self.draining = True
        self._outbox.tell(FrameType.GOAWAY, GoAway(self._highest_peer_id, code, message))

    # ── bytes out ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def has_data(self) -> bool:
        return self._outbox.has_data()

    def data_to_send(self, budget_bytes: int, now_s: float) -> list[Segment]:
        """Return what to write now: control frames, then frames of streams in turn until `budget_bytes` are reached."""
        self._outbox.tell_credits(now_s, self.keepalive.round_trip_s)
        out = self._outbox.take_control()
        if self.peer is not None and not self.failed:
            self._outbox.take_frames(out, budget_bytes, self.peer.max_frame_bytes, self._begin, self._remove)
        return out

    def _begin(self, stream: WireStream) -> None:
        """Give a stream its id as its first frame leaves, so that ids reach the peer in order (rule 3.2)."""
        stream.id = self._next_id
        self._next_id += 2
        self._unbegun.pop(stream, None)
        self.streams[stream.id] = stream

    # ── bytes in ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_buffer(self, size_hint: int = -1) -> memoryview:
        """Return the memory for the next bytes."""
        return self._decoder.get_buffer(size_hint)

    def buffer_updated(self, size: int, now_s: float) -> list[ev.Event]:
        """Return what the next `size` bytes in the buffer mean. After `Failed` nothing more is read."""
        events: list[ev.Event] = []
        if self.failed:
            return events
        self.keepalive.heard(now_s)
        try:
            for kind, flags, stream_id, body in self._decoder.buffer_updated(size):
                if kind == FrameType.ITEMS:
                    self._on_items(flags, stream_id, body, events)
                elif kind == FrameType.OPEN:
                    self._on_open(flags, stream_id, body, events)
                else:
                    self._on_control(kind, stream_id, body, events, now_s)
        except ProtocolError as error:
            self._fail(error, events)
        return events

    def receive_data(self, data: bytes | memoryview, now_s: float) -> list[ev.Event]:
        """As `get_buffer` and `buffer_updated`, for bytes that are somewhere else."""
        events: list[ev.Event] = []
        view = memoryview(data)
        while view and not self.failed:
            room = self.get_buffer()
            part = view[: len(room)]
            room[: len(part)] = part
            view = view[len(part) :]
            events += self.buffer_updated(len(part), now_s)
        return events

    def _on_control(self, kind: int, stream_id: int, body: memoryview, events: list[ev.Event], now_s: float) -> None:
        if self.peer is None and kind != FrameType.HELLO:
            raise ProtocolError("2.1", f"{FrameType(kind).name} before HELLO")
        decoded = self._decode(kind, body)
        if stream_id:
            stream = self._stream(kind, stream_id)
            if stream is not None:
                _ON_STREAM[kind](self, stream, decoded, events)
        else:
            _ON_CONNECTION[kind](self, decoded, events, now_s)

    def _decode(self, kind: int, body: memoryview) -> Any:
        if kind != FrameType.OPEN and len(body) > self.settings.max_header_bytes:
            raise ProtocolError("10.2", f"a control frame of {len(body)} bytes, over {self.settings.max_header_bytes}")
        try:
            return DECODERS[kind].decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProtocolError("1.7", f"a body of {FrameType(kind).name} that cannot be read: {error}") from error

    def _stream(self, kind: int, stream_id: int) -> WireStream | None:
        """Find a stream. One that was here and is over is None (rule 3.5); one that never was breaks rule 3.3."""
        stream = self.streams.get(stream_id)
        if stream is None:
            ours = stream_id % 2 == _FIRST_ID[self.role] % 2
            if stream_id >= self._next_id if ours else stream_id > self._highest_peer_id:
                raise ProtocolError("3.3", f"{FrameType(kind).name} on stream {stream_id}, which was never opened")
        return stream

    def _on_open(self, flags: int, stream_id: int, body: memoryview, events: list[ev.Event]) -> None:
        if self.peer is None:
            raise ProtocolError("2.1", "OPEN before HELLO")
        known = stream_id in self._reassembly
        if not known:
            if stream_id % 2 == _FIRST_ID[self.role] % 2 or stream_id <= self._highest_peer_id:
                raise ProtocolError("3.2", f"OPEN with the id {stream_id}, which is not a new id of the {self._other()}")
            self._highest_peer_id = stream_id
        if flags & MORE or known:
            body = memoryview(self._reassembly.add(stream_id, (FrameType.OPEN, flags & LAST, 0), body))
            if self._reassembly.total_bytes > self.settings.max_buffered_bytes:
                raise ProtocolError("10.4", f"over {self.settings.max_buffered_bytes} bytes in unfinished messages")
            if flags & MORE:
                return
            self._reassembly.drop(stream_id)
        opened: Open = self._decode(FrameType.OPEN, body)
        if opened.streams_requests == bool(flags & LAST):
            raise ProtocolError("3.6", "OPEN whose LAST flag does not fit its kind")
        self._take_stream(stream_id, opened, len(body), flags, events)

    def _take_stream(self, stream_id: int, opened: Open, size: int, flags: int, events: list[ev.Event]) -> None:
        refused = (
            Status(14, "unavailable", "this side is draining and takes no new calls", started=False) if self.draining else None
        )
        refused = refused or refusal(
            opened, size, self.settings, open_streams=self._peer_streams, buffered_bytes=self.buffered_bytes
        )
        if refused is not None:
            self._outbox.tell(FrameType.STATUS, refused, stream_id)
            return
        stream = WireStream(opened, callee=True)
        stream.id = stream_id
        stream.receives(FrameType.OPEN, flags)
        stream.send = self._send_half(Limit(opened.credit_items, opened.credit_bytes), opened.codec)
        self.streams[stream_id] = stream
        self._peer_streams += 1
        events.append(ev.Opened(stream))

    def _on_items(self, flags: int, stream_id: int, body: memoryview, events: list[ev.Event]) -> None:
        if self.peer is None:
            raise ProtocolError("2.1", "ITEMS before HELLO")
        stream = self._stream(FrameType.ITEMS, stream_id)
        if stream is None:
            return
        if len(body) < ITEMS_PREFIX_BYTES:
            raise ProtocolError("4.1", "ITEMS shorter than its prefix")
        offset, count = ITEMS_PREFIX.unpack_from(body)
        half = stream.receive
        if half is None:
            raise ProtocolError("3.4", f"ITEMS on stream {stream_id}, whose kind has none in this direction")
        known = stream_id in self._reassembly
        if not known and not half.check_start(offset, count):
            return
        payload: bytes | bytearray
        if flags & MORE or known:
            payload = self._reassembly.add(stream_id, (offset, count, flags & ~MORE), body[ITEMS_PREFIX_BYTES:])
            if flags & MORE:
                return
            self._reassembly.drop(stream_id)
        else:
            payload = bytes(body[ITEMS_PREFIX_BYTES:])
        if flags & COMPRESSED:
            payload = decompress(payload, self.settings.max_item_bytes + BATCH_BYTES)
        elif len(payload) > self.settings.max_item_bytes + BATCH_BYTES:
            raise ProtocolError("4.6", f"a batch of {len(payload)} bytes, over {self.settings.max_item_bytes} and a batch")
        stream.receives(FrameType.ITEMS, flags)
        half.add(offset, count, payload)
        self.buffered_bytes += len(payload)
        events.append(ev.ItemsArrived(stream))
        if flags & LAST:
            half.final = half.arrived
            self._ended(stream, None, events)

    # ── frames of a stream ────────────────────────────────────────────────────────────────────────────────────────────

    def _on_accept(self, stream: WireStream, accept: Any, events: list[ev.Event]) -> None:
        stream.receives(FrameType.ACCEPT)
        if stream.send is not None:
            stream.send.limit.items, stream.send.limit.bytes = accept.credit_items, accept.credit_bytes
        events.append(ev.Accepted(stream, accept))

    def _on_credit(self, stream: WireStream, credit: Any, events: list[ev.Event]) -> None:
        stream.receives(FrameType.CREDIT)
        half = stream.send
        if half is not None:
            more = half.limit.raise_to(credit, half.sent)
            half.consumed()
            if more:
                events.append(ev.RoomMade(stream))

    def _on_end(self, stream: WireStream, end: Any, events: list[ev.Event]) -> None:
        stream.receives(FrameType.END)
        if stream.receive is not None:
            stream.receive.finish(end.count)
        self._ended(stream, None, events)

    def _on_status(self, stream: WireStream, status: Any, events: list[ev.Event]) -> None:
        stream.receives(FrameType.STATUS)
        if stream.receive is not None and status.code == 0:
            stream.receive.finish(status.count)
        self._ended(stream, status, events)

    def _on_cancel(self, stream: WireStream, cancel: Any, events: list[ev.Event]) -> None:
        stream.receives(FrameType.CANCEL)
        if stream.callee:
            stream.sending = "closed"
            stream.stop_sending()
            self._remove(stream)
            events.append(ev.CallCancelled(stream, cancel))
        else:
            if stream.sending == "open":
                stream.sending = "ended"
                stream.stop_sending()
            events.append(ev.StopSending(stream, cancel))

    def _ended(self, stream: WireStream, status: Status | None, events: list[ev.Event]) -> None:
        if not stream.callee:
            stream.sending = "closed"
            stream.stop_sending()
            self._remove(stream)
        events.append(ev.Ended(stream, status))

    # ── frames of the connection ──────────────────────────────────────────────────────────────────────────────────────

    def _on_hello(self, hello: Hello, events: list[ev.Event], now_s: float) -> None:
        if self.peer is not None:
            raise ProtocolError("2.3", "a second HELLO")
        if hello.magic != MAGIC:
            raise ProtocolError("2.2", "the other side does not speak Penstock")
        if hello.version < VERSION:
            raise ProtocolError("2.2", f"the other side speaks version {hello.version}, this side {VERSION}")
        self.peer = hello
        self._compress = compressor(self.settings, hello.compressions)
        self._decoder.grow(self.settings.max_frame_bytes)
        self.keepalive.handshake_done(now_s)
        self._outbox.tell(FrameType.PING, Ping(self.keepalive.ask(now_s)))
        events.append(ev.Ready(hello))

    def _on_ping(self, ping: Ping, events: list[ev.Event], now_s: float) -> None:
        self._outbox.tell(FrameType.PONG, ping)

    def _on_pong(self, pong: Ping, events: list[ev.Event], now_s: float) -> None:
        self.keepalive.answered(pong.number, now_s)

    def _on_goaway(self, goaway: GoAway, events: list[ev.Event], now_s: float) -> None:
        self.peer_draining = True
        if goaway.code:
            self.failed = True
            events.append(ev.Failed(None, f"the peer closed the connection: {goaway.message}"))
        else:
            events.append(ev.Draining(goaway))

    def _on_resume(self, resume: Any, events: list[ev.Event], now_s: float) -> None:
        events.append(ev.ResumeAsked(resume))

    def _on_resumed(self, resumed: Any, events: list[ev.Event], now_s: float) -> None:
        events.append(ev.ResumeAnswered(resumed))

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` should be called next; None when there is nothing to wait for."""
        return None if self.failed else self.keepalive.next_timeout()

    def handle_timeout(self, now_s: float) -> list[ev.Event]:
        """Do what is due: ask a silent peer, give up one that does not answer."""
        events: list[ev.Event] = []
        verdict = "fine" if self.failed else self.keepalive.check(now_s)
        if verdict == "ask":
            self._outbox.tell(FrameType.PING, Ping(self.keepalive.ask(now_s)))
        elif verdict == "lost":
            self.failed = True
            settings = self.settings
            silent = (
                f"for {2 * settings.keepalive_s:g} s" if self.peer else f"before HELLO for {settings.handshake_timeout_s:g} s"
            )
            events.append(ev.Failed(None, f"the peer was silent {silent}"))
        return events

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _usable_peer(self) -> Hello:
        if self.peer is None or self.failed:
            raise Unavailable("the connection is not up", started=False)
        if self.peer_draining:
            raise Unavailable("the peer is draining and takes no new calls", started=False)
        return self.peer

    def _send_half(self, limit: Limit, codec: int) -> SendHalf:
        assert self.peer is not None
        return SendHalf(
            limit,
            layout=LAYOUTS[codec],
            max_frame_bytes=self.peer.max_frame_bytes,
            max_item_bytes=self.peer.max_item_bytes,
            max_unsent_bytes=self.settings.max_unsent_bytes,
            compress=self._compress,
        )

    def _remove(self, stream: WireStream) -> None:
        if stream.over:
            return
        stream.over = True
        self._reassembly.drop(stream.id)
        self._outbox.forget(stream)
        self._unbegun.pop(stream, None)
        self.streams.pop(stream.id, None)
        if stream.callee:
            self._peer_streams -= 1
        else:
            self._our_streams -= 1

    def _fail(self, error: ProtocolError, events: list[ev.Event]) -> None:
        self.failed = True
        self._outbox.say_goodbye(GoAway(self._highest_peer_id, 13, str(error)[:512]))
        events.append(ev.Failed(error, str(error)))

    def _other(self) -> str:
        return "server" if self.role == "client" else "client"


_ON_STREAM: Final[dict[int, Callable[[Connection, WireStream, Any, list[ev.Event]], None]]] = {
    FrameType.ACCEPT: Connection._on_accept,
    FrameType.CREDIT: Connection._on_credit,
    FrameType.END: Connection._on_end,
    FrameType.STATUS: Connection._on_status,
    FrameType.CANCEL: Connection._on_cancel,
}
_ON_CONNECTION: Final[dict[int, Callable[[Connection, Any, list[ev.Event], float], None]]] = {
    FrameType.HELLO: Connection._on_hello,
    FrameType.PING: Connection._on_ping,
    FrameType.PONG: Connection._on_pong,
    FrameType.GOAWAY: Connection._on_goaway,
    FrameType.RESUME: Connection._on_resume,
    FrameType.RESUMED: Connection._on_resumed,
}
