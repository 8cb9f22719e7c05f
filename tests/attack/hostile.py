"""A server that speaks something else, or Penstock wrongly, for clients that dial it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from tests.attack.violations import H
from tests.attack.wire import (
    ACCEPT,
    CREDIT,
    END,
    GOAWAY,
    ITEMS,
    LAST,
    MAX_NUMBER,
    MORE,
    PING,
    STATUS,
    Literal,
    array_head,
    batch,
    frame,
    hello,
    items,
    map_head,
    pack,
)


class Script(NamedTuple):
    """What the server writes at once, what it answers to the first call, and how the client's call must end."""

    name: str
    greeting: bytes
    answer: bytes
    outcome: str


def _status(*fields: object) -> bytes:
    return frame(STATUS, list(fields), stream=1)


def _alike() -> Literal:
    """Details of 60 KB whose keys all hash alike."""
    keys = list(itertools.islice(itertools.product((-1, -2), repeat=12), 4000))
    return Literal(map_head(1) + b"\xa1a" + map_head(len(keys)) + b"".join(pack(list(key)) + b"\x01" for key in keys))


def _tiny(count: int) -> bytes:
    payload = array_head(1 << 16)[:1] + (1).to_bytes(4, "big") + array_head(count) + b"\x90" * count
    pieces = [payload[at : at + 200_000] for at in range(0, len(payload), 200_000)]
    more = [MORE | LAST] * (len(pieces) - 1) + [LAST]
    return b"".join(items(1, 0, payload=piece, count=1, flags=bits) for piece, bits in zip(pieces, more, strict=True))


HALF_ANSWER: Final = frame(ACCEPT, [0, 0, 0, 0], stream=1) + items(1, 0, payload=batch(b"abcdef")[:8], count=1, flags=MORE)
LOST: Final = "ConnectionLost"
SCRIPTS: Final = [
    Script("HTTP", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b"", "Unavailable"),
    Script("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", b"", "Unavailable"),
    Script("a TLS alert", bytes.fromhex("15030300020228") + bytes(20), b"", "Unavailable"),
    Script("zeros", bytes(100), b"", "Unavailable"),
    Script("another magic word", hello(magic="rsocket"), b"", "Unavailable"),
    Script("version 0", hello(version=0), b"", "Unavailable"),
    Script("an answer before HELLO", frame(PING, [1]), b"", "Unavailable"),
    Script("a GOAWAY for HELLO", frame(GOAWAY, [0, 13, "no"]), b"", "Unavailable"),
    Script("a second HELLO", H, H, LOST),
    Script("an unknown type", H, frame(77, b"x"), LOST),
    Script("an answer to a call that never was", H, items(3, 0, 1), LOST),
    Script("a stream with an odd id", H, frame(2, ["x", 0, 0, 1, 1], flags=LAST, stream=1), LOST),
    Script("two results", H, items(1, 0, b"x", b"y", flags=LAST), LOST),
    Script("no result", H, _status(0), "DataLoss"),
    Script("an end in the middle of the result", H, HALF_ANSWER + _status(0), LOST),
    Script(
        "a half-close in the middle of the result",
        H,
        HALF_ANSWER + frame(END, [0], stream=1),
        LOST,
    ),
    Script("a result of another type", H, items(1, 0, {"not": "bytes"}, flags=LAST), "answered"),
    Script("a result that is no array", H, items(1, 0, payload=b"\x01", count=1, flags=LAST), LOST),
    Script("a result that ends early", H, items(1, 0, payload=b"\xdd\0\0\0\1\xc4\x09x", count=1, flags=LAST), "DataLoss"),
    Script("a result of 4,000,000 values", H, _tiny(4_000_000), "ResourceExhausted"),
    Script("details that hash alike", H, _status(5, "not_found", "gone", _alike()), "NotFound"),
    Script("details that are no map", H, _status(5, "not_found", "gone", 7), LOST),
    Script("an unknown code", H, _status(77, "new", "x"), "Unknown"),
    Script("more consumed than sent", H, frame(CREDIT, [MAX_NUMBER, MAX_NUMBER, 5], stream=1), LOST),
    Script("a GOAWAY with escapes", H, frame(GOAWAY, [0, 13, "\r\n\x1b[31m" + "x" * 60_000]), LOST),
    Script("a broken batch", H, frame(ITEMS, bytes(3), stream=1), LOST),
]


@asynccontextmanager
async def hostile(script: Script) -> AsyncIterator[str]:
    """Run such a server; yield its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(script.greeting)
            if script.answer:
                got = b""
                while b"Desk/echo" not in got:
                    chunk = await reader.read(1 << 16)
                    if not chunk:
                        break
                    got += chunk
                writer.write(script.answer)
            await writer.drain()
            while await reader.read(1 << 16):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"tcp://{host}:{port}"
