"""The frames of the wire: header, types, flags, bodies (PROTOCOL.md §1).

Every frame starts with fourteen bytes, big-endian: the length of its body (4), type (1), flags (1), stream id (8). The body of
`ITEMS` is binary, every other body is a msgpack array; fields at the end of an array that a reader does not know are ignored.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from penstock._texts import peer_text

VERSION: Final = 1
MAGIC: Final = "penstock"

HEADER = struct.Struct(">IBBQ")
HEADER_BYTES: Final = HEADER.size
#: The start of an `ITEMS` body: the offset of its first item (8) and the number of its items (4).
ITEMS_PREFIX = struct.Struct(">QI")
ITEMS_PREFIX_BYTES: Final = ITEMS_PREFIX.size
#: Header and prefix in one, for the writer.
ITEMS_HEADER = struct.Struct(">IBBQQI")
ITEMS_HEADER_BYTES: Final = ITEMS_HEADER.size
#: Numbers stay below this, so that every language can count with its plain integers (2**53 in JavaScript).
MAX_NUMBER: Final = 2**53 - 1

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
#: A piece of a frame, as it is handed to the transport: frames are never joined into one buffer first.
Segment = bytes | bytearray | memoryview


class FrameType(IntEnum):
    """The type of a frame, by its number on the wire."""

    HELLO = 1
    OPEN = 2
    ACCEPT = 3
    ITEMS = 4
    CREDIT = 5
    END = 6
    STATUS = 7
    CANCEL = 8
    PING = 9
    PONG = 10
    GOAWAY = 11
    ACK = 12
    RESUMED = 13


#: The types of a stream as plain numbers: on Python 3.11 a look-up in the class takes 110 ns, and one of a name 20.
OPEN, ACCEPT, ITEMS, CREDIT, END, STATUS, CANCEL = (
    int(frame_type)
    for frame_type in (
        FrameType.OPEN,
        FrameType.ACCEPT,
        FrameType.ITEMS,
        FrameType.CREDIT,
        FrameType.END,
        FrameType.STATUS,
        FrameType.CANCEL,
    )
)

MORE: Final = 0x01  # another fragment of the same message follows
LAST: Final = 0x02  # the sender's direction ends after this message
COMPRESSED: Final = 0x04  # the payload starts with the number of its compression
IGNORABLE: Final = 0x80  # a reader that does not know this type skips the frame

#: The flags that each type may carry; anything else breaks rule 1.5.
FLAGS: Final[dict[int, int]] = dict.fromkeys(map(int, FrameType), 0) | {
    OPEN: MORE | LAST,
    ITEMS: MORE | LAST | COMPRESSED,
}
#: The bits that a reader does not take, by the type.
FORBIDDEN_FLAGS: Final[dict[int, int]] = {kind: 0xFF & ~(allowed | IGNORABLE) for kind, allowed in FLAGS.items()}

#: The code of the `GOAWAY` that closes a session which could be resumed (rule 9.7).
LEFT: Final = 1
#: The codes of the `GOAWAY` of a server that does not take a client (rule 2.9), or, with the last one, takes it no longer.
UNAUTHENTICATED: Final = 16
REFUSALS: Final = frozenset({7, 8, 14, UNAUTHENTICATED})

#: Types that belong to one link: they are not in the sequence of a session (rule 9.2).
LINK_TYPES: Final = frozenset({FrameType.HELLO, FrameType.PING, FrameType.PONG, FrameType.ACK, FrameType.RESUMED})
#: Types that belong to the connection: their stream id is 0.
CONNECTION_TYPES: Final = LINK_TYPES | {FrameType.GOAWAY}


class Priority(IntEnum):
    """Which streams go first when a connection is full; none of them starves."""

    INTERACTIVE = 0
    NORMAL = 1
    BULK = 2


BULK: Final = int(Priority.BULK)


class CallKind(IntFlag):
    """Which directions of a call are streams: bit 1 for the requests, bit 2 for the responses (rule 3.6)."""

    UNARY = 0
    CLIENT_STREAMING = 1
    SERVER_STREAMING = 2
    BIDIRECTIONAL = 3

    if not TYPE_CHECKING:  # the `&` of `Flag` looks a member up, in Python: 0.8 µs instead of 0.03, several times a call
        __and__ = int.__and__
        __rand__ = int.__rand__

    @cached_property
    def label(self) -> str:
        """The kind as people and `CallInfo.kind` have it: "unary", "client_streaming", and so on."""
        return (self.name or "").lower()

    @classmethod
    def labelled(cls, label: str) -> CallKind:
        """Return the kind with this label; `ValueError` names the four there are."""
        kinds = {kind.label: kind for kind in cls.__members__.values()}
        if label not in kinds:
            raise ValueError(f"kind is {label!r}; it is one of {', '.join(kinds)}")
        return kinds[label]


#: The two bits by a name of the module: on Python 3.11 a look-up in the class takes longer than the test.
_CLIENT_STREAMING: Final = CallKind.CLIENT_STREAMING
_SERVER_STREAMING: Final = CallKind.SERVER_STREAMING


class Body(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The body of a control frame."""


