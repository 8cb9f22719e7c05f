"""One connection without any I/O: commands and bytes go in, events and bytes come out. It never reads a clock.

Bytes go in by `get_buffer` and `buffer_updated`, events come out; commands go in (`open`, `accept`, `end`, `cancel` …), bytes
come out by `data_to_send`. `_inbound` routes the peer's frames through a table; `_connection_state` is the state that both
share; every rule lives in a ledger of its own: `_table`, `_states`, `_credit`, `_send`, `_receive`, `_outbox`, `_keepalive`.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import ProtocolError, ResourceExhausted
from penstock.protocol import _events as ev
from penstock.protocol._connection_state import ConnectionState
from penstock.protocol._credit import Grant, Limit
from penstock.protocol._decoder import HANDSHAKE_BYTES
from penstock.protocol._frames import (
    ACCEPT,
    BULK,
    CANCEL,
    ITEMS,
    ITEMS_HEADER,
    ITEMS_PREFIX_BYTES,
    LAST,
    MAX_NUMBER,
    Cancel,
    FrameType,
    GoAway,
    Hello,
    Open,
    Segment,
    Status,
    readable,
)
from penstock.protocol._inbound import Inbound
from penstock.protocol._links import Links, send_ping
from penstock.protocol._outbox import DIRECT_BYTES
from penstock.protocol._receive import Arrived, ReceiveHalf
from penstock.protocol._send import ONE_ITEM
from penstock.protocol._settings import Settings, hello_of
from penstock.protocol._stream import LONG_MESSAGE, WireStream, check_texts, shorten_deadline

#: The largest `ACCEPT` without its payload: four numbers and two heads.
ACCEPT_HEAD_BYTES: Final = 42
#: What a link holds that takes nothing more: its high-water mark, and as much as one write.
LINK_BYTES: Final = 512 * 1024


class Connection:
    """One connection, seen by the program that drives it. `role` is "client" for the side that dialled.

    ready: puts a stream that has frames to send in line. has_data: whether `data_to_send` would return anything.

    Times are seconds of one steady clock. After any command, `has_data` says whether `data_to_send` has bytes to write. The
    properties are for reading; commands change them. `unread` says after `buffer_updated` whether frames may wait in `decoder`,
    and `has_grown` whether a message may be larger than its last frame, because it was compressed or in fragments.
    """

    def __init__(
        self,
        role: str,
        settings: Settings,
        now_s: float,
        *,
        agent: str = "",
        keep_s: float = 0.0,
        token: bytes = b"",
        instance: bytes = b"",
    ) -> None:
        self._state = state = ConnectionState(role, settings, now_s)
        self.budget = state.budget
        self.unread = self.has_grown = False
        self.settings = settings
        self.streams = state.streams
        self.keepalive = state.keepalive
        self.outbox = state.outbox
        self.ready, self.has_data = state.outbox.ready, state.outbox.has_data
        self.links = Links(state, hello_of(settings, agent, keep_s, token, instance))
        self._inbound = Inbound(state, self.links)
        self.decoder = state.decoder

    @property
    def peer(self) -> Hello | None:
        """The peer's `HELLO`; None until it has arrived."""
        return self._state.peer

    @property
    def failed(self) -> bool:
        """Whether the connection is over: nothing is read or written any more."""
        return self._state.failed

    @property
    def peer_draining(self) -> bool:
        """Whether the peer takes no new streams."""
        return self._state.peer_draining

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, opened: Open, receive: ReceiveHalf) -> WireStream:
        """Begin a call and return its stream. `receive` takes the callee's items; `opened` carries its grant.

        When the peer takes no more streams, the `OPEN` waits until another stream of this side is over: then `waits_since` of
        the stream is not None, and is to be set to the time.

        Raises `Unavailable` before the handshake, after a drain and after the end; `ResourceExhausted` when too many streams
        wait, or the argument or metadata are too large; `InvalidArgument` for text that is not UTF-8.
        """
        state = self._state
        peer = state.usable_peer()
        stream = WireStream(opened, callee=False)
        receive.grant.yields = opened.priority == BULK
        if opened.streams_requests:
            stream.send = state.send_half(Limit(ahead=self.settings.max_ahead_items), opened.codec)
        stream.receive = receive
        if opened.kind and receive.grant.grows:
            state.promises.count(receive.grant)
        check_texts(opened.target, opened.metadata)
        stream.open()
        argument_bytes = len(opened.argument or b"")
        if argument_bytes > peer.max_item_bytes:
            raise ResourceExhausted(
                f"{opened.target}: an argument of {argument_bytes} bytes, where the peer takes {peer.max_item_bytes}",
                started=False,
            )
        opening_bytes = stream.opening_bytes()
        if opening_bytes - argument_bytes > peer.max_header_bytes:
            raise ResourceExhausted(f"{opened.target}: metadata over the peer's {peer.max_header_bytes} bytes", started=False)
        if opening_bytes > DIRECT_BYTES:
            state.budget.check(opening_bytes, f"{opened.target}: an OPEN", started=False)
        if not state.streams.add_ours(stream):
            stream.waits_since = 0.0
            state.hold(stream, opening_bytes)
        elif not opened.kind and opened.priority != BULK and opening_bytes <= DIRECT_BYTES and state.greeted:
            state.streams.begin(stream)
            state.outbox.put(b"".join(stream.next_frame(DIRECT_BYTES)), 0)
        else:
            state.hold(stream, opening_bytes)
            self.ready(stream)
            if not state.greeted and opened.deadline_ms is not None:  # it waits for a link
                stream.waits_since = 0.0
                state.streams.late.append(stream)
        return stream

    def accept(self, stream: WireStream, grant: Grant | None, payload: bytes | None = None) -> None:
        """Send the caller `ACCEPT`. `grant` is how far its items may go, None when its kind has no items.

        `payload` is an encoded value for the caller. Raises `ResourceExhausted` for a payload over the peer's limit; then
        nothing was sent.
        """
        limit_bytes = self._state.control_bytes_max() - ACCEPT_HEAD_BYTES
        if payload is not None and len(payload) > limit_bytes:
            raise ResourceExhausted(
                f"a payload of {len(payload)} bytes to accept with, where the peer takes {limit_bytes} (its header limit)"
            )
        if payload is not None:
            self.budget.check(len(payload), f"{stream.opened.target}: a payload to accept with")
        stream.sends(ACCEPT)
        if grant is not None:
            grant.yields = stream.priority == BULK
            self._state.promises.make(grant)
            stream.receive = ReceiveHalf(grant)
            if stream.receiving == "ended":
                stream.receive.final = 0
        credit = (grant.items, grant.bytes) if grant is not None else (0, 0)
        self.outbox.put_control(ACCEPT, (0, 0, *credit, payload), stream.id)
        if payload is not None:
            self.outbox.charge()

    def end(self, stream: WireStream) -> None:
        """End our direction of a stream normally, after its queued items. For a callee this ends the call."""
        stream.end()
        self.ready(stream)

    def half_close(self, stream: WireStream) -> None:
        """End our direction of a stream normally, after its queued items; the other direction goes on, for a callee too."""
        stream.half_close()
        self.ready(stream)

    def close(self, stream: WireStream, reason: str) -> None:
        """End both directions of a stream normally, after its queued items.

        Items of the peer may still arrive: call `discard` too when they have no consumer any more.
        """
        stream.close(reason, self._state.control_bytes_max())
        self.ready(stream)

    def answer(self, stream: WireStream, encoded: bytes) -> bool:
        """Send the one encoded item of a call that the peer opened, and end the call; False when it has no credit yet.

        The argument is not counted any more. Raises `ResourceExhausted` when too many bytes wait for the peer.
        """
        half, opened = stream.send, stream.opened
        if half is None or not half.has_room():
            return False
        if len(encoded) <= DIRECT_BYTES and opened.codec == 0 and opened.priority != BULK:
            stream.sends(ITEMS, LAST)
            size = ITEMS_PREFIX_BYTES + len(ONE_ITEM) + len(encoded)
            head = ITEMS_HEADER.pack(size, ITEMS, LAST, stream.id, 0, 1)
            self.outbox.put(head + ONE_ITEM + encoded)
            self._state.remove(stream)
        else:
            self._state.release(stream)
            self._state.hold(stream, len(encoded), answer=True)
            half.push_encoded(encoded)
            self.end(stream)
        return True

    def hold(self, stream: WireStream, size: int, *, answer: bool = False) -> None:
        """Charge `size` bytes for a call of the peer, until both the call and its handler are over.

        Raises `ResourceExhausted` for an answer that does not fit.
        """
        self._state.hold(stream, size, answer=answer)

    def handled(self, stream: WireStream) -> None:
        """Note that the handler of a call of the peer is done."""
        stream.handled = False
        if stream.over:
            self._state.release(stream)

    def fail(self, stream: WireStream, status: Status) -> None:
        """End a call that the peer opened with an error, after its queued items; without details that do not fit."""
        limit_bytes = self._state.control_bytes_max()
        size = stream.fail(status, limit_bytes if self.budget.fits(limit_bytes) else DIRECT_BYTES)
        self._state.hold(stream, size)
        self.ready(stream)

    def block(self, *, blocked: bool) -> None:
        """Note that the link takes nothing more for now, or takes more again."""
        if blocked:
            self.outbox.standstill.begin(LINK_BYTES)
        elif self._state.greeted:
            self.outbox.standstill.end()
        self._state.unsent.count(0)

    def cancel(self, stream: WireStream, cancel: Cancel) -> None:
        """Give up a call of ours: its queued frames are dropped, frames that still arrive for it are ignored."""
        self._state.cancel(stream, cancel)

    def stop(self, stream: WireStream, cancel: Cancel) -> None:
        """Ask the caller to end its items; our answer goes on."""
        if stream.sending in {"open", "ended"} and stream.receiving == "open" and not stream.stopped:
            stream.stopped = True
            self.outbox.put_control(CANCEL, cancel, stream.id)

    def consume(self, stream: WireStream, items: int, size: int) -> bool:
        """Count items that the consumer of a stream took; return whether credit for the peer is to be written."""
        half = stream.receive
        if half is None:
            return False
        if half.consume(items, size, self.budget) and stream.begun and not stream.over:
            self.outbox.owe_credit(stream)
            return True
        return False

    def take_result(self, half: ReceiveHalf) -> Arrived:
        """Take the one batch of a unary answer that just arrived. No credit follows: no second item may come."""
        return half.queue.pop()

    def discard(self, stream: WireStream) -> None:
        """Drop the items that wait for a consumer which has left, and those that still arrive."""
        if stream.receive is not None:
            self.budget.give(stream.receive.discard())

    def refuse_streams(self) -> None:
        """Refuse every stream that the peer opens from now on. `drain` does the same and announces it."""
        self._state.draining = True

    def drain(self, message: str, code: int = 0) -> None:
        """Send `GOAWAY`: the peer is to open no more streams; open ones go on."""
        self.refuse_streams()
        goaway = GoAway(self.streams.highest_peer_id, code, readable(message, LONG_MESSAGE))
        self.outbox.put_control(FrameType.GOAWAY, goaway)

    def link_lost(self) -> bool:
        """End the connection, when its endpoints have the loss of its link: nothing is read or written any more.

        Its streams and unfinished messages are forgotten, so that whatever holds the session holds none of their memory. One
        call forgets some of its streams; return whether none is left, else call it again in another turn.
        """
        state = self._state
        state.failed = True
        if state.abandon_some():
            return False
        self.decoder.close()
        self._inbound.refused.clear()
        state.openings.clear()
        state.batches.clear()
        self.outbox.standstill.end()
        self.streams.late.clear()
        self.outbox.take_control()
        self.outbox.forget_link()
        if state.sequence is not None:
            state.sequence.forget()
        return True

    # ── bytes out ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def data_to_send(self, budget_bytes: int, now_s: float) -> list[Segment]:
        """Return the bytes to write now: control frames, then frames of streams in turn until `budget_bytes` are reached."""
        state = self._state
        outbox, sequence = self.outbox, state.sequence
        if state.peer is None and not state.failed:  # a drain waits too, so that both sides count alike (rule 9.2)
            return outbox.take_of_link()
        if outbox.again:
            return outbox.take_of_link(budget_bytes)
        if sequence is not None and not sequence.flows and not state.failed:
            return outbox.take_of_link()
        if self.streams.late:
            for stream in self.streams.late:
                shorten_deadline(stream, now_s)
            self.streams.late.clear()
        outbox.put_credits(now_s, self.keepalive.round_trip_s)
        out = outbox.take_control()
        if state.peer is not None and not state.failed:
            outbox.take_frames(
                out,
                budget_bytes,
                min(state.peer.max_frame_bytes, self.settings.max_frame_bytes),
                state.begin,
                state.remove,
            )
        if out and self.keepalive.probes:
            send_ping(state, now_s)
        if sequence is None or not out:
            return outbox.take_of_link() + out if outbox.of_link else out
        out = sequence.keep(out)
        if self.decoder.arrived_bytes >= sequence.ack_due:
            self.links.acknowledge()
        return outbox.take_of_link() + out if outbox.of_link else out

    # ── bytes in ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get_buffer(self, size_hint: int = -1) -> memoryview:
        """Return the memory for the next bytes; after `Failed` it is a scratch buffer that is never read."""
        if self._state.failed:
            return memoryview(bytearray(HANDSHAKE_BYTES))
        return self.decoder.get_buffer(size_hint)

    def buffer_updated(self, size: int, now_s: float, frames_max: int = MAX_NUMBER) -> list[ev.Event]:
        """Read the next `size` bytes in the buffer and return their events. After `Failed` nothing more is read.

        No more than `frames_max` frames are read. The others wait in `decoder` for the next call, which may have a size of 0.
        """
        events: list[ev.Event] = []
        state = self._state
        self.unread = self.has_grown = False
        if state.failed:
            return events
        state.keepalive.heard(now_s)
        try:
            self.unread = self._inbound.read(size, events, now_s, frames_max)
        except ProtocolError as error:
            state.fail(error, events)
        self.has_grown = self._inbound.has_grown
        if state.sequence is not None and self.decoder.arrived_bytes >= state.sequence.ack_alone_due:
            self.links.acknowledge()
        if state.outbox.overflowing:
            state.fail_unread(events)
        return events

    def receive_data(self, data: bytes | memoryview, now_s: float) -> list[ev.Event]:
        """As `get_buffer` and `buffer_updated`, for bytes that lie somewhere else."""
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
        """Return the time at which `handle_timeout` is to be called next; None when there is nothing to wait for."""
        return None if self.failed else self.keepalive.next_timeout()

    def handle_timeout(self, now_s: float) -> list[ev.Event]:
        """Send `PING` to a silent peer, or end the connection of one that does not answer; return the events."""
        events: list[ev.Event] = []
        state = self._state
        verdict = "fine" if state.failed else state.keepalive.check(now_s)
        if verdict == "ping":
            send_ping(state, now_s)
        elif verdict == "lost":
            message = f"the peer was silent for {state.keepalive.patience_s:g} s"
            state.failed = state.sequence is None
            events.append(ev.Failed(None, message) if state.failed else ev.Silent(message))
        if state.outbox.overflowing:
            state.fail_unread(events)
        return events
