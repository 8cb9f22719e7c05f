"""The effect of each frame of the peer: checks, ledgers, events (PROTOCOL.md §2 to §6). It never sends an item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from penstock._values import is_over, objects_bytes
from penstock.errors import ProtocolError
from penstock.protocol import _events as ev
from penstock.protocol._budget import METADATA_ENTRY_BYTES, STREAM_BYTES
from penstock.protocol._compression import decompress
from penstock.protocol._connection_state import ConnectionState
from penstock.protocol._credit import Limit
from penstock.protocol._frames import (
    ACCEPT,
    CANCEL,
    COMPRESSED,
    CREDIT,
    END,
    ITEMS,
    ITEMS_PREFIX,
    ITEMS_PREFIX_BYTES,
    LAST,
    LEFT,
    MORE,
    OPEN,
    REFUSALS,
    STATUS,
    UNAUTHENTICATED,
    CallKind,
    Cancel,
    FrameType,
    GoAway,
    Open,
    Status,
    decode_body,
    readable,
)
from penstock.protocol._links import ON_LINK, Links, check_greeting, leave_out
from penstock.protocol._receive import Arrived, Reassembly
from penstock.protocol._send import (
    ARRAY,
    ARRAY_HEAD,
    BATCH_BYTES,
    BYTES_HEAD_BYTES,
    JSON,
    MSGPACK,
    SINGLE_BYTES_MIN,
    bytes_head,
)
from penstock.protocol._settings import Settings
from penstock.protocol._states import CLOSING
from penstock.protocol._stream import LONG_MESSAGE, WireStream, refusal


class Inbound:
    """The reading side of one connection: it changes the `ConnectionState` as the peer's frames say, and makes events."""

    __slots__ = ("_has_grown", "_links", "_state", "decoder", "has_grown", "refused")

    def __init__(self, state: ConnectionState, links: Links) -> None:
        self._state = state
        self._links = links
        self._has_grown = False  # whether the last frame has ended a message that may be larger than itself …
        self.has_grown = False  # … or one of the last `read` has
        self.decoder = state.decoder
        self.refused: dict[int, None] = {}  # ids of refused calls whose other fragments may still be on their way

    def read(self, size: int, events: list[ev.Event], now_s: float, frames_max: int) -> bool:
        """Handle the frames that are complete with `size` more bytes, at most so many; return whether others may wait.

        A message that is compressed, or was in fragments, counts as `GROWN_FRAMES`. Raises `ProtocolError` at a bad frame.
        """
        state, next_frame = self._state, self.decoder.next_frame
        self.decoder.buffer_updated(size)
        self.has_grown = False
        while frames_max > 0:
            if state.failed or (frame := next_frame()) is None:
                return False
            kind, flags, stream_id, body = frame
            if not state.greeted and kind != FrameType.HELLO:
                check_greeting(state, kind)
            if kind == ITEMS:
                self._on_items(flags, stream_id, body, events)
            elif kind == OPEN:
                self._on_open(flags, stream_id, body, events)
            else:
                self._on_control(kind, stream_id, body, events, now_s)
            frames_max -= 1
            if self._has_grown:
                frames_max -= GROWN_FRAMES - 1
                self._has_grown, self.has_grown = False, True
        return not state.failed

    def _on_control(self, frame_type: int, stream_id: int, body: memoryview, events: list[ev.Event], now_s: float) -> None:
        """Decode a control frame and hand it to the method for its type, with its stream when it has one."""
        decoded = self._decode(frame_type, body)
        if stream_id:
            stream = self._state.streams.find(frame_type, stream_id)
            if stream is None:
                if frame_type != CANCEL and stream_id in self._state.openings.parts:
                    raise ProtocolError("3.4", f"{FrameType(frame_type).name} between the fragments of an OPEN")
                self.refused.pop(stream_id, None)
                self._state.openings.drop(stream_id)  # a call may be cancelled before its argument is complete
            else:
                _ON_STREAM[frame_type](self, stream, decoded, events)
        else:
            leave_out(self._state, frame_type, body)
            if frame_type == FrameType.GOAWAY:
                self._on_goaway(decoded, events)
            else:
                ON_LINK[frame_type](self._links, decoded, events, now_s)

    def _decode(self, frame_type: int, body: memoryview | bytes | bytearray) -> Any:
        limit_bytes = self._state.settings.max_header_bytes
        if frame_type != OPEN and len(body) > limit_bytes:
            raise ProtocolError("10.2", f"a control frame of {len(body)} bytes, over {limit_bytes}")
        try:
            return decode_body(frame_type, body)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("1.7", f"a body of {FrameType(frame_type).name} that cannot be read: {error}") from error

    def _on_open(self, flags: int, stream_id: int, body: memoryview, events: list[ev.Event]) -> None:
        """Put an `OPEN` together, check it, and take or refuse its stream."""
        if stream_id in self.refused:
            if not flags & MORE:
                del self.refused[stream_id]
            return
        openings = self._state.openings
        if stream_id not in openings.parts:
            self._state.streams.take_id(stream_id)
        if (flags & MORE or stream_id in openings.parts) and not self._state.budget.fits(len(body)):
            self._refuse_opening(stream_id, len(body), more=bool(flags & MORE))
            return
        whole = _whole(openings, stream_id, flags, (OPEN, flags & LAST, 0), body)
        if whole is None:
            return
        self._has_grown = len(whole) > len(body)
        opened: Open = self._decode(OPEN, whole)
        if opened.streams_requests == bool(flags & LAST):
            raise ProtocolError("3.6", "OPEN whose LAST flag does not fit its kind")
        self._take_stream(stream_id, opened, len(whole), flags, events)

    def _refuse_opening(self, stream_id: int, size: int, *, more: bool) -> None:
        """Refuse one call instead of ending the connection: a fragment of its argument does not fit (rule 10.4)."""
        status = Status(8, "resource_exhausted", self._state.budget.refusal(size, "a fragment of arguments"), started=False)
        self._state.outbox.put_control(STATUS, status, stream_id)
        self._state.openings.drop(stream_id)
        if more:
            self.refused[stream_id] = None
        if len(self.refused) > self._state.settings.max_streams:
            del self.refused[next(iter(self.refused))]

    def _take_stream(self, stream_id: int, opened: Open, size: int, flags: int, events: list[ev.Event]) -> None:
        """Begin a stream of the peer, or answer why it is refused."""
        state = self._state
        if state.streams.ignores_new:
            return
        refused = refusal(opened, size, state.settings, open_streams=state.streams.theirs, draining=state.draining)
        weight = size + STREAM_BYTES
        if size > SMALL_OPEN_BYTES or opened.metadata or opened.kind == BIDIRECTIONAL:
            weight += _extra_weight(opened, state.settings.max_item_values)
        if refused is None and not state.budget.fits(weight):
            message = state.budget.refusal(weight, f"{readable(opened.target, LONG_MESSAGE)}: a call")
            refused = Status(8, "resource_exhausted", message, started=False)
        if refused is not None:
            state.outbox.put_control(STATUS, refused, stream_id)
            return
        stream = WireStream(opened, callee=True)
        stream.id = stream_id
        stream.receives(OPEN, flags)
        limit = Limit(opened.credit_items, opened.credit_bytes, state.settings.max_ahead_items)
        stream.send = state.send_half(limit, opened.codec)
        state.streams.add_theirs(stream)
        state.hold(stream, weight)
        events.append(ev.Opened(stream))

    def _on_items(self, flags: int, stream_id: int, body: memoryview, events: list[ev.Event]) -> None:
        """Check a batch against credit and offsets, put it together, queue it for its consumer."""
        state = self._state
        stream = state.streams.begun.get(stream_id) or state.streams.find(ITEMS, stream_id)
        if stream is None:
            return
        if len(body) < ITEMS_PREFIX_BYTES:
            raise ProtocolError("4.1", "ITEMS shorter than its prefix")
        offset, count = ITEMS_PREFIX.unpack_from(body)
        half = stream.receive
        if half is None:
            raise ProtocolError("3.4", f"ITEMS on stream {stream_id}, whose kind has none in this direction")
        begun = stream_id in state.batches.parts
        if not begun and not half.check_start(offset, count):
            return
        if begun or flags & COMPRESSED:
            self._has_grown = not flags & MORE
        try:
            arrived = _arrived(state, stream, flags, (offset, count), body[ITEMS_PREFIX_BYTES:])
        except _OverLimit as over:
            self._give_up(stream, str(over), events)
            return
        if arrived is None:
            return
        stream.receives(ITEMS, flags)
        half.add(arrived, state.budget if stream.callee or stream.opened.kind else None)  # a unary answer is taken at once
        events.append(ev.ItemsArrived(stream))
        if flags & LAST:
            half.final = half.arrived
            self._ended(stream, None, events)

    def _give_up(self, stream: WireStream, limit: str, events: list[ev.Event]) -> None:
        """End one stream instead of the connection: its items are over a limit that its sender was not told (rule 10.4)."""
        state = self._state
        status = Status(8, "resource_exhausted", limit)
        cancel = Cancel(8, status.reason, status.message)
        if stream.callee:
            state.outbox.put_control(STATUS, status, stream.id)
            self._state.abandon(stream)
            events.append(ev.CallCancelled(stream, cancel))
        else:
            state.cancel(stream, cancel)
            events.append(ev.Ended(stream, status))

    # ── frames of a stream ────────────────────────────────────────────────────────────────────────────────────────────

    def _on_accept(self, stream: WireStream, accept: Any, events: list[ev.Event]) -> None:
        stream.receives(ACCEPT)
        if stream.send is not None:
            stream.send.limit.start_at(accept.credit_items, accept.credit_bytes)
        events.append(ev.Accepted(stream, accept))

    def _on_credit(self, stream: WireStream, credit: Any, events: list[ev.Event]) -> None:
        stream.receives(CREDIT)
        half = stream.send
        if half is not None and half.limit.raise_to(credit, half.sent):
            events.append(ev.RoomMade(stream))

    def _on_end(self, stream: WireStream, end: Any, events: list[ev.Event]) -> None:
        """End the peer's direction; with a reason, the whole call."""
        self._state.batches.check_whole(stream.id)
        stream.receives(END, 0 if end.reason is None else CLOSING)
        if stream.receive is not None:
            stream.receive.finish(end.count)
        elif end.count:
            raise ProtocolError("6.2", f"an end after {end.count} items, where none was asked for")
        if end.reason is not None:
            self._state.abandon(stream)
            events.append(ev.Closed(stream, end.reason))
        elif stream.callee:
            events.append(ev.Ended(stream, None))
        else:
            events.append(ev.HalfClosed(stream))

    def _on_status(self, stream: WireStream, status: Any, events: list[ev.Event]) -> None:
        stream.receives(STATUS)
        if status.code == 0:
            self._state.batches.check_whole(stream.id)
            if stream.receive is not None:
                stream.receive.finish(status.count)
        self._ended(stream, status, events)

    def _on_cancel(self, stream: WireStream, cancel: Any, events: list[ev.Event]) -> None:
        """End a call that the caller gives up, or stop sending items that the callee does not take."""
        stream.receives(CANCEL)
        if stream.callee:
            self._state.abandon(stream)
            events.append(ev.CallCancelled(stream, cancel))
        else:
            if stream.sending == "open":
                stream.sending = "ended"
                stream.stop_sending()
            events.append(ev.StopSending(stream, cancel))

    def _ended(self, stream: WireStream, status: Status | None, events: list[ev.Event]) -> None:
        if not stream.callee:
            self._state.abandon(stream)
        events.append(ev.Ended(stream, status))

    # ── frames of the connection ──────────────────────────────────────────────────────────────────────────────────────

    def _on_goaway(self, goaway: GoAway, events: list[ev.Event]) -> None:
        """Note that the peer drains and end the calls that it did not take; with a code, the connection is over."""
        state = self._state
        refused = goaway.code == UNAUTHENTICATED or (goaway.code in REFUSALS and not state.greeted)
        if (
            not state.greeted and state.sequence is not None and not refused
        ):  # it is about a link that does not carry the session
            if goaway.code:
                state.failed = True
                events.append(ev.Silent(f"the peer closed the connection: {goaway.message}"))
            return
        if goaway.code:
            state.failed = True
            message = goaway.message if refused else f"the peer closed the connection: {goaway.message}"
            events.append(ev.Left() if goaway.code == LEFT else ev.Failed(None, message, goaway.code if refused else 0))
            return
        drained, state.peer_draining = state.peer_draining, True
        if drained:  # no call was opened since the first one
            return
        events.append(ev.Draining(goaway))
        message = f"the peer is draining and did not take this call. {goaway.message}".rstrip()
        for stream in state.streams.all():
            if not stream.callee and not 0 < stream.id <= goaway.last_stream_id:
                self._ended(stream, Status(14, "unavailable", message, started=False), events)


