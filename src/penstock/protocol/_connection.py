"""One connection, without any I/O: what the program commands, what there is to write, what is due. It never reads a clock.

Bytes go in (`get_buffer`, `buffer_updated`), events come out; commands go in (`open`, `accept`, `end`, `cancel` …), bytes come
out (`data_to_send`). `_inbound` routes the peer's frames through a table; every rule lives in a ledger of its own: `_table`,
`_states`, `_credit`, `_send`, `_receive`, `_outbox`, `_keepalive`.
"""

from __future__ import annotations

from typing import Final, cast

from penstock.errors import ProtocolError, ResourceExhausted, Unavailable
from penstock.protocol import _events as ev
from penstock.protocol._credit import Grant, Limit
from penstock.protocol._decoder import HANDSHAKE_BYTES
from penstock.protocol._frames import (
    ITEMS_HEADER,
    ITEMS_PREFIX_BYTES,
    LAST,
    Cancel,
    FrameType,
    GoAway,
    Hello,
    Open,
    Ping,
    Priority,
    Resumed,
    Status,
    readable,
)
from penstock.protocol._handshake import hello_of, rules_for
from penstock.protocol._inbound import Inbound
from penstock.protocol._keepalive import KeepAlive
from penstock.protocol._outbox import DIRECT_BYTES, Outbox
from penstock.protocol._receive import ReceiveHalf
from penstock.protocol._send import ONE_ITEM, Kept, Segment, SendHalf, SendRules
from penstock.protocol._settings import Settings
from penstock.protocol._stream import LONG_MESSAGE, WireStream, check_texts
from penstock.protocol._table import StreamTable

#: What an `ACCEPT` is besides its payload, at most: four numbers and two heads.
ACCEPT_HEAD_BYTES: Final = 42


