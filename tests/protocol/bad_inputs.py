"""Inputs that break a rule, each with the number of that rule: data that tests and vectors share.

A case begins with a connection that has greeted its peer, unless `greeted` says otherwise. `before` brings it to the point
where
the bad bytes arrive: bytes that are received, calls that this side opens or accepts.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple

from penstock.protocol import MAX_NUMBER, Cancel, Grant, Status, events
from penstock.protocol._frames import (
    COMPRESSED,
    HEADER,
    IGNORABLE,
    LAST,
    MORE,
    Accept,
    Credit,
    End,
    FrameType,
    GoAway,
    Ping,
)
from tests.protocol.kit import Side, array, encode, frame, hello, items_frame, open_frame, side

#: The limits of the side that receives: small, so that a case is short.
LIMITS: Final = {
    "max_frame_bytes": 16_384,
    "max_item_bytes": 20_000,
    "max_header_bytes": 1024,
    "max_streams": 4,
    "max_connection_bytes": 120_000,
}
#: What a batch may be: the largest item, and what may be before it in the same batch.
BATCH_MAX: Final = LIMITS["max_item_bytes"] + 64 * 1024
RECEIVE, OPEN, ACCEPT = "receive", "open", "accept"

Step = tuple[str, Any]


class Bad(NamedTuple):
    """One case: `rule` is broken, or `status` answers the stream, or else the bytes are ignored."""

    name: str
    data: bytes
    rule: str | None = None
    status: int | None = None
    before: tuple[Step, ...] = ()
    role: str = "server"
    greeted: bool = True


def prepare(case: Bad) -> Side:
    """Bring a connection to where the bad bytes arrive."""
    made = side(case.role, greeted=case.greeted, **LIMITS)
    made.write()
    for what, given in case.before:
        _STEPS[what](made, given)
        made.write()
    return made


def _receive(made: Side, data: bytes) -> None:
    assert not [event for event in made.feed(data) if isinstance(event, events.Failed)], "the way there is legal"


def _open(made: Side, kind: int) -> None:
    made.call(kind)


def _accept(made: Side, stream_id: int) -> None:
    stream = made.connection.streams.begun[stream_id]
    made.connection.accept(stream, Grant(10, 1000) if stream.opened.streams_requests else None)


_STEPS: Final = {RECEIVE: _receive, OPEN: _open, ACCEPT: _accept}

PINGS: Final = frame(FrameType.PING, Ping(1))
#: The peer has opened stream 1, bidirectional, and may send 10 items and 1,000 bytes.
SERVING: Final = ((RECEIVE, open_frame(1, 3)), (ACCEPT, 1))
#: This side, a client, has opened stream 1, bidirectional, and it was accepted with credit for 10 items and 1,000 bytes.
CALLING: Final = ((OPEN, 3), (RECEIVE, frame(FrameType.ACCEPT, Accept(0, 0, 10, 1000), stream=1)))
OVER: Final = (*SERVING, (RECEIVE, frame(FrameType.CANCEL, Cancel(), stream=1)))
HALF: Final = items_frame(1, 0, payload=array("abcdef")[:6], count=1, flags=MORE)


def header(length: int, kind: int = FrameType.OPEN, flags: int = LAST, stream: int = 1) -> bytes:
    return HEADER.pack(length, kind, flags, stream)


def control(kind: int, body: Any, stream: int = 1) -> bytes:
    return frame(kind, body if isinstance(body, bytes) else encode(body), stream=stream)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return b"\x02" + packer.compress(data) + packer.flush()


def fragments(size: int, count: int, *, stream: int = 1) -> bytes:
    return b"".join(items_frame(stream, 0, payload=bytes(size), count=1, flags=MORE) for _ in range(count))


def nested(depth: int) -> bytes:
    """An error whose details are `depth` arrays in one another."""
    return b"\x94\x0d\xa0\xa0\x81\xa1a" + b"\x91" * depth + b"\xc0"


def in_two(whole: bytes, at: int) -> bytes:
    """An `OPEN` in two fragments."""
    first, second = whole[14 : 14 + at], whole[14 + at :]
    return frame(FrameType.OPEN, first, flags=MORE | LAST, stream=1) + frame(FrameType.OPEN, second, flags=LAST, stream=1)


HALF_ANSWERED: Final = (*CALLING, (RECEIVE, HALF))
HALF_OPEN: Final = frame(FrameType.OPEN, open_frame()[14:20], flags=MORE | LAST, stream=1)
LARGE_OPEN: Final = in_two(open_frame(1, 2, argument=bytes(20_001)), 16_000)
FRAMES: Final = [
    Bad("length 2^32-1", header(2**32 - 1), "1.2"),
    Bad("a frame of one byte over the limit", header(16_385), "1.2"),
    Bad("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "1.2", greeted=False),
    Bad("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "1.2", greeted=False),
    Bad("TLS ClientHello", bytes.fromhex("16030102000100 01fc0303" + "ab" * 32), "1.2", greeted=False),
    Bad("zeros", bytes(14), "1.4", greeted=False),
    Bad("unknown type", frame(14, b"new"), "1.4"),
    Bad("unknown type 255 on a stream", frame(255, b"", flags=0x7F, stream=9), "1.4"),
    Bad("unknown type that may be ignored", frame(14, b"new", flags=IGNORABLE | 0x7F, stream=9)),
    Bad("a flag that PING has not", frame(FrameType.PING, Ping(1), flags=MORE), "1.5"),
    Bad("COMPRESSED on OPEN", open_frame(1, 2, flags=LAST | COMPRESSED), "1.5"),
    Bad("a reserved flag", frame(FrameType.ITEMS, b"", flags=0x08, stream=1), "1.5"),
    Bad("OPEN on stream 0", open_frame(0), "1.5"),
    Bad("ITEMS on stream 0", items_frame(0, 0, 1), "1.5"),
    Bad("PING on stream 1", frame(FrameType.PING, Ping(1), stream=1), "1.5"),
    Bad("an empty body", control(FrameType.PING, b"", 0), "1.7"),
    Bad("a body that ends early", control(FrameType.PING, b"\x91\xcd\x01", 0), "1.7"),
    Bad("two values in a body", control(FrameType.PING, b"\x91\x01\x91\x01", 0), "1.7"),
    Bad("a map for an array", control(FrameType.PING, {"number": 1}, 0), "1.7"),
    Bad("a pickle", control(FrameType.PING, b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01.", 0), "1.7"),
    Bad("a string for a number", control(FrameType.PING, ["1"], 0), "1.7"),
    Bad("a float for a number", control(FrameType.PING, [1.5], 0), "1.7"),
    Bad("NaN for a number", control(FrameType.PING, [float("nan")], 0), "1.7"),
    Bad("a number below zero", control(FrameType.PING, [-1], 0), "1.7"),
    Bad("the number 2^53", control(FrameType.PING, [2**53], 0), "1.7"),
    Bad("invalid UTF-8", control(FrameType.CANCEL, b"\x92\x01\xa2\xff\xfe"), "1.7", before=SERVING),
    Bad("an array said to be of 2^32-1 items", control(FrameType.PING, b"\xdd\xff\xff\xff\xff\x01", 0), "1.7"),
    Bad("details that are no map", control(FrameType.STATUS, [5, "", "", 7]), "1.7", role="client", before=CALLING),
    Bad(
        "details that end early",
        control(FrameType.STATUS, b"\x94\x05\xa0\xa0\x82\xa1a"),
        "1.7",
        role="client",
        before=CALLING,
    ),
    Bad("500 arrays in one another", control(FrameType.STATUS, nested(500)), role="client", before=CALLING),
]
HANDSHAKE: Final = [
    Bad("PING before HELLO", PINGS, "2.1", greeted=False),
    Bad("OPEN before HELLO", open_frame(), "2.1", greeted=False),
    Bad("another magic word", hello(magic="rsocket"), "2.2", greeted=False),
    Bad("version 0", hello(version=0), "2.2", greeted=False),
    Bad("a second HELLO", hello(), "2.3"),
    Bad("HELLO over 4,082 bytes", header(4083, FrameType.HELLO, 0, 0), "1.2", greeted=False),
    Bad("a frame limit below 16 KiB", hello(max_frame_bytes=16_383), "1.7", greeted=False),
]
STREAMS: Final = [
    Bad("an even id from a client", open_frame(2), "3.2"),
    Bad("an odd id from a server", open_frame(1), "3.2", role="client"),
    Bad("an id again", open_frame(1), "3.2", before=SERVING),
    Bad("an id of a stream that is over", open_frame(1), "3.2", before=OVER),
    Bad("an id lower than one before", open_frame(3), "3.2", before=((RECEIVE, open_frame(5)),)),
    Bad("the id 2^53+1", open_frame(2**53 + 1), "3.2"),
    Bad("the id 2^64-1", open_frame(2**64 - 1), "3.2"),
    Bad("CANCEL of a stream that never was", control(FrameType.CANCEL, Cancel(), 7), "3.3"),
    Bad("ITEMS on a stream that never was", items_frame(7, 0, 1), "3.3"),
    Bad("CREDIT on a stream of this side that never was", control(FrameType.CREDIT, Credit(1, 1, 0), 2), "3.3"),
    Bad("ITEMS where the kind has none", items_frame(1, 0, 1), "3.4", before=((RECEIVE, open_frame(1, 2)), (ACCEPT, 1))),
    Bad("ITEMS after END", items_frame(1, 0, 1), "3.4", before=(*SERVING, (RECEIVE, control(FrameType.END, End(0))))),
    Bad("END twice", control(FrameType.END, End(0)) * 2, "3.4", before=SERVING),
    Bad(
        "END of a caller without requests",
        control(FrameType.END, End(0)),
        "3.4",
        before=((RECEIVE, open_frame(1, 2)), (ACCEPT, 1)),
    ),
    Bad("STATUS from a caller", control(FrameType.STATUS, Status(0)), "3.4", before=SERVING),
    Bad("ACCEPT from a caller", control(FrameType.ACCEPT, Accept(0, 0, 1, 1)), "3.4", before=SERVING),
    Bad("ACCEPT twice", control(FrameType.ACCEPT, Accept(0, 0, 1, 1)), "3.4", role="client", before=CALLING),
    Bad("END twice from a callee", control(FrameType.END, End(0)) * 2, "3.4", role="client", before=CALLING),
    Bad("END with a reason from a callee", control(FrameType.END, End(0, "")), "3.4", role="client", before=CALLING),
    Bad(
        "ITEMS of a callee after its END",
        control(FrameType.END, End(0)) + items_frame(1, 0, 1),
        "3.4",
        role="client",
        before=CALLING,
    ),
    Bad("END before ACCEPT", control(FrameType.END, End(0)), "3.4", role="client", before=((OPEN, 3),)),
    Bad("ITEMS before ACCEPT", items_frame(1, 0, 1), "3.4", role="client", before=((OPEN, 2),)),
    Bad("CREDIT before ACCEPT", control(FrameType.CREDIT, Credit(1, 1, 0)), "3.4", role="client", before=((OPEN, 3),)),
    Bad("ITEMS before they were asked for", items_frame(1, 0, 1), "3.4", before=((RECEIVE, open_frame(1, 3)),)),
    Bad("CANCEL of a stream that is over", control(FrameType.CANCEL, Cancel()), before=OVER),
    Bad("ITEMS on a stream that is over", items_frame(1, 0, *range(99)), before=OVER),
    Bad("LAST on the OPEN of a client stream", open_frame(1, 1, flags=LAST), "3.6"),
    Bad("no LAST on the OPEN of a unary call", open_frame(1, 0, flags=0), "3.6"),
    Bad("kind 4", open_frame(1, 2).replace(b"\x02\x00\x0a\xcd\x03\xe8", b"\x04\x00\x0a\xcd\x03\xe8"), "1.7"),
]
ITEMS: Final = [
    Bad("ITEMS of 11 bytes", frame(FrameType.ITEMS, bytes(11), stream=1), "4.1", before=SERVING),
    Bad("no item", items_frame(1, 0), "4.2", before=SERVING),
    Bad("a gap", items_frame(1, 1, "b"), "4.3", before=SERVING),
    Bad("an overlap", items_frame(1, 1, 1, 2), "4.3", before=(*SERVING, (RECEIVE, items_frame(1, 0, 1, 2)))),
    Bad("the same again", items_frame(1, 0, 1, 2), before=(*SERVING, (RECEIVE, items_frame(1, 0, 1, 2)))),
    Bad("a fragment of another message", items_frame(1, 1, payload=b"x", count=1), "4.5", before=(*SERVING, (RECEIVE, HALF))),
    Bad(
        "LAST on a later fragment",
        items_frame(1, 0, payload=b"x", count=1, flags=LAST),
        "4.5",
        before=(*SERVING, (RECEIVE, HALF)),
    ),
    # FAULTS H16: an end between the fragments of an item was a normal end, without the item
    Bad("END between fragments", control(FrameType.END, End(0)), "4.5", before=(*SERVING, (RECEIVE, HALF))),
    Bad("a close between fragments", control(FrameType.END, End(0, "done")), "4.5", before=(*SERVING, (RECEIVE, HALF))),
    Bad("STATUS 0 between fragments", control(FrameType.STATUS, Status(0)), "4.5", role="client", before=HALF_ANSWERED),
    Bad("END of a callee between fragments", control(FrameType.END, End(0)), "4.5", role="client", before=HALF_ANSWERED),
    Bad("an error between fragments", control(FrameType.STATUS, Status(5)), role="client", before=HALF_ANSWERED),
    Bad("END between the fragments of an OPEN", HALF_OPEN + control(FrameType.END, End(0)), "3.4"),
    Bad("CREDIT between the fragments of an OPEN", HALF_OPEN + control(FrameType.CREDIT, Credit(1, 1, 0)), "3.4"),
    Bad("CANCEL between the fragments of an OPEN", HALF_OPEN + control(FrameType.CANCEL, Cancel())),
    Bad("an empty fragment", items_frame(1, 0, payload=b"", count=1, flags=MORE), "4.5", before=SERVING),
    Bad("endless fragments", fragments(16_000, 6), "4.6", before=SERVING),
    Bad("more items in the array than said", items_frame(1, 0, payload=array(1, 2), count=1), "4.9", before=SERVING),
    Bad("fewer items in the array than said", items_frame(1, 0, payload=array(), count=1), "4.9", before=SERVING),
    Bad("a payload that is no array", items_frame(1, 0, payload=encode("text"), count=1), "4.9", before=SERVING),
    Bad("an empty payload", items_frame(1, 0, payload=b"", count=1), "4.9", before=SERVING),
    Bad("an unknown codec", open_frame(1, 2, codec=2), status=12),
]
CREDITS: Final = [
    Bad("an item more than granted", items_frame(1, 0, *range(11)), "5.1", before=SERVING),
    Bad("2^32-1 items", items_frame(1, 0, payload=array(1), count=2**32 - 1), "5.1", before=SERVING),
    Bad(
        "an item begun without byte credit",
        items_frame(1, 1, 1),
        "5.2",
        before=(*SERVING, (RECEIVE, items_frame(1, 0, bytes(2000)))),
    ),
    Bad("credit that shrinks", control(FrameType.CREDIT, Credit(1, 1, 0)), role="client", before=CALLING),
    Bad("credit of 2^53", control(FrameType.CREDIT, [2**53, 0, 0]), "1.7", role="client", before=CALLING),
    Bad("credit of 2^53-1", control(FrameType.CREDIT, Credit(MAX_NUMBER, MAX_NUMBER, 0)), role="client", before=CALLING),
    Bad("more consumed than sent", control(FrameType.CREDIT, Credit(20, 2000, 1)), "5.4", role="client", before=CALLING),
]
ENDS: Final = [
    Bad("END that counts too many", control(FrameType.END, End(1)), "6.2", before=SERVING),
    Bad("END that counts too few", control(FrameType.END, End(0)), "6.2", before=(*SERVING, (RECEIVE, items_frame(1, 0, 1)))),
    Bad("a close that counts too many", control(FrameType.END, End(1, "done")), "6.2", before=SERVING),
    Bad("a number for the reason of an end", control(FrameType.END, [0, 7]), "1.7", before=SERVING),
    Bad("END that counts too many, of a callee", control(FrameType.END, End(1)), "6.2", role="client", before=CALLING),
    Bad(
        "a STATUS that counts otherwise than the END before it",
        control(FrameType.END, End(0)) + control(FrameType.STATUS, Status(0, count=1)),
        "6.2",
        role="client",
        before=CALLING,
    ),
    Bad("END of 5 items before ACCEPT", control(FrameType.END, End(5)), "6.2", before=((RECEIVE, open_frame(1, 3)),)),
    Bad(
        "a normal end that counts too many", control(FrameType.STATUS, Status(0, count=1)), "6.2", role="client", before=CALLING
    ),
    Bad("GOAWAY with a drain", frame(FrameType.GOAWAY, GoAway(0, 0, "soon"))),
    Bad("PONG that nobody asked for", frame(FrameType.PONG, Ping(77))),
]
LIMITED: Final = [
    Bad("CANCEL over the header limit", control(FrameType.CANCEL, [1, "x" * 1100]), "10.2", before=SERVING),
    Bad("10,000 arrays in one another", control(FrameType.STATUS, nested(10_000)), "10.2", role="client", before=CALLING),
    Bad("metadata over the header limit", open_frame(1, 2, metadata={"a": "x" * 1100}), status=8),
    Bad("an argument over the item limit", LARGE_OPEN, status=8),
    Bad("one stream too many", open_frame(9, 2), status=8, before=tuple((RECEIVE, open_frame(n, 2)) for n in (1, 3, 5, 7))),
]
COMPRESSIONS: Final = [
    Bad("an unknown compression", items_frame(1, 0, payload=b"\x09abc", count=1, flags=COMPRESSED), "11.2", before=SERVING),
    Bad("no compressed byte", items_frame(1, 0, payload=b"", count=1, flags=COMPRESSED), "11.2", before=SERVING),
    Bad("broken deflate", items_frame(1, 0, payload=b"\x02\xff\xff", count=1, flags=COMPRESSED), "11.3", before=SERVING),
    Bad(
        "unfinished deflate",
        items_frame(1, 0, payload=deflated(array("abc"))[:-1], count=1, flags=COMPRESSED),
        "11.3",
        before=SERVING,
    ),
    Bad(
        "bytes after deflate",
        items_frame(1, 0, payload=deflated(array("abc")) + b"\0", count=1, flags=COMPRESSED),
        "11.3",
        before=SERVING,
    ),
    Bad("a bomb", items_frame(1, 0, payload=deflated(bytes(BATCH_MAX + 1)), count=1, flags=COMPRESSED), "11.4", before=SERVING),
]
CASES: Final = [*FRAMES, *HANDSHAKE, *STREAMS, *ITEMS, *CREDITS, *ENDS, *LIMITED, *COMPRESSIONS]