class Hello(Body, frozen=True, gc=False):
    """The first frame of each side. `max_ahead_items` and `max_ahead_bytes` bound the windows of the other side; 0 does not.

    `keep_ms`: for how long the session is kept without a link; 0 for a side that cannot resume. `token`: of a server, by which
    the client takes this session up again; of a client that does so over a later link, that which it was given. `received`: the
    position up to which that client has the sequence of the server. `credentials`: of a client, by which the server may know
    it. `valid_ms`: of a server, for how long it takes these credentials; 0 for no end.
    """

    magic: str
    version: int
    max_frame_bytes: Annotated[int, msgspec.Meta(ge=16 * 1024)]
    max_item_bytes: Annotated[int, msgspec.Meta(ge=1024)]
    max_header_bytes: Annotated[int, msgspec.Meta(ge=1024)]
    max_streams: Number
    compressions: list[str]
    agent: str = ""
    keep_ms: Number = 0
    token: bytes = b""
    instance: bytes = b""
    max_ahead_items: Number = 0
    max_ahead_bytes: Number = 0
    received: Number = 0
    credentials: str = ""
    valid_ms: Number = 0

    def __repr__(self) -> str:  # what is secret stays out of logs
        return f"<Hello of {self.agent!r}, version {self.version}>"


class Open(Body, frozen=True, gc=False):
    """Begin a call: its target, kind and argument, and how far the callee may go at once.

    `wish_items` and `wish_bytes` ask the callee for windows in the caller's direction; 0 leaves them to the callee.
    """

    target: str
    kind: Annotated[int, msgspec.Meta(ge=0, le=3)]
    codec: Annotated[int, msgspec.Meta(ge=0, le=255)]
    credit_items: Number
    credit_bytes: Number
    argument: bytes | None = None
    metadata: dict[str, str] = {}
    deadline_ms: Number | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=2)] = 1
    fingerprint: Annotated[int, msgspec.Meta(ge=0)] = 0
    wish_items: Number = 0
    wish_bytes: Number = 0

    @property
    def streams_requests(self) -> bool:
        return bool(self.kind & _CLIENT_STREAMING)

    @property
    def streams_responses(self) -> bool:
        return bool(self.kind & _SERVER_STREAMING)


class Accept(Body, frozen=True, gc=False):
    """The callee has begun, and how far the caller may go.

    `payload` is an encoded value for the caller. The first two fields are reserved.
    """

    epoch: Number
    offset: Number
    credit_items: Number
    credit_bytes: Number
    payload: bytes | None = None


class Credit(Body, frozen=True, gc=False):
    """How far the other side may go, in absolute numbers, and how many of its items were consumed."""

    items: Number
    bytes: Number
    consumed: Number


