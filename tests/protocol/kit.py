"""The kit of the tests of the wire: frames written and read by hand, connections fed by hand. It never waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from penstock.protocol import Budget, Connection, Grant, Open, ReceiveHalf, Settings, WireStream, events
from penstock.protocol._frames import (
    BODIES,
    COMPRESSED,
    HEADER,
    HEADER_BYTES,
    IGNORABLE,
    ITEMS_PREFIX,
    ITEMS_PREFIX_BYTES,
    LAST,
    MORE,
    Body,
    FrameType,
    Hello,
    Ping,
    decode_body,
)

encode: Final = msgspec.msgpack.Encoder().encode
encode_into: Final = msgspec.msgpack.Encoder().encode_into
#: More than any test writes: `data_to_send` then gives all there is.
ALL: Final = 1 << 40
FLAG_NAMES: Final = {"MORE": MORE, "LAST": LAST, "COMPRESSED": COMPRESSED, "IGNORABLE": IGNORABLE}


def ample() -> Budget:
    """Make a budget that no test uses up."""
    return Budget(ALL, ALL)


class Seen(NamedTuple):
    """A frame as a reader sees it; the body of `ITEMS` is `(offset, count, payload)`."""

    kind: str
    flags: int
    stream: int
    body: Any

    @property
    def flag_names(self) -> list[str]:
        return [name for name, bit in FLAG_NAMES.items() if self.flags & bit]


def frame(kind: int, body: Body | bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Write any frame, legal or not."""
    encoded = body if isinstance(body, bytes) else encode(body)
    return HEADER.pack(len(encoded), kind, flags, stream) + encoded


def hello(**changes: Any) -> bytes:
    """Write the `HELLO` of a peer with generous limits."""
    fields: dict[str, Any] = {
        "magic": "penstock",
        "version": 1,
        "max_frame_bytes": 1 << 24,
        "max_item_bytes": 1 << 30,
        "max_header_bytes": 1 << 20,
        "max_streams": 1 << 20,
        "compressions": ["zstd", "deflate"],
    }
    return frame(FrameType.HELLO, Hello(**(fields | changes)))


def opening(kind: int = 2, **changes: Any) -> Open:
    """Make an `OPEN` with credit for 10 items and 1,000 bytes."""
    fields: dict[str, Any] = {"target": "S/m", "kind": kind, "codec": 0, "credit_items": 10, "credit_bytes": 1000}
    return Open(**(fields | changes))


def open_frame(stream: int = 1, kind: int = 2, *, flags: int | None = None, **changes: Any) -> bytes:
    """Write a whole `OPEN`."""
    fitting = 0 if kind & 1 else LAST
    return frame(FrameType.OPEN, opening(kind, **changes), flags=fitting if flags is None else flags, stream=stream)


def array(*values: Any) -> bytes:
    """Write a batch as msgpack: always an array with a count of four bytes."""
    return b"\xdd" + len(values).to_bytes(4, "big") + b"".join(map(encode, values))


def items_frame(
    stream: int, offset: int, *values: Any, flags: int = 0, payload: bytes | None = None, count: int | None = None
) -> bytes:
    """Write `ITEMS`, with another payload or count than its values have if you like."""
    prefix = ITEMS_PREFIX.pack(offset, len(values) if count is None else count)
    return frame(FrameType.ITEMS, prefix + (array(*values) if payload is None else payload), flags=flags, stream=stream)


def read_frames(data: bytes) -> list[Seen]:
    """Read whole frames, without any of the checks that a connection makes."""
    seen, at = [], 0
    while at < len(data):
        length, kind, flags, stream = HEADER.unpack_from(data, at)
        body = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
        assert len(body) == length, "half a frame"
        name = FrameType(kind).name if kind in BODIES or kind == FrameType.ITEMS else str(kind)
        seen.append(Seen(name, flags, stream, _read_body(kind, flags, body)))
        at += HEADER_BYTES + length
    return seen


def _read_body(kind: int, flags: int, body: bytes) -> Any:
    if kind == FrameType.ITEMS:
        return (*ITEMS_PREFIX.unpack_from(body), body[ITEMS_PREFIX_BYTES:])
    return body if flags & MORE or kind not in BODIES else decode_body(kind, body)


class Side:
    """One connection that a test feeds and listens to. Its clock stands still unless a test moves it."""

    def __init__(self, role: str, settings: Settings, **keeping: Any) -> None:
        self.connection = Connection(role, settings, 0.0, **keeping)
        self.now_s = 0.0

    def feed(self, *data: bytes) -> list[events.Event]:
        """Take bytes from the peer."""
        return self.connection.receive_data(b"".join(data), self.now_s)

    def write(self, budget_bytes: int = ALL) -> bytes:
        """Return the bytes that it wants to send now."""
        return b"".join(self.connection.data_to_send(budget_bytes, self.now_s))

    def frames(self) -> list[Seen]:
        """Return the frames that it wants to send now."""
        return read_frames(self.write())

    def call(self, kind: int = 2, *, window: Grant | None = None, **changes: Any) -> WireStream:
        """Open a stream and throw its `OPEN` away."""
        grant = window or Grant(10, 1000)
        opened = opening(kind, **({"credit_items": grant.items, "credit_bytes": grant.bytes} | changes))
        stream = self.connection.open(opened, ReceiveHalf(grant))
        self.write()
        return stream

    def answer(self, stream: int = 1, kind: int = 2, *, window: Grant | None = None, **changes: Any) -> WireStream:
        """Let the peer open a stream, accept it, and throw the `ACCEPT` away."""
        (opened,) = self.feed(open_frame(stream, kind, **changes))
        assert isinstance(opened, events.Opened), opened
        self.connection.accept(opened.stream, (window or Grant(10, 1000)) if kind & 1 else None)
        self.write()
        return opened.stream


def side(role: str = "server", *, greeted: bool = True, peer: dict[str, Any] | None = None, **settings: Any) -> Side:
    """Make a connection; `greeted` when the peer's `HELLO` has been read and our own has been written."""
    made = Side(role, Settings(**settings))
    if greeted:
        made.feed(hello(**(peer or {})), frame(FrameType.PONG, Ping(1)))
        made.write()
        made.connection.keepalive.probes = False  # its `PING` would stand beside the frames that a test looks at
    return made


def push(stream: WireStream, *values: Any) -> None:
    """Encode items into a stream, whatever its credit says."""
    assert stream.send is not None
    for value in values:
        stream.send.push(encode_into, value)


def rule_of(seen: Iterable[events.Event]) -> str | None:
    """Return the rule that the peer broke, None when it broke none."""
    failed = [event for event in seen if isinstance(event, events.Failed)]
    return failed[-1].error.rule if failed and failed[-1].error is not None else None


def values_of(payload: bytes) -> list[Any]:
    """Read a msgpack batch."""
    return list(msgspec.msgpack.decode(payload))