class Connection:
    """The state of one connection. `role` is "client" for the side that dialled. Times are seconds of one steady clock."""

    def __init__(
        self,
        role: str,
        settings: Settings,
        now_s: float,
        *,
        agent: str = "",
        epoch: int = 0,
        token: bytes = b"",
        instance: bytes = b"",
    ) -> None:
        self.settings = settings
        self.streams = StreamTable(role)
        self.peer: Hello | None = None
        self.failed = False
        self.draining = False
        self.peer_draining = False
        self.buffered_bytes = 0  # items that wait for their consumers
        self.held_bytes = 0  # arguments and answers of the calls that the peer has open
        self.keepalive = KeepAlive(now_s, handshake_timeout_s=settings.handshake_timeout_s, keepalive_s=settings.keepalive_s)
        self.outbox = Outbox()
        self._rules: dict[int, SendRules] = {}
        self._kept = Kept(settings.max_buffered_bytes)
        self._inbound = Inbound(self)
        self.outbox.tell(FrameType.HELLO, hello_of(settings, agent, epoch, token, instance))

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, opened: Open, receive: ReceiveHalf) -> WireStream:
        """Begin a call. `receive` is where the callee's items go; `opened` carries its grant.

        Raises `Unavailable` before the handshake, after a drain and after the end, `ResourceExhausted` when the peer takes
        no more streams or the metadata are too large.
        """
        peer = self._usable_peer()
        if self.streams.ours >= peer.max_streams:
            raise ResourceExhausted(f"the peer takes {peer.max_streams} open streams on one connection", started=False)
        stream = WireStream(opened, callee=False)
        receive.grant.yields = opened.priority == Priority.BULK
        if opened.streams_requests:
            stream.send = self.send_half(peer, Limit(), opened.codec)
        stream.receive = receive
        check_texts(opened)
        stream.open()
        argument_bytes = len(opened.argument or b"")
        if argument_bytes > peer.max_item_bytes:
            raise ResourceExhausted(
                f"{opened.target}: an argument of {argument_bytes} bytes, where the peer takes {peer.max_item_bytes}",
                started=False,
            )
        if stream.opening_bytes() - argument_bytes > peer.max_header_bytes:
            raise ResourceExhausted(f"{opened.target}: metadata over the peer's {peer.max_header_bytes} bytes", started=False)
        self.streams.add_ours(stream)
        if not opened.kind and opened.priority != Priority.BULK and stream.opening_bytes() <= DIRECT_BYTES:
            self.streams.begin(stream)
            self.outbox.put(b"".join(cast("list[bytes]", stream.next_frame(DIRECT_BYTES))))
        else:
            self.ready(stream)
        return stream

    def accept(self, stream: WireStream, grant: Grant | None, epoch: int = 0, payload: bytes | None = None) -> None:
        """Tell the caller that its call was begun. `grant` is how far its items may go, None when its kind has none.

        `payload` is an encoded value for the caller. Raises `ResourceExhausted` for one over the peer's limit; then nothing
        was sent.
        """
        limit_bytes = self._control_bytes() - ACCEPT_HEAD_BYTES
        if payload is not None and len(payload) > limit_bytes:
            raise ResourceExhausted(
                f"a payload of {len(payload)} bytes to accept with, where the peer takes {limit_bytes} (its header limit)"
            )
        stream.sends(FrameType.ACCEPT)
        if grant is not None:
            grant.yields = stream.priority == Priority.BULK
            stream.receive = ReceiveHalf(grant)
            if stream.receiving == "ended":
                stream.receive.final = 0
        credit = (grant.items, grant.bytes) if grant is not None else (0, 0)
        self.outbox.tell(FrameType.ACCEPT, (epoch, 0, *credit, payload), stream.id)

    def ready(self, stream: WireStream) -> None:
        """This stream has something to send."""
        self.outbox.ready(stream)

    def end(self, stream: WireStream) -> None:
        """End our direction of a stream normally, after what is queued."""
        stream.end()
        self.ready(stream)

    def half_close(self, stream: WireStream) -> None:
        """End our direction of a stream normally, after what is queued; the other one goes on, also for a callee."""
        stream.half_close()
        self.ready(stream)

    def close(self, stream: WireStream, reason: str) -> None:
        """End both directions of a stream normally, after what is queued. Who wants nothing more has it `discard`ed, too."""
        stream.close(reason, self._control_bytes())
        self.ready(stream)

    def answer(self, stream: WireStream, encoded: bytes) -> bool:
        """Send the one item of a call that the peer opened, encoded, and end the call; False when there is no credit for it."""
        half, opened = stream.send, stream.opened
        if half is None or not half.has_room():
            return False
        if len(encoded) <= DIRECT_BYTES and opened.codec == 0 and opened.priority != Priority.BULK:
            stream.sends(FrameType.ITEMS, LAST)
            size = ITEMS_PREFIX_BYTES + len(ONE_ITEM) + len(encoded)
            head = ITEMS_HEADER.pack(size, FrameType.ITEMS, LAST, stream.id, 0, 1)
            self.outbox.put_answer(head + ONE_ITEM + encoded)
            self.remove(stream)
        else:
            half.push_encoded(encoded)
            self.hold(stream, len(encoded))
            self.end(stream)
        return True

    def hold(self, stream: WireStream, size: int) -> None:
        """Count what is held for a call of the peer, until the call is over and its handler, too."""
        stream.held_bytes += size
        self.held_bytes += size

    def release(self, stream: WireStream) -> None:
        """Nothing is held for this call any more."""
        self.held_bytes -= stream.held_bytes
        stream.held_bytes = 0

    def handled(self, stream: WireStream) -> None:
        """The handler of a call of the peer is done."""
        stream.handled = False
        if stream.over:
            self.release(stream)

    def fail(self, stream: WireStream, status: Status) -> None:
        """End a call that the peer opened with an error, after what is queued."""
        stream.fail(status, self._control_bytes())
        self.ready(stream)

    def cancel(self, stream: WireStream, cancel: Cancel) -> None:
        """Give up a call of ours: what is queued is forgotten, what arrives is ignored."""
        stream.stop_sending()
        if stream.sending != "closed":
            stream.sending = "closed"
            if stream.begun:
                self.outbox.tell(FrameType.CANCEL, cancel, stream.id)
        self.remove(stream)

    def stop(self, stream: WireStream, cancel: Cancel) -> None:
        """Tell the caller that we want no more of its items; our answer goes on."""
        if stream.sending in {"open", "ended"} and stream.receiving == "open" and not stream.stopped:
            stream.stopped = True
            self.outbox.tell(FrameType.CANCEL, cancel, stream.id)

    def consume(self, stream: WireStream, items: int, size: int) -> bool:
        """Count what the consumer took of a stream; return whether there is something to tell the peer."""
        half = stream.receive
        self.buffered_bytes -= size
        if half is not None and half.grant.consume(items, size) and half.final is None and stream.begun and not stream.over:
            self.outbox.owe_credit(stream)
            return True
        return False

    def discard(self, stream: WireStream) -> None:
        """Forget what waits for a consumer that will not come."""
        half = stream.receive
        if half is not None:
            self.buffered_bytes -= half.waiting_bytes
            half.grant.consumed_bytes = half.arrived_bytes
            half.queue.clear()
            half.discarded = True

    def refuse_resume(self, message: str) -> None:
        """Tell the peer that its earlier session cannot be taken up (rule 9.5)."""
        self.outbox.tell(FrameType.RESUMED, Resumed(9, message=message))

    def drain(self, message: str, code: int = 0) -> None:
        """Tell the peer to open no more streams here."""
        self.draining = True
        self.outbox.tell(FrameType.GOAWAY, GoAway(self.streams.highest_peer_id, code, readable(message, LONG_MESSAGE)))

    # ── bytes out ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def has_data(self) -> bool:
        return self.outbox.has_data()

    def data_to_send(self, budget_bytes: int, now_s: float) -> list[Segment]:
        """Return what to write now: control frames, then frames of streams in turn until `budget_bytes` are reached."""
        self.outbox.tell_credits(now_s, self.keepalive.round_trip_s)
        out = self.outbox.take_control()
        if self.peer is not None and not self.failed:
            self.outbox.take_frames(
                out,
                budget_bytes,
                min(self.peer.max_frame_bytes, self.settings.max_frame_bytes),
                self.streams.begin,
                self.remove,
            )
        return out

    # ── bytes in ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_buffer(self, size_hint: int = -1) -> memoryview:
        """Return the memory for the next bytes; after `Failed`, what arrives goes nowhere."""
        if self.failed:
            return memoryview(bytearray(HANDSHAKE_BYTES))
        return self._inbound.decoder.get_buffer(size_hint)

    def buffer_updated(self, size: int, now_s: float) -> list[ev.Event]:
        """Return what the next `size` bytes in the buffer mean. After `Failed` nothing more is read."""
        events: list[ev.Event] = []
        if self.failed:
            return events
        self.keepalive.heard(now_s)
        try:
            self._inbound.read(size, events, now_s)
        except ProtocolError as error:
            self._fail(error, events)
        self._check_outbox(events)
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

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` should be called next; None when there is nothing to wait for."""
        return None if self.failed else self.keepalive.next_timeout()

    def handle_timeout(self, now_s: float) -> list[ev.Event]:
        """Do what is due: ask a silent peer, give up one that does not answer."""
        events: list[ev.Event] = []
        verdict = "fine" if self.failed else self.keepalive.check(now_s)
        if verdict == "ask":
            self.outbox.tell(FrameType.PING, Ping(self.keepalive.ask(now_s)))
        elif verdict == "lost":
            self.failed = True
            events.append(ev.Failed(None, f"the peer was silent for {self.keepalive.patience_s:g} s"))
        self._check_outbox(events)
        return events

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def known_peer(self) -> Hello:
        """Return what the peer said of itself."""
        if self.peer is None:
            raise ProtocolError("2.1", "nothing can be done before HELLO", remote=False)
        return self.peer

    def _control_bytes(self) -> int:
        """How large the body of a control frame may be for the peer."""
        peer = self.known_peer()
        return min(peer.max_header_bytes, peer.max_frame_bytes)

    def _usable_peer(self) -> Hello:
        if self.peer is None or self.failed:
            raise Unavailable("the connection is not up", started=False)
        if self.peer_draining:
            raise Unavailable("the peer is draining and takes no new calls", started=False)
        return self.peer

    def send_half(self, peer: Hello, limit: Limit, codec: int) -> SendHalf:
        """Make the sending half of a stream."""
        rules = self._rules.get(codec)
        if rules is None:
            rules = self._rules[codec] = rules_for(self.settings, peer, codec, self._kept)
        return SendHalf(limit, rules)

    def remove(self, stream: WireStream) -> None:
        """A stream is over, or has been for a while."""
        if stream.over:
            return
        self.streams.remove(stream)
        if not stream.handled:
            self.release(stream)
        if stream.send is not None:
            stream.send.forget()
        self._inbound.forget(stream.id)
        self.outbox.forget(stream)

    def _check_outbox(self, events: list[ev.Event]) -> None:
        if self.outbox.overflowing and not self.failed:
            self._fail(ProtocolError("10.5", "the peer makes this side answer and does not read the answers"), events)

    def _fail(self, error: ProtocolError, events: list[ev.Event]) -> None:
        self.failed = True
        message = readable(f"PROTOCOL.md rule {error.rule}: {error.message}", LONG_MESSAGE)
        self.outbox.say_goodbye(GoAway(self.streams.highest_peer_id, 13, message))
        events.append(ev.Failed(error, str(error)))