class End(Body, frozen=True, gc=False):
    """The sender's direction ended normally after `count` items. With a `reason` the caller closes both directions."""

    count: Number
    reason: str | None = None


#: The first bytes of the maps of msgpack.
_MAP_HEADS: Final = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])
#: The details of a status that has none: an empty map.
NO_DETAILS: Final = msgspec.Raw(b"\x80")


class Status(Body, frozen=True, gc=False):
    """How the call ended, after `count` items of the callee's direction. Code 0 is the normal end.

    `details`: an encoded map, which is not decoded before the program asks for it.
    """

    code: Annotated[int, msgspec.Meta(ge=0, le=255)]
    reason: str = ""
    message: str = ""
    details: msgspec.Raw = NO_DETAILS
    started: bool = True
    count: Number = 0

    def __post_init__(self) -> None:
        if memoryview(self.details)[0] not in _MAP_HEADS:
            raise ValueError("Expected a map as the details")


class Cancel(Body, frozen=True, gc=False):
    """The caller gives up the call, or the callee takes no more items of the caller."""

    code: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    reason: str = "cancelled"
    message: str = ""


class Ping(Body, frozen=True, gc=False):
    """A question to the peer; its `PONG` carries the same number."""

    number: Number


class GoAway(Body, frozen=True, gc=False):
    """The sender takes no more streams. Code 0 is a drain: open streams go on; any other code ends the connection."""

    last_stream_id: Number
    code: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    message: str = ""


class Resumed(Body, frozen=True, gc=False):
    """The answer to a `HELLO` that takes a session up again. Code 0: how far the client's sequence arrived; else why not."""

    code: Annotated[int, msgspec.Meta(ge=0, le=255)]
    received: Number = 0
    message: str = ""


class Ack(Body, frozen=True, gc=False):
    """How far the sequence of the other side has arrived."""

    received: Number


BODIES: Final[dict[int, type[Body]]] = {
    FrameType.HELLO: Hello,
    FrameType.OPEN: Open,
    FrameType.ACCEPT: Accept,
    FrameType.CREDIT: Credit,
    FrameType.END: End,
    FrameType.STATUS: Status,
    FrameType.CANCEL: Cancel,
    FrameType.PING: Ping,
    FrameType.PONG: Ping,
    FrameType.GOAWAY: GoAway,
    FrameType.ACK: Ack,
    FrameType.RESUMED: Resumed,
}

_DECODERS: Final[dict[int, msgspec.msgpack.Decoder[Any]]] = {
    kind: msgspec.msgpack.Decoder(body) for kind, body in BODIES.items()
}
#: The field for people in the body of a frame.
_TEXTS: Final[dict[int, str]] = {
    FrameType.END: "reason",
    FrameType.STATUS: "message",
    FrameType.CANCEL: "message",
    FrameType.GOAWAY: "message",
    FrameType.RESUMED: "message",
}

encode_body = msgspec.msgpack.Encoder().encode


def decode_body(frame_type: int, body: bytes | bytearray | memoryview) -> Any:
    """Decode the body of a control frame. Its text for people is made harmless here. Raises `ValueError`, `RecursionError`."""
    decoded = _DECODERS[frame_type].decode(bytes(body) if frame_type == FrameType.STATUS else body)  # its details stay encoded
    field = _TEXTS.get(frame_type)
    if field is not None:
        text = getattr(decoded, field)
        if text and (shown := peer_text(text)) != text:
            return msgspec.structs.replace(decoded, **{field: shown})
    return decoded


def readable(text: str, characters: int) -> str:
    """Cut a text to `characters` and escape lone surrogates, which a file name can have and UTF-8 cannot."""
    return text[:characters].encode("utf-8", "backslashreplace").decode("utf-8")


def encode_frame(frame_type: int, flags: int, stream_id: int, body: Body | tuple[object, ...]) -> bytes:
    """Encode one control frame; a tuple stands for the body of the same fields."""
    encoded = encode_body(body)
    return HEADER.pack(len(encoded), frame_type, flags, stream_id) + encoded
