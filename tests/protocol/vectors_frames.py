"""Golden vectors of single frames: what each means, byte by byte. The meaning is written here; the bytes are computed."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from typing import Any, Final

import msgspec

from penstock.protocol import MAX_NUMBER, Limit
from penstock.protocol._budget import Unsent
from penstock.protocol._compression import DEFLATE, ZSTD
from penstock.protocol._frames import (
    COMPRESSED,
    HEADER,
    HEADER_BYTES,
    IGNORABLE,
    LAST,
    MORE,
    NO_DETAILS,
    Accept,
    Ack,
    Body,
    Cancel,
    Credit,
    End,
    FrameType,
    GoAway,
    Hello,
    Open,
    Ping,
    Resumed,
    Status,
)
from penstock.protocol._send import MSGPACK_LAYOUT, SendHalf, SendRules
from penstock.refs._proof import GENERATOR, NUMBER_BYTES, PRIME, Identity
from tests.protocol.kit import Seen, ample, array, encode, encode_into, frame, items_frame, read_frames

Vector = dict[str, Any]

TYPED: Final = Hello(
    *("penstock", 1, 262_144, 16_777_216, 65_536, 16_384, ["zstd", "deflate"], "penstock-python", 0, b"", bytes(range(16))),
    *(65_536, 67_108_864),
)
ROOMY: Final = Open(
    "Prices/watch", 2, 0, 256, 262_144, b"\x91\xa4AAPL", {"trace": "a1"}, 1500, 0, 81_985_529_216_486_895, 16, 65_536
)
DETAILS: Final = msgspec.Raw(encode({"field": "symbol", "raw": b"\x00\xff", "tried": [1, None, True]}))
CONTROL: Final[list[tuple[str, int, int, int, Body]]] = [
    ("HELLO", FrameType.HELLO, 0, 0, TYPED),
    ("HELLO with the smallest limits", FrameType.HELLO, 0, 0, Hello("penstock", 1, 16_384, 1024, 1024, 0, [])),
    (
        "HELLO with the largest numbers",
        FrameType.HELLO,
        0,
        0,
        Hello("penstock", 1, *[MAX_NUMBER] * 4, [], "", MAX_NUMBER, b"\x01", b"", *[MAX_NUMBER] * 3, "", MAX_NUMBER),
    ),
    (
        "HELLO of a client with credentials",
        *(FrameType.HELLO, 0, 0),
        Hello("penstock", 1, 16_384, 1024, 1024, 0, [], credentials="s3cret"),
    ),
    (
        "HELLO of a server that takes the credentials for a minute",
        *(FrameType.HELLO, 0, 0),
        Hello("penstock", 1, 16_384, 1024, 1024, 0, [], valid_ms=60_000),
    ),
    ("OPEN unary", FrameType.OPEN, LAST, 1, Open("Prices/quote", 0, 0, 1, 67_108_864, b"\x91\xa4AAPL")),
    ("OPEN client streaming, no argument", FrameType.OPEN, 0, 2, Open("Prices/record", 1, 0, 1, 67_108_864)),
    ("OPEN server streaming, every field", FrameType.OPEN, LAST, 3, ROOMY),
    ("OPEN bidirectional in JSON", FrameType.OPEN, 0, 5, Open("Prices/trade", 3, 1, 4, 1000, b'{"symbol":"AAPL"}')),
    ("ACCEPT", FrameType.ACCEPT, 0, 3, Accept(0, 0, 0, 0)),
    ("ACCEPT with a window for requests", FrameType.ACCEPT, 0, 5, Accept(0, 0, 256, 262_144)),
    ("ACCEPT with a payload", FrameType.ACCEPT, 0, 5, Accept(0, 0, 16, 67_108_864, b"\x81\xa5hello\xa4cart")),
    ("CREDIT", FrameType.CREDIT, 0, 3, Credit(6, 1800, 2)),
    ("CREDIT of the largest numbers", FrameType.CREDIT, 0, MAX_NUMBER, Credit(*[MAX_NUMBER] * 3)),
    ("END", FrameType.END, 0, 5, End(3)),
    ("END that closes the call", FrameType.END, 0, 5, End(3, "done")),
    ("END that closes the call without a word", FrameType.END, 0, 5, End(0, "")),
    ("STATUS, a normal end", FrameType.STATUS, 0, 3, Status(0, count=300)),
    ("STATUS, a normal end with a reason", FrameType.STATUS, 0, 3, Status(0, "", "done", count=2)),
    ("STATUS, an error", FrameType.STATUS, 0, 3, Status(5, "not_found", "no such symbol: AÄ–漢", DETAILS, True, 0)),
    ("STATUS, never started", FrameType.STATUS, 0, 3, Status(8, "resource_exhausted", "full", NO_DETAILS, False)),
    ("CANCEL", FrameType.CANCEL, 0, 3, Cancel()),
    ("CANCEL with a reason", FrameType.CANCEL, 0, 3, Cancel(4, "deadline_exceeded", "2 s")),
    ("PING", FrameType.PING, 0, 0, Ping(1)),
    ("PONG", FrameType.PONG, 0, 0, Ping(1)),
    ("GOAWAY, a drain", FrameType.GOAWAY, 0, 0, GoAway(41, 0, "restarting")),
    ("GOAWAY, a broken rule", FrameType.GOAWAY, 0, 0, GoAway(41, 13, "PROTOCOL.md rule 4.2: ITEMS with no item")),
    ("RESUMED", FrameType.RESUMED, 0, 0, Resumed(0, 70_000)),
    ("RESUMED, refused", FrameType.RESUMED, 0, 0, Resumed(9, message="this server keeps no session to resume")),
    ("ACK", FrameType.ACK, 0, 0, Ack(70_000)),
]
_TWICE: Final = frame(
    FrameType.OPEN,
    b"\x97" + b"".join(map(encode, ["S/m", 2, 0, 1, 1, None])) + b"\x82\xa1a\xa11\xa1a\xa12",
    flags=LAST,
    stream=3,
)
#: Bodies that another version may write: read, never written by this one.
OTHER_VERSIONS: Final[list[tuple[str, bytes]]] = [
    ("PING with fields behind the known ones", frame(FrameType.PING, encode([7, "new", {"a": 1}]))),
    ("CANCEL without any field", frame(FrameType.CANCEL, encode([]), stream=3)),
    ("HELLO without an instance", frame(FrameType.HELLO, encode(["penstock", 1, 16_384, 1024, 1024, 4, [], "old", 0, b""]))),
    (
        "HELLO without credentials",
        frame(FrameType.HELLO, encode(["penstock", 1, 16_384, 1024, 1024, 4, [], "old", 0, b"", b"", 1, 2, 3])),
    ),
    ("ACCEPT without a payload", frame(FrameType.ACCEPT, encode([0, 0, 256, 262_144]), stream=3)),
    ("END with a count only", frame(FrameType.END, encode([3]), stream=3)),
    ("STATUS with a code only", frame(FrameType.STATUS, encode([13]), stream=3)),
    ("OPEN with the first five fields only", frame(FrameType.OPEN, encode(["S/m", 2, 0, 1, 1]), flags=LAST, stream=3)),
    ("OPEN with a key twice in its metadata: the last counts", _TWICE),
    ("a number written longer than it needs", frame(FrameType.PING, b"\x91\xcf" + (7).to_bytes(8, "big"))),
    ("PING that says it may be ignored", frame(FrameType.PING, Ping(1), flags=IGNORABLE)),
]
BATCHES: Final[list[tuple[str, int, int, list[Any]]]] = [
    ("one item", 0, 0, ["AAPL"]),
    ("three items of different types", 0, 7, [1, None, {"symbol": "AAPL", "value": 1.5}]),
    ("bytes travel raw", 0, 0, [b"\x00\x01\xff", b""]),
    ("the last ones of a direction", LAST, 254, [254, 255]),
]
#: Compressed by another hand, so that no version of a library can change them: one stored block, one fixed block, zstd.
PACKED: Final[list[tuple[str, int, str, list[Any]]]] = [
    ("deflate, one stored block", DEFLATE, "01" + "0900" + "f6ff" + array("abc").hex(), ["abc"]),
    ("deflate, compressed", DEFLATE, "bbcbc0c0c078532391480000", ["a" * 40]),
    ("zstd, compressed", ZSTD, "28b52ffd202f75000040dd00000001d9286101004ac005", ["a" * 40]),
    ("zstd, one raw block", ZSTD, "28b52ffd" + "20" + "09" + "490000" + array("abc").hex(), ["abc"]),
]


def plain(value: Any) -> Any:
    """Write a value as every reader of JSON can read it: bytes as `{"hex": …}`, a number over 2^53-1 as `{"number": "…"}`."""
    if isinstance(value, int) and value > MAX_NUMBER:
        return {"number": str(value)}
    if isinstance(value, msgspec.Raw):
        return plain(msgspec.msgpack.decode(value))
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def meaning(seen: Seen, *, items: list[Any] | None = None) -> Vector:
    """Write a frame as a reader understands it."""
    if isinstance(seen.body, Body):
        body = {name: plain(value) for name, value in msgspec.structs.asdict(seen.body).items()}
    elif seen.kind == "ITEMS":
        body = {"offset": seen.body[0], "count": seen.body[1], "payload": {"hex": seen.body[2].hex()}}
        if items is not None:
            body["items"] = plain(items)
    else:
        body = {"part": {"hex": seen.body.hex()}}
    return {"type": seen.kind, "flags": seen.flag_names, "stream": seen.stream, "body": body}


def _vector(name: str, data: bytes, *, items: list[Any] | None = None, **more: Any) -> Vector:
    return {"name": name, "hex": data.hex(), "frame": meaning(read_frames(data)[0], items=items), **more}


def frames() -> list[Vector]:
    """Every type of frame."""
    control = [_vector(name, frame(kind, body, flags=flags, stream=stream)) for name, kind, flags, stream, body in CONTROL]
    others = [_vector(name, data, read_only=True) for name, data in OTHER_VERSIONS]
    batches = [_vector(f"ITEMS, {name}", items_frame(3, at, *of, flags=flags), items=of) for name, flags, at, of in BATCHES]
    text = b'["AAPL",null,{"value":1.5}]'
    json = _vector("ITEMS in JSON", items_frame(5, 0, payload=text, count=3), items=msgspec.json.decode(text), codec="json")
    return [*control, *batches, json, *others]


def fragments() -> list[Vector]:
    """Messages cut into several frames, here of at most 60 bytes of body."""
    sender = SendHalf(Limit(100, 1000), SendRules(MSGPACK_LAYOUT, 60, 1000, Unsent(1000, ample()), None))
    sender.push(encode_into, "x" * 100)
    sender.end()
    pieces = []
    while segments := sender.next_frame(3):
        pieces.append(b"".join(segments))
    whole = array("x" * 100)
    opened = encode(Open("S/upload", 0, 0, 1, 1000, b"y" * 80))
    opening = [
        frame(FrameType.OPEN, opened[:60], flags=LAST | MORE, stream=5),
        frame(FrameType.OPEN, opened[60:], flags=LAST, stream=5),
    ]
    return [
        {"name": "one large item", "frames": _parts(pieces), "payload": {"hex": whole.hex()}, "items": ["x" * 100]},
        {"name": "a large argument", "frames": _parts(opening), "payload": {"hex": opened.hex()}},
    ]


def _parts(pieces: list[bytes]) -> list[Vector]:
    return [{"hex": piece.hex(), "frame": meaning(_part(piece))} for piece in pieces]


def _part(piece: bytes) -> Seen:
    """Read a fragment; that of an `OPEN` is only a part of a body."""
    if piece[4] == FrameType.ITEMS:
        return read_frames(piece)[0]
    _, _, flags, stream = HEADER.unpack_from(piece)
    return Seen("OPEN", flags, stream, piece[HEADER_BYTES:])


def compression() -> list[Vector]:
    """Compressed payloads: to be read. How well a sender compresses is its own affair."""
    vectors = []
    for name, number, packed, items in PACKED:
        payload = bytes((number,)) + bytes.fromhex(packed)
        data = items_frame(3, 0, payload=payload, count=len(items), flags=COMPRESSED)
        vectors.append(_vector(name, data, items=items, plain={"hex": array(*items).hex()}))
    return vectors


def values() -> dict[str, list[Vector]]:
    """How the types of Python are written, and how the arguments of a call are."""
    return {"values": [_value(name, value) for name, value in _VALUES], "arguments": _ARGUMENTS}


def _value(name: str, value: Any) -> Vector:
    return {"name": name, "msgpack": msgspec.msgpack.encode(value).hex(), "json": msgspec.json.encode(value).decode()}


def _sample_values() -> list[tuple[str, Any]]:
    color = enum.Enum("Color", {"RED": "red"})
    price = msgspec.defstruct("Price", [("symbol", str), ("value", float)])
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    return [
        ("None", None),
        ("bool", True),
        ("int", 300),
        ("int below zero", -1),
        ("int, the largest", 2**64 - 1),
        ("float", 1.5),
        ("str", "AÄ漢"),
        ("bytes", b"\x00\xff"),
        ("list, tuple or set", [1, 2]),
        ("dict", {"a": 1}),
        ("a class with fields (penstock.Struct, dataclass, attrs, TypedDict)", price("AAPL", 1.5)),
        ("Enum, by its value", color.RED),
        ("datetime with a time zone", moment),
        ("datetime without a time zone", moment.replace(tzinfo=None)),
        ("date", moment.date()),
        ("timedelta", dt.timedelta(seconds=90)),
        ("Decimal", decimal.Decimal("1.50")),
        ("UUID", uuid.UUID(int=1)),
    ]


_VALUES: Final = _sample_values()
_ARGUMENTS: Final = [
    _value("by position: watch('AAPL', 5)", ["AAPL", 5]),
    _value("by name: watch(symbol='AAPL', depth=5)", {"symbol": "AAPL", "depth": 5}),
    _value("none: watch()", []),
]


def proof() -> dict[str, Any]:
    """Show one proof of an instance (rule 13.5), from the secrets of both sides."""
    secret, asked = int.from_bytes(bytes(range(32)), "big"), int.from_bytes(bytes(range(32, 64)), "big")
    public = pow(GENERATOR, secret, PRIME).to_bytes(NUMBER_BYTES, "big")
    challenge = pow(GENERATOR, asked, PRIME).to_bytes(NUMBER_BYTES, "big")
    owner, asker = Identity(secret, public, bytes(range(16))), bytes(range(16, 32))
    return {
        "owner": {
            "secret": f"{secret:064x}",
            "public": public.hex(),
            "salt": owner.salt.hex(),
            "instance": owner.instance.hex(),
        },
        "asker": {"secret": f"{asked:064x}", "challenge": challenge.hex(), "instance": asker.hex()},
        "answers": {role: owner.answer(challenge, role, asker).hex() for role in ("client", "server")},
    }
