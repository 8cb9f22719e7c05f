"""One stream of a connection: its two halves, its states, and the order of its frames. It knows no other stream."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from penstock._values import is_over
from penstock.errors import InvalidArgument
from penstock.protocol._frames import (
    END,
    HEADER,
    ITEMS,
    LAST,
    MORE,
    NO_DETAILS,
    OPEN,
    STATUS,
    Open,
    Segment,
    Status,
    encode_body,
    readable,
)
from penstock.protocol._receive import ReceiveHalf
from penstock.protocol._send import JSON, LAYOUTS, SendHalf
from penstock.protocol._settings import Settings
from penstock.protocol._states import CALLEE, CALLER, CLOSING, refuse_step

#: From this size on, an argument is dropped from `Open` once it was decoded; for a smaller one the copy costs more.
LARGE_ARGUMENT_BYTES: Final = 4096
#: The characters of an error message that fit into the limit of any peer (1 KiB, rule 10.2), in any script.
LONG_MESSAGE: Final = 160


class WireStream:
    """A stream as the connection knows it.

    `callee`: the peer opened it. `send` and `receive` are its two halves, None for a direction that has no items; `sending` and
    `receiving` are the states of its two directions (`_states`). `id` is 0 until its first frame has left. `ready`: it is in
    line for sending. `over`: it is forgotten by the connection. `handled`: a handler works on it and holds its argument.
    `stopped`: the caller was asked to end its items.
    `waits_since`: the time at which it began to wait for the end of another call, at either side; None for one that did not.
    `endpoint` belongs to the session.
    """

    __slots__ = (
        "_ending",
        "_opening",
        "callee",
        "endpoint",
        "handled",
        "held_bytes",
        "id",
        "opened",
        "over",
        "priority",
        "ready",
        "receive",
        "receiving",
        "send",
        "sending",
        "stopped",
        "waits_since",
    )

    def __init__(self, opened: Open, *, callee: bool) -> None:
        self.id = 0
        self.callee = callee
        self.opened = opened
        self.priority = opened.priority
        self.send: SendHalf | None = None
        self.receive: ReceiveHalf | None = None
        self.sending = self.receiving = "idle"
        self.ready = False
        self.over = False
        self.held_bytes = 0
        self.handled = False
        self.stopped = False
        self.waits_since: float | None = None
        self.endpoint: Any = None
        self._opening: bytes | None = None
        self._ending: tuple[int, bytes] | None = None

    def sends(self, frame_type: int, flags: int = 0) -> None:
        """Take a step of our own direction; `ProtocolError(remote=False)` when the table has no such step."""
        table = CALLEE if self.callee else CALLER
        following = table[self.sending].get((frame_type, flags & LAST))
        if following is None:
            refuse_step(table, self.sending, frame_type, flags, remote=False)
        self.sending = following

    def receives(self, frame_type: int, flags: int = 0) -> None:
        """Take a step of the peer's direction; `ProtocolError` when the table has no such step."""
        table = CALLER if self.callee else CALLEE
        following = table[self.receiving].get((frame_type, flags & LAST))
        if following is None:
            refuse_step(table, self.receiving, frame_type, flags, remote=True)
        self.receiving = following

    @property
    def begun(self) -> bool:
        """Whether the peer may know of this stream."""
        return self.id != 0

    def open(self) -> None:
        """Queue `OPEN`."""
        self.sends(OPEN, 0 if self.opened.streams_requests else LAST)
        self._opening = encode_body(self.opened)

    def opening_bytes(self) -> int:
        """Return the size of the queued `OPEN`."""
        return len(self._opening or b"")

    def end(self) -> None:
        """End our direction normally, after its queued items; for a callee this ends the call."""
        half = self.send
        if half is not None and half.ends_with_items():
            self.sends(ITEMS, LAST)
            half.end()
        elif self.callee:
            self.sends(STATUS)
            self._ending = STATUS, encode_body((0, "", "", NO_DETAILS, True, self._count()))
        else:
            self.half_close()

    def half_close(self) -> None:
        """End our direction normally, after its queued items; the other one goes on, and a callee's `STATUS` comes later."""
        self.sends(END)
        self._ending = END, encode_body((self._count(), None))

    def close(self, reason: str, limit_bytes: int) -> None:
        """End both directions normally, after the queued items; a reason over the peer's limit is cut."""
        self.sends(*((STATUS,) if self.callee else (END, CLOSING)))
        ending = self._closing(readable(reason, limit_bytes))
        if len(ending[1]) > limit_bytes:
            ending = self._closing(readable(reason, LONG_MESSAGE))
        self._ending = ending

    def _closing(self, reason: str) -> tuple[int, bytes]:
        if self.callee:
            return STATUS, encode_body((0, "", reason, NO_DETAILS, True, self._count()))
        return END, encode_body((self._count(), reason))

    def _count(self) -> int:
        return self.send.pushed if self.send is not None else 0

    def fail(self, status: Status, limit_bytes: int) -> int:
        """End the call with an error, after the queued items (callee only); one over the limit loses its details.

        Return the size of the error.
        """
        self.sends(STATUS)
        ending = encode_body(status)
        if len(ending) > limit_bytes:
            message = f"{status.message[:LONG_MESSAGE]} (its details are over a limit and were left out)"
            ending = encode_body((status.code, status.reason, message, NO_DETAILS, status.started))
        self._ending = STATUS, ending
        return len(ending)

    def stop_sending(self) -> None:
        """Drop the queued frames: the peer does not take them any more."""
        self._opening = self._ending = None
        if self.send is not None:
            self.send.discard()

    def has_frames(self) -> bool:
        """Whether `next_frame` has a frame to return."""
        half = self.send
        items = half is not None and (half.count or half.unsent or half.fragments)
        return bool(items) or self._opening is not None or self._ending is not None

    def forget_argument(self) -> None:
        """Drop a large argument from `opened`, once it was decoded."""
        if len(self.opened.argument or b"") >= LARGE_ARGUMENT_BYTES:
            self.opened = msgspec.structs.replace(self.opened, argument=None)

    def next_frame(self, max_frame_bytes: int) -> list[Segment]:
        """Return the next frame of this stream: its opening, its items, its ending; no segment when it has none."""
        if self._opening is not None:
            return self._next_opening(max_frame_bytes)
        if self.send is not None and (frame := self.send.next_frame(self.id)):
            return frame
        if self._ending is None:
            return []
        (kind, ending), self._ending = self._ending, None
        return [HEADER.pack(len(ending), kind, 0, self.id) + ending]

    def _next_opening(self, max_frame_bytes: int) -> list[Segment]:
        body = self._opening or b""
        part, rest = body[:max_frame_bytes], body[max_frame_bytes:]
        self._opening = rest or None
        flags = (0 if self.opened.streams_requests else LAST) | (MORE if rest else 0)
        return [HEADER.pack(len(part), OPEN, flags, self.id) + part]

    def __repr__(self) -> str:
        side = "callee" if self.callee else "caller"
        return f"<WireStream {self.id} {self.opened.target} {side} sending={self.sending} receiving={self.receiving}>"