#: A frame that ends a message which may be larger than itself counts as so many: it may take as long as thousands.
GROWN_FRAMES: Final = 8
#: The kind of a call, as a number: the member of an enum costs a microsecond to look up.
BIDIRECTIONAL: Final = int(CallKind.BIDIRECTIONAL)
#: An `OPEN` of this size without metadata, and with its objects, is within `STREAM_BYTES`.
SMALL_OPEN_BYTES: Final = 128
#: Flags of a message that is complete in one frame and not compressed.
_PLAIN: Final = frozenset({0, LAST})


class _OverLimit(Exception):
    """A batch is over a limit that its sender was not told."""


def _arrived(
    state: ConnectionState, stream: WireStream, flags: int, place: tuple[int, int], part: memoryview
) -> Arrived | None:
    """Return the batch that this frame completes, None while fragments are missing. `place`: its offset and its count.

    Raises `_OverLimit`, and `ProtocolError` for a payload that is not a batch.
    """
    opened, (offset, count), size = stream.opened, place, len(part)
    is_whole = flags in _PLAIN and stream.id not in state.batches.parts
    if (stream.callee or opened.kind or not is_whole) and not state.budget.fits(size):
        raise _OverLimit(state.budget.refusal(size, "items"))
    if is_whole:
        if size > state.settings.max_item_bytes + BATCH_BYTES:
            raise ProtocolError("4.6", f"a batch of {size} bytes, where an item may have {state.settings.max_item_bytes}")
        is_single = size >= SINGLE_BYTES_MIN and count == 1 and opened.codec == MSGPACK
        if is_single and part[:BYTES_HEAD_BYTES] == bytes_head(size - BYTES_HEAD_BYTES):
            return Arrived(offset, 1, bytes(part[BYTES_HEAD_BYTES:]), size, is_single_bytes=True)
        payload: bytes | bytearray = bytes(part)
    else:
        unpacked = _unpacked(state, stream, flags, place, part)
        if unpacked is None:
            return None
        payload, size = unpacked, len(unpacked)
    if opened.codec == MSGPACK and payload[: ARRAY_HEAD.size] != ARRAY_HEAD.pack(ARRAY, count):
        raise ProtocolError("4.9", f"ITEMS of {count} items whose payload is not an array of as many")
    is_over_values = size > state.settings.max_item_values and _is_over_values(state.settings, stream, count, payload)
    return Arrived(offset, count, payload, size, is_over_values=is_over_values)


