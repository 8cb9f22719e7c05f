"""Frames and msgpack written by hand from PROTOCOL.md, for an attacker: anything can be written, right or wrong.

It imports nothing of Penstock, so a mistake in our encoder cannot hide the same mistake in our decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

HELLO, OPEN, ACCEPT, ITEMS, CREDIT, END, STATUS, CANCEL, PING, PONG, GOAWAY, ACK, RESUMED = range(1, 14)
MORE, LAST, COMPRESSED, IGNORABLE = 0x01, 0x02, 0x04, 0x80
UNARY, CLIENT_STREAMING, SERVER_STREAMING, BIDIRECTIONAL = range(4)
HEADER_BYTES: Final = 14
MAX_NUMBER: Final = 2**53 - 1


class Literal(bytes):
    """Bytes that stand for themselves inside a packed value."""


def pack(value: Any) -> bytes:
    """Write a value as msgpack, by its shortest form."""
    return next(write for kind, write in _WRITERS if isinstance(value, kind))(value)


def _pack_text(text: str) -> bytes:
    encoded = text.encode("utf-8", "surrogatepass")
    return _head(len(encoded), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + encoded


def _pack_map(given: dict[Any, Any]) -> bytes:
    return map_head(len(given)) + b"".join(pack(part) for pair in given.items() for part in pair)


def array_head(count: int) -> bytes:
    return _head(count, 0x90, 15, (None, 0xDC, 0xDD))


def map_head(count: int) -> bytes:
    return _head(count, 0x80, 15, (None, 0xDE, 0xDF))


def _head(size: int, fix: int, fix_max: int, codes: tuple[int | None, int, int]) -> bytes:
    short, middle, long = codes
    if size <= fix_max:
        return bytes([fix | size])
    if short is not None and size < 1 << 8:
        return bytes([short, size])
    return struct.pack(">BH", middle, size) if size < 1 << 16 else struct.pack(">BI", long, size)


def _pack_int(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value) if value < 0 else bytes([value])
    if value < 0:
        return struct.pack(">Bq", 0xD3, value)
    code, layout = next(
        (code, layout)
        for code, layout, bits in ((0xCC, ">BB", 8), (0xCD, ">BH", 16), (0xCE, ">BI", 32), (0xCF, ">BQ", 64))
        if value < 1 << bits
    )
    return struct.pack(layout, code, value)


_WRITERS: Final[tuple[tuple[type, Callable[[Any], bytes]], ...]] = (
    (Literal, bytes),
    (type(None), lambda _value: b"\xc0"),
    (bool, lambda value: b"\xc3" if value else b"\xc2"),
    (int, _pack_int),
    (float, lambda value: struct.pack(">Bd", 0xCB, value)),
    (str, _pack_text),
    (bytes, lambda value: _head(len(value), 0, -1, (0xC4, 0xC5, 0xC6)) + value),
    (dict, _pack_map),
    (list, lambda values: array_head(len(values)) + b"".join(map(pack, values))),
    (tuple, lambda values: pack(list(values))),
)


def frame(kind: int, body: Any = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    """Write a frame. A body that is no bytes is packed; `length` is what the header says, when it is to lie."""
    encoded = bytes(body) if isinstance(body, bytes | bytearray) else pack(body)
    return struct.pack(">IBBQ", len(encoded) if length is None else length, kind, flags, stream) + encoded


def hello(**changes: Any) -> bytes:
    """Write the `HELLO` of a peer with generous limits."""
    fields: dict[str, Any] = {
        "magic": "penstock",
        "version": 1,
        "max_frame_bytes": 1 << 24,
        "max_item_bytes": 1 << 30,
        "max_header_bytes": 1 << 20,
        "max_streams": 1 << 20,
        "compressions": ["deflate"],
        "agent": "attacker",
        "keep_ms": 0,
        "token": b"",
        "instance": b"",
        "max_ahead_items": 0,
        "max_ahead_bytes": 0,
        "received": 0,
    }
    return frame(HELLO, list((fields | changes).values()))


def open_(stream: int, target: str, kind: int = UNARY, *, flags: int | None = None, **changes: Any) -> bytes:
    """Write a whole `OPEN`, with credit for one item, or for 10 items and 1,000 bytes where responses stream."""
    return frame(OPEN, opening(target, kind, **changes), flags=_opening_flags(kind) if flags is None else flags, stream=stream)


def opening(target: str, kind: int = UNARY, **changes: Any) -> list[Any]:
    """Return the fields of an `OPEN`."""
    fields: dict[str, Any] = {
        "target": target,
        "kind": kind,
        "codec": 0,
        "credit_items": 10 if kind & 2 else 1,
        "credit_bytes": 1000,
        "argument": None,
        "metadata": {},
        "deadline_ms": None,
        "priority": 1,
        "fingerprint": 0,
        "wish_items": 0,
        "wish_bytes": 0,
    }
    return list((fields | changes).values())


def _opening_flags(kind: int) -> int:
    return 0 if kind & 1 else LAST


def cut_open(
    stream: int, target: str, kind: int = UNARY, *, piece_bytes: int = 200_000, ends: bool = True, **changes: Any
) -> bytes:
    """Write an `OPEN` in as many fragments as it needs; without the last one unless it `ends`."""
    body, flags = pack(opening(target, kind, **changes)), _opening_flags(kind)
    pieces = [body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)]
    more = [MORE] * (len(pieces) - 1) + [0]
    whole = [frame(OPEN, piece, flags=flags | bit, stream=stream) for piece, bit in zip(pieces, more, strict=True)]
    return b"".join(whole if ends else whole[:-1])


def source_ref(instance: bytes, token: bytes) -> Literal:
    """Write the end of a stream to receive from, as a value (rule 13.1)."""
    return Literal(b"\xc7" + bytes([len(instance + token), 1]) + instance + token)


def batch(*values: Any) -> bytes:
    """Write a batch: always an array with a count of four bytes."""
    return b"\xdd" + struct.pack(">I", len(values)) + b"".join(map(pack, values))


def items(
    stream: int, offset: int, *values: Any, flags: int = 0, payload: bytes | None = None, count: int | None = None
) -> bytes:
    """Write `ITEMS`, with another payload or count than its values have if you like."""
    prefix = struct.pack(">QI", offset, len(values) if count is None else count)
    return frame(ITEMS, prefix + (batch(*values) if payload is None else payload), flags=flags, stream=stream)


class Frame(NamedTuple):
    """A frame as it arrived."""

    kind: int
    flags: int
    stream: int
    body: bytes


def read_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Cut bytes into whole frames; also return what is left."""
    frames, at = [], 0
    while len(data) - at >= HEADER_BYTES:
        length, kind, flags, stream = struct.unpack_from(">IBBQ", data, at)
        if len(data) - at < HEADER_BYTES + length:
            break
        frames.append(Frame(kind, flags, stream, data[at + HEADER_BYTES : at + HEADER_BYTES + length]))
        at += HEADER_BYTES + length
    return frames, data[at:]