def refusal(opened: Open, size: int, settings: Settings, *, open_streams: int, draining: bool) -> Status | None:
    """Return why a stream that the peer opens is refused (PROTOCOL.md §10), None when it is taken.

    `size` is the size of its `OPEN`.
    """
    if draining:
        return Status(14, "unavailable", "this side is draining and takes no new calls", started=False)
    argument_bytes = len(opened.argument or b"")
    if open_streams >= settings.max_streams:
        limit = f"{settings.max_streams} streams are open on this connection (Settings.max_streams)"
    elif argument_bytes > settings.max_item_bytes:
        limit = f"an argument of {argument_bytes} bytes, over {settings.max_item_bytes} (Settings.max_item_bytes)"
    elif argument_bytes > settings.max_item_values and is_over(
        opened.argument or b"", settings.max_item_values, json=opened.codec == JSON
    ):
        limit = f"an argument of more than {settings.max_item_values} values (Settings.max_item_values)"
    elif size - argument_bytes > settings.max_header_bytes:
        limit = f"metadata over {settings.max_header_bytes} bytes (Settings.max_header_bytes)"
    elif opened.codec not in LAYOUTS:
        return Status(12, "unimplemented", f"codec {opened.codec} is not known here", started=False)
    else:
        return None
    return Status(8, "resource_exhausted", limit, started=False)


def shorten_deadline(stream: WireStream, now_s: float) -> bool:
    """Take the time that a call has waited from the deadline in its `OPEN` (rule 6.8); return whether a part of it is left.

    The `OPEN` of a call that this side has made leaves after it.
    """
    opened, since_s = stream.opened, stream.waits_since
    if opened.deadline_ms is None or since_s is None:
        return True
    left_ms = opened.deadline_ms - int((now_s - since_s) * 1000)
    stream.opened = msgspec.structs.replace(opened, deadline_ms=max(1, left_ms))
    if stream._opening is not None:
        stream._opening = encode_body(stream.opened)
    return left_ms > 0


def check_texts(target: object, metadata: object) -> None:
    """Raise `InvalidArgument` for a target or metadata that cannot travel: both may come from a program or its interceptors.

    The target is a string, metadata are a dict of strings, and all are text that UTF-8 can encode.
    """
    texts = [target]
    try:
        if metadata or not isinstance(metadata, dict):
            texts += [*dict.keys(metadata), *dict.values(metadata)]  # type: ignore[arg-type]
        for text in texts:
            str.encode(text)  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidArgument(
            f"{target!a:.1000}: its name or its metadata {metadata!a:.1000} cannot travel: {error}", started=False
        ) from None
