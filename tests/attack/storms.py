"""One connection that never rests, whose cost is measured by an honest client beside it (FAULTS H9)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from tests.attack.kit import Line, Victim, dialled
from tests.attack.violations import H, deflated
from tests.attack.wire import (
    CANCEL,
    CLIENT_STREAMING,
    COMPRESSED,
    CREDIT,
    GOAWAY,
    HELLO,
    LAST,
    PING,
    array_head,
    cut_open,
    frame,
    items,
    map_head,
    open_,
    pack,
)

#: Frames in one write.
BURST: Final = 200
#: A million values of two sizes in turn; as many as a message may have, behind a large map; bytes that look like large maps.
TWO_SIZES: Final = array_head(1_000_000) + b"\x00\xcc\x80" * 500_000
BEHIND_A_MAP: Final = (
    array_head(2)
    + map_head(16)
    + b"".join(pack(f"{key}") + b"\x00" for key in range(16))
    + array_head(131_000)
    + b"\x90\xc4\x00" * 65_500
)
LIKE_MAPS: Final = pack(b"\xde" * 1_000_000)


async def _storm(to: Victim, first: bytes, burst: Callable[[int], bytes], *, pause_s: float = 0.0) -> None:
    """Write bursts as fast as the victim takes them, and read what it answers."""
    while True:
        with contextlib.suppress(ConnectionError):
            async with dialled(to) as line:
                await line.write(first)
                await asyncio.sleep(pause_s)  # streams are accepted
                reading = asyncio.ensure_future(_read(line))
                try:
                    number = 0
                    while not reading.done():
                        await line.write(burst(number))
                        number += 1
                        await asyncio.sleep(pause_s)
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)


async def _read(line: Line) -> None:
    while await line.reader.read(1 << 20):
        pass


def _calls(target: str, number: int, **changes: object) -> bytes:
    first = 1 + 2 * BURST * number
    return b"".join(open_(stream, target, **changes) for stream in range(first, first + 2 * BURST, 2))


def _opened_and_cancelled(number: int) -> bytes:
    first = 1 + 2 * BURST * number
    cancel = pack([1])
    return b"".join(
        open_(stream, "Desk/wait") + frame(CANCEL, cancel, stream=stream) for stream in range(first, first + 2 * BURST, 2)
    )


def _tiny(number: int) -> bytes:
    size = 900_000
    return cut_open(1 + 2 * number, "Desk/anything", argument=array_head(1) + array_head(size) + b"\x90" * size)


async def _pings(to: Victim) -> None:
    await _storm(to, H, lambda _n: frame(PING, [1]) * BURST)


async def _credit(to: Victim) -> None:
    await _storm(to, H + open_(1, "Desk/wait"), lambda _n: frame(CREDIT, [10, 10, 0], stream=1) * BURST)


async def _resets(to: Victim) -> None:
    await _storm(to, H, _opened_and_cancelled)


async def _describe(to: Victim) -> None:
    await _storm(to, H, lambda number: _calls("Penstock/describe", number, credit_bytes=1 << 30))


async def _unknown(to: Victim) -> None:
    await _storm(to, H, lambda number: _calls("Desk/unknown", number))


async def _nobody(to: Victim) -> None:
    await _storm(to, H, lambda number: _calls("/nobody/say", number))


async def _values(to: Victim) -> None:
    await _storm(to, H, _tiny, pause_s=0.05)


def _compressed(value: bytes) -> Callable[[Victim], Awaitable[None]]:
    """Return a storm of this encoded item in compressed frames, eight in a write, each on a stream that was opened before."""
    payload = deflated(b"\xdd\0\0\0\1" + value)

    def streams(number: int) -> range:
        return range(1 + 16 * number, 17 + 16 * number, 2)

    def opened(number: int) -> bytes:
        return b"".join(open_(stream, "Desk/total", CLIENT_STREAMING) for stream in streams(number))

    def burst(number: int) -> bytes:
        sent = [items(stream, 0, payload=payload, count=1, flags=LAST | COMPRESSED) for stream in streams(number)]
        return opened(number + 1) + b"".join(sent)

    async def attack(to: Victim) -> None:
        await _storm(to, H + opened(0), burst, pause_s=0.05)

    return attack


async def _drains(to: Victim) -> None:
    streams = b"".join(open_(stream, "Desk/wait") for stream in range(1, 2 * 4000, 2))
    await _storm(to, H + streams, lambda _n: frame(GOAWAY, [1 << 40, 0, ""]) * 50, pause_s=0.002)


async def _calls_and_resets(to: Victim) -> None:
    calls = H + b"".join(open_(stream, "Penstock/describe", credit_bytes=1 << 30) for stream in range(1, 3000, 2))
    while True:
        with contextlib.suppress(ConnectionError):
            async with dialled(to) as line:
                await line.write(calls)
                await asyncio.sleep(0.005)  # the victim has read them
                connection = line.writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                line.writer.transport.abort()
        await asyncio.sleep(0.3)


async def _connects(to: Victim) -> None:
    while True:
        with contextlib.suppress(ConnectionError):
            async with dialled(to) as line:
                await line.write(frame(HELLO, length=20))


class Storm(NamedTuple):
    """A storm by its name."""

    name: str
    attack: Callable[[Victim], Awaitable[None]]


STORMS: Final = [
    Storm("PING", _pings),
    Storm("CREDIT", _credit),
    Storm("calls that are reset", _resets),
    Storm("describe", _describe),
    Storm("unknown methods", _unknown),
    Storm("unknown actors", _nobody),
    Storm("arguments of 900,000 values", _values),
    Storm("items of a million values, 2 KB", _compressed(TWO_SIZES)),
    Storm("many values behind a large map", _compressed(BEHIND_A_MAP)),
    Storm("bytes that look like large maps", _compressed(LIKE_MAPS)),
    Storm("connects without HELLO", _connects),
    Storm("a drain again and again", _drains),
    Storm("1,500 calls and a reset", _calls_and_resets),
]