def _is_over_values(settings: Settings, stream: WireStream, count: int, payload: bytes | bytearray) -> bool:
    """Whether a batch has too many values, and its receiver refuses single items. Raises `_OverLimit` for another receiver."""
    one_by_one = stream.receive is not None and stream.receive.refuses_items
    values_max = settings.max_item_values + (BATCH_BYTES if count > 1 and not one_by_one else 0)
    if len(payload) <= values_max or not is_over(payload, values_max, json=stream.opened.codec == JSON):
        return False
    if not one_by_one:
        raise _OverLimit(f"an item of more than {settings.max_item_values} values (Settings.max_item_values)")
    return True


def _unpacked(
    state: ConnectionState, stream: WireStream, flags: int, place: tuple[int, int], part: memoryview
) -> bytes | bytearray | None:
    """Return the batch that this frame completes, put together and decompressed; None while fragments are missing."""
    payload = _whole(state.batches, stream.id, flags, (*place, flags & ~MORE), part)
    if payload is None or not flags & COMPRESSED:
        return payload
    payload = decompress(payload, state.settings.max_item_bytes + BATCH_BYTES)
    if not state.budget.fits(len(payload)):
        raise _OverLimit(state.budget.refusal(len(payload), "items"))
    return payload


def _extra_weight(opened: Open, values_max: int) -> int:
    """Return the weight of the objects that become of an `OPEN` which is not small."""
    weight = objects_bytes(opened.argument or b"", values_max, json=opened.codec == JSON)
    return weight + len(opened.metadata) * METADATA_ENTRY_BYTES + (STREAM_BYTES // 2 if opened.kind == BIDIRECTIONAL else 0)


def _whole(
    unfinished: Reassembly, stream_id: int, flags: int, key: tuple[int, int, int], part: memoryview
) -> bytes | bytearray | None:
    """Return the message that this frame completes, None while fragments are missing."""
    if not flags & MORE and stream_id not in unfinished.parts:
        return bytes(part)
    whole = unfinished.add(stream_id, key, part)
    if flags & MORE:
        return None
    unfinished.drop(stream_id)
    return whole


_ON_STREAM: Final[dict[int, Callable[[Inbound, WireStream, Any, list[ev.Event]], None]]] = {
    ACCEPT: Inbound._on_accept,
    CREDIT: Inbound._on_credit,
    END: Inbound._on_end,
    STATUS: Inbound._on_status,
    CANCEL: Inbound._on_cancel,
}
