"""Recorded conversations with bytes changed, dropped, doubled and mixed, by seed."""

from __future__ import annotations

import random
from typing import Final

from tests.attack.violations import H, deflated
from tests.attack.wire import (
    BIDIRECTIONAL,
    CANCEL,
    CLIENT_STREAMING,
    COMPRESSED,
    CREDIT,
    END,
    GOAWAY,
    LAST,
    PING,
    SERVER_STREAMING,
    batch,
    cut_open,
    frame,
    items,
    open_,
    pack,
)

#: What a client says: an opening, and what follows once that was accepted. Calls of each kind, a lane, a channel, a drain.
SESSIONS: Final = [
    (H + open_(1, "Desk/echo", argument=pack([b"x" * 40])), frame(PING, [9])),
    (H + cut_open(1, "Desk/anything", argument=pack([{"a": [1, 2.5, None, "é"], "b": b"x" * 50}]), piece_bytes=30), b""),
    (
        H + open_(1, "Desk/numbers", SERVER_STREAMING),
        frame(CREDIT, [40, 4000, 5], stream=1) + frame(CANCEL, [1, "cancelled", ""], stream=1),
    ),
    (H + open_(1, "Desk/total", CLIENT_STREAMING), items(1, 0, "a", {"b": 1}) + frame(END, [2], stream=1)),
    (
        H + open_(1, "Desk/mirror", BIDIRECTIONAL, metadata={"k": "v"}, deadline_ms=5000),
        items(1, 0, payload=deflated(batch("a" * 40)), count=1, flags=COMPRESSED) + items(1, 1, 2, 3, flags=LAST),
    ),
    (
        H + open_(1, "/clerk!lane", BIDIRECTIONAL),
        items(1, 0, [0, "take", [1]], [1, "take", [2]], [-1, "", None]) + frame(END, [3], stream=1),
    ),
    (H + open_(1, "/clerk!channel", BIDIRECTIONAL, argument=pack([{"hello": 1}])), frame(END, [0, "bye"], stream=1)),
    (H + open_(1, "Penstock/describe"), frame(GOAWAY, [0, 0, "soon"]) + frame(PING, [1])),
]


def mutated(seed: int) -> tuple[bytes, bytes]:
    """Return the conversation of a seed."""
    rng = random.Random(seed)
    before, after = rng.choice(SESSIONS)
    if rng.random() < 0.5:
        return before, _changed(rng, after or before)
    return b"", _changed(rng, before + after)


def _changed(rng: random.Random, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.randrange(1, 6)):
        at, size = rng.randrange(len(data) + 1), rng.randrange(1, 30)
        _ACTS[rng.randrange(len(_ACTS))](rng, data, at, size)
    return bytes(data)


def _flip(rng: random.Random, data: bytearray, at: int, _size: int) -> None:
    if at < len(data):
        data[at] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray, at: int, _size: int) -> None:
    data[at : at + 1] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0x90, 0xC1, 0xDE, 0xDF, 0xFF, rng.randrange(256)])])


def _drop(_rng: random.Random, data: bytearray, at: int, size: int) -> None:
    del data[at : at + size]


def _repeat(_rng: random.Random, data: bytearray, at: int, size: int) -> None:
    data[at:at] = data[at : at + size]


def _insert(rng: random.Random, data: bytearray, at: int, size: int) -> None:
    data[at:at] = rng.randbytes(size)


def _mix(rng: random.Random, data: bytearray, at: int, _size: int) -> None:
    other = b"".join(rng.choice(SESSIONS))
    data[at:] = other[rng.randrange(len(other)) :]


def _put_frame(rng: random.Random, data: bytearray, at: int, size: int) -> None:
    data[at:at] = frame(rng.randrange(16), rng.randbytes(size), flags=rng.randrange(5), stream=rng.randrange(4))


_ACTS: Final = (_flip, _set, _drop, _repeat, _insert, _mix, _put_frame)
