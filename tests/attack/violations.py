"""What breaks a rule of PROTOCOL.md, or comes near, over a real connection: each with the answer that the page promises.

The other side is `victim.py`. `rule` is the rule that its `GOAWAY` names, `status` the code of the `STATUS` that answers
stream 1; with neither, the connection goes on.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from tests.attack.wire import (
    ACCEPT,
    ACK,
    CANCEL,
    COMPRESSED,
    CREDIT,
    END,
    GOAWAY,
    HELLO,
    IGNORABLE,
    ITEMS,
    LAST,
    MAX_NUMBER,
    MORE,
    OPEN,
    PING,
    PONG,
    RESUMED,
    SERVER_STREAMING,
    STATUS,
    batch,
    cut_open,
    frame,
    hello,
    items,
    open_,
    opening,
    pack,
)

H: Final = hello()
#: Stream 1 is a bidirectional call with a window of 4 items; the answer to `PING` says that it was accepted.
MIRROR: Final = H + open_(1, "Desk/mirror", 3, wish_items=4, wish_bytes=1000)
NUMBERS: Final = H + open_(1, "Desk/numbers", SERVER_STREAMING)
CANCEL_1: Final = frame(CANCEL, [1, "cancelled", ""], stream=1)
HALF_OPEN: Final = frame(OPEN, pack(opening("Desk/wait"))[:9], flags=MORE | LAST, stream=1)
HALF: Final = items(1, 0, payload=batch("abcdef")[:6], count=1, flags=MORE)


class Violation(NamedTuple):
    """Bytes, and how they are answered. `before` is legal, and is sent in one piece."""

    name: str
    before: bytes
    data: bytes
    rule: str | None = None
    status: int | None = None


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return b"\x02" + packer.compress(data) + packer.flush()


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


def _compressed(payload: bytes) -> bytes:
    return items(1, 0, payload=payload, count=1, flags=COMPRESSED)


OTHERS: Final = [
    Violation("HTTP/1.1", b"", b"GET / HTTP/1.1\r\n\r\n", "1.2"),
    Violation("HTTP/2", b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "1.2"),
    Violation("TLS ClientHello", b"", bytes.fromhex("16030102000100 01fc0303" + "ab" * 32), "1.2"),
    Violation("SSH", b"", b"SSH-2.0-OpenSSH_9.6\r\n", "1.2"),
    Violation("Redis", b"", b"*1\r\n$4\r\nPING\r\n" + bytes(20), "1.2"),
    Violation("zeros", b"", bytes(14), "1.4"),
]
FRAMES: Final = [
    Violation("length 2^32-1", H, frame(PING, length=2**32 - 1), "1.2"),
    Violation("a frame over the limit", H, frame(PING, length=262_145), "1.2"),
    Violation("unknown type", H, frame(14, b"new"), "1.4"),
    Violation("type 0", H, frame(0, b""), "1.4"),
    Violation("unknown type that may be ignored", H, frame(200, b"new", flags=IGNORABLE | 0x7F, stream=9)),
    Violation("a flag that PING has not", H, frame(PING, [1], flags=MORE), "1.5"),
    Violation("a reserved flag", MIRROR, items(1, 0, 1, flags=0x08), "1.5"),
    Violation("COMPRESSED on OPEN", H, open_(1, "Desk/wait", flags=LAST | COMPRESSED), "1.5"),
    Violation("OPEN on stream 0", H, open_(0, "Desk/wait"), "1.5"),
    Violation("ITEMS on stream 0", H, items(0, 0, 1), "1.5"),
    Violation("PING on stream 1", H, frame(PING, [1], stream=1), "1.5"),
]
BODIES: Final = [
    Violation("an empty body", H, frame(PING, b""), "1.7"),
    Violation("a body that ends early", H, frame(PING, b"\x91\xcd\x01"), "1.7"),
    Violation("two values in a body", H, frame(PING, b"\x91\x01\x91\x01"), "1.7"),
    Violation("a map for an array", H, frame(PING, {"number": 1}), "1.7"),
    Violation("a pickle", H, frame(PING, b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01."), "1.7"),
    Violation("a string for a number", H, frame(PING, ["1"]), "1.7"),
    Violation("a float for a number", H, frame(PING, [1.5]), "1.7"),
    Violation("NaN for a number", H, frame(PING, [float("nan")]), "1.7"),
    Violation("a number below zero", H, frame(PING, [-1]), "1.7"),
    Violation("the number 2^53", H, frame(PING, [2**53]), "1.7"),
    Violation("the number 2^64-1", H, frame(PING, [2**64 - 1]), "1.7"),
    Violation("invalid UTF-8", MIRROR, frame(CANCEL, b"\x92\x01\xa2\xff\xfe", stream=1), "1.7"),
    Violation("a lone surrogate", MIRROR, frame(CANCEL, [1, "\ud800"], stream=1), "1.7"),
    Violation("a list said to be of 2^32-1", H, frame(PING, b"\xdd\xff\xff\xff\xff\x01"), "1.7"),
    Violation("10,000 arrays in a body", H, frame(PING, nested(10_000)), "1.7"),
    Violation("a target that is a number", H, frame(OPEN, opening(7), flags=LAST, stream=1), "1.7"),
    Violation("metadata of numbers", H, open_(1, "Desk/wait", metadata={"a": 1}), "1.7"),
    Violation("kind 4", H, frame(OPEN, opening("Desk/wait", 4), flags=LAST, stream=1), "1.7"),
    Violation("a short OPEN", H, frame(OPEN, ["Desk/wait", 0], flags=LAST, stream=1), "1.7"),
]
HANDSHAKE: Final = [
    Violation("PING before HELLO", b"", frame(PING, [1]), "2.1"),
    Violation("OPEN before HELLO", b"", open_(1, "Desk/wait"), "2.1"),
    Violation("another magic word", b"", hello(magic="rsocket"), "2.2"),
    Violation("version 0", b"", hello(version=0), "2.2"),
    Violation("a second HELLO", H, H, "2.3"),
    Violation("HELLO over 4,082 bytes", b"", frame(HELLO, length=4083), "1.2"),
    Violation("a frame limit below 16 KiB", b"", hello(max_frame_bytes=16_383), "1.7"),
    Violation("a version that is a text", b"", hello(version="1"), "1.7"),
]
STREAMS: Final = [
    Violation("an even id", H, open_(2, "Desk/wait"), "3.2"),
    Violation("an id again", MIRROR, open_(1, "Desk/wait"), "3.2"),
    Violation("an id of a stream that is over", MIRROR, CANCEL_1 + open_(1, "Desk/wait"), "3.2"),
    Violation("a lower id", H + open_(5, "Desk/wait"), open_(3, "Desk/wait"), "3.2"),
    Violation("the id 2^53+1", H, open_(2**53 + 1, "Desk/wait"), "3.2"),
    Violation("the id 2^64-1", H, open_(2**64 - 1, "Desk/wait"), "3.2"),
    Violation("CANCEL of a stream that never was", H, frame(CANCEL, [1], stream=7), "3.3"),
    Violation("ITEMS on a stream that never was", H, items(7, 0, 1), "3.3"),
    Violation("CREDIT on a stream of this side that never was", H, frame(CREDIT, [1, 1, 0], stream=2), "3.3"),
    Violation("ITEMS where the kind has none", NUMBERS, items(1, 0, 1), "3.4"),
    Violation("ITEMS after END", H + open_(1, "Desk/ignore", 1), frame(END, [0], stream=1) + items(1, 0, b""), "3.4"),
    Violation("END twice", H + open_(1, "Desk/ignore", 1), frame(END, [0], stream=1) * 2, "3.4"),
    Violation("END where the kind has none", NUMBERS, frame(END, [0], stream=1), "3.4"),
    Violation("STATUS from a caller", MIRROR, frame(STATUS, [0], stream=1), "3.4"),
    Violation("ACCEPT from a caller", MIRROR, frame(ACCEPT, [0, 0, 1, 1], stream=1), "3.4"),
    Violation("CANCEL of a stream that is over", MIRROR, CANCEL_1 + frame(CANCEL, [1], stream=1)),
    Violation("ITEMS on a stream that is over", MIRROR, CANCEL_1 + items(1, 0, *range(99))),
    Violation("LAST on the OPEN of a client stream", H, open_(1, "Desk/total", 1, flags=LAST), "3.6"),
    Violation("no LAST on the OPEN of a unary call", H, open_(1, "Desk/wait", flags=0), "3.6"),
    Violation("an unknown target", H, open_(1, "Desk/nothing"), status=12),
    Violation("another kind", H, open_(1, "Desk/wait", SERVER_STREAMING), status=12),
    Violation("a target with control characters", H, open_(1, "Desk/\r\n\x1b[31m\0../../etc"), status=12),
    Violation("an actor that is a path", H, open_(1, "/../../etc/passwd!stop"), status=5),
    Violation("an argument that does not fit", H, open_(1, "Desk/echo", argument=pack(["text"])), status=3),
    Violation("an argument that is a pickle", H, open_(1, "Desk/echo", argument=b"\x80\x04K\x01."), status=3),
    Violation("an argument with invalid UTF-8", H, open_(1, "Desk/anything", argument=b"\x91\xa2\xff\xfe"), status=3),
    Violation("an argument 10,000 arrays deep", H, open_(1, "Desk/anything", argument=b"\x91" + nested(10_000)), status=3),
    Violation("an argument for nothing", H, open_(1, "Desk/large", argument=pack([1])), status=3),
]
BATCHES: Final = [
    Violation("ITEMS of 11 bytes", MIRROR, frame(ITEMS, bytes(11), stream=1), "4.1"),
    Violation("no item", MIRROR, items(1, 0), "4.2"),
    Violation("a gap", MIRROR, items(1, 1, "b"), "4.3"),
    Violation("an overlap", MIRROR, items(1, 0, 1, 2) + items(1, 1, 1, 2), "4.3"),
    Violation("the offset 2^64-1", MIRROR, items(1, 2**64 - 1, 1), "4.3"),
    Violation("the same again", MIRROR, items(1, 0, 1, 2) * 2),
    Violation("a fragment of another message", MIRROR, HALF + items(1, 1, payload=b"x", count=1), "4.5"),
    Violation("LAST on a later fragment", MIRROR, HALF + items(1, 0, payload=b"x", count=1, flags=LAST), "4.5"),
    Violation("END between fragments", MIRROR, HALF + frame(END, [0], stream=1), "4.5"),
    Violation("a close between fragments", MIRROR, HALF + frame(END, [0, "done"], stream=1), "4.5"),
    Violation("CANCEL between fragments", MIRROR, HALF + CANCEL_1),
    Violation("END between the fragments of an OPEN", H, HALF_OPEN + frame(END, [0], stream=1), "3.4"),
    Violation("CANCEL between the fragments of an OPEN", H, HALF_OPEN + CANCEL_1),
    Violation("an empty fragment", MIRROR, items(1, 0, payload=b"", count=1, flags=MORE), "4.5"),
    Violation("more items than said", MIRROR, items(1, 0, payload=batch(1, 2), count=1), "4.9"),
    Violation("fewer items than said", MIRROR, items(1, 0, payload=batch(), count=1), "4.9"),
    Violation("a payload that is no array", MIRROR, items(1, 0, payload=pack("text"), count=1), "4.9"),
    Violation("an empty payload", MIRROR, items(1, 0, payload=b"", count=1), "4.9"),
    Violation("an unknown codec", H, open_(1, "Desk/wait", codec=7), status=12),
    Violation("an item that does not fit", H + open_(1, "Desk/ignore", 1), items(1, 0, "no bytes")),
]
CREDITS: Final = [
    Violation("an item more than granted", MIRROR, items(1, 0, *range(5)), "5.1"),
    Violation("2^32-1 items", MIRROR, items(1, 0, payload=batch(1), count=2**32 - 1), "5.1"),
    Violation(
        "an item begun without byte credit",
        H + open_(1, "Desk/ignore", 1, wish_items=4, wish_bytes=1000),
        items(1, 0, bytes(2000)) + items(1, 1, b""),
        "5.2",
    ),
    Violation("credit that shrinks", NUMBERS, frame(CREDIT, [1, 1, 0], stream=1)),
    Violation("credit of 2^53", NUMBERS, frame(CREDIT, [2**53, 0, 0], stream=1), "1.7"),
    Violation(
        "credit of 2^53-1, cancelled",
        NUMBERS,
        frame(CREDIT, [MAX_NUMBER, MAX_NUMBER, 0], stream=1) + frame(CANCEL, [1], stream=1),
    ),
    Violation("more consumed than sent", NUMBERS, frame(CREDIT, [20, 2000, 10_000], stream=1), "5.4"),
]
ENDS: Final = [
    Violation("END that counts too many", MIRROR, frame(END, [1], stream=1), "6.2"),
    Violation("END that counts too few", H + open_(1, "Desk/ignore", 1), items(1, 0, b"") + frame(END, [0], stream=1), "6.2"),
    Violation("a close that counts too many", MIRROR, frame(END, [1, "done"], stream=1), "6.2"),
    Violation("a number for the reason of an end", MIRROR, frame(END, [0, 7], stream=1), "1.7"),
    Violation("GOAWAY that is a drain", H, frame(GOAWAY, [0, 0, "soon"])),
    Violation("PONG that answers nothing", H, frame(PONG, [77])),
    Violation("a guessed token of a session", b"", hello(keep_ms=1, token=b"guess" * 3)),
    Violation("a token and a position, at a peer that keeps nothing", b"", hello(token=b"guess" * 3, received=MAX_NUMBER)),
    Violation("a frame between the question and its answer", b"", hello(token=b"guess") + frame(PING, [1]), None),
    Violation("RESUMED that answers nothing", H, frame(RESUMED, [0, 5, ""])),
    Violation("ACK of a session that is not kept", H, frame(ACK, [5])),
    Violation("ACK beyond what was sent", hello(keep_ms=1), frame(ACK, [MAX_NUMBER]), "9.4"),
]
LIMITED: Final = [
    Violation("CANCEL over the header limit", MIRROR, frame(CANCEL, [1, "x" * 70_000], stream=1), "10.2"),
    Violation("metadata of 1 MB", H, cut_open(1, "Desk/wait", metadata={"a": "x" * 1_000_000}), status=8),
    Violation("an argument over the item limit", H, cut_open(1, "Desk/echo", argument=bytes((16 << 20) + 1)), status=8),
]
COMPRESSIONS: Final = [
    Violation("an unknown compression", MIRROR, _compressed(b"\x09abc"), "11.2"),
    Violation("no compressed byte", MIRROR, _compressed(b""), "11.2"),
    Violation("broken deflate", MIRROR, _compressed(b"\x02\xff\xff"), "11.3"),
    Violation("unfinished deflate", MIRROR, _compressed(deflated(batch("abc"))[:-1]), "11.3"),
    Violation("bytes after deflate", MIRROR, _compressed(deflated(batch("abc")) + b"\0"), "11.3"),
    Violation("a bomb", MIRROR, _compressed(deflated(bytes((16 << 20) + 65_537))), "11.4"),
    Violation("a bomb in a bomb", MIRROR, _compressed(deflated(deflated(bytes(8 << 20)))), "4.9"),
]
ALL: Final = [*OTHERS, *FRAMES, *BODIES, *HANDSHAKE, *STREAMS, *BATCHES, *CREDITS, *ENDS, *LIMITED, *COMPRESSIONS]
#: What is quick and ends the connection: for storms of thousands.
BREAKING: Final = [case for case in ALL if case.rule is not None and len(case.data) < 100_000 and case.name != "a bomb"]
