"""Attacks that try to make a victim hold memory, by one connection with the default settings (FAULTS H3 to H5).

Each keeps its connection open, and returns once the victim has done with what was sent.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from tests.attack.kit import MIB, Line, dialled, victim
from tests.attack.violations import H, deflated
from tests.attack.wire import (
    BIDIRECTIONAL,
    CLIENT_STREAMING,
    COMPRESSED,
    CREDIT,
    MAX_NUMBER,
    SERVER_STREAMING,
    array_head,
    batch,
    cut_open,
    frame,
    items,
    map_head,
    open_,
    pack,
)

#: What a stream is granted by a peer that never wants to stop it.
ENDLESS: Final = {"credit_items": MAX_NUMBER, "credit_bytes": MAX_NUMBER}
LARGE: Final = 16 * MIB


def ids(count: int, first: int = 1) -> Iterable[int]:
    return range(first, first + 2 * count, 2)


async def unread_streams(line: Line) -> None:
    """300 endless streams whose items are never read."""
    await line.write(H + b"".join(open_(number, "Desk/blocks", SERVER_STREAMING, **ENDLESS) for number in ids(300)))
    await asyncio.sleep(2)


async def unread_answers(line: Line) -> None:
    """60 answers of 16 MiB that are never read."""
    await line.write(H + b"".join(open_(number, "Desk/large", **ENDLESS) for number in ids(60)))
    await asyncio.sleep(2)


async def answers_without_credit(line: Line) -> None:
    """120 answers of 16 MiB for which no credit is given, while the socket is read."""
    none = {"credit_items": 0, "credit_bytes": 0}
    await line.write(H + b"".join(open_(number, "Desk/large", **none) for number in ids(120)))
    await line.settle()
    await asyncio.sleep(2)
    await line.settle(2)


async def _fill(line: Line, streams: int, payload: bytes) -> None:
    """Send four large items to the first streams, one to the others: a window lets one through when the wishes are spent."""
    for offset in range(4):
        for number in ids(streams if not offset else 4):
            await line.write(items(number, offset, payload=payload, count=1, flags=COMPRESSED))
            await asyncio.sleep(0)


async def wished_windows(line: Line) -> None:
    """20 windows of 64 MiB, wished, and filled by bombs of 16 KB."""
    wish = {"wish_items": 16_384, "wish_bytes": 64 * MIB}
    await line.write(H + b"".join(open_(number, "Desk/ignore", CLIENT_STREAMING, **wish) for number in ids(20)))
    await line.settle()
    await _fill(line, 20, deflated(batch(bytes(LARGE - 100))))
    await line.settle(2)


async def lanes(line: Line) -> None:
    """10 lanes of 64 MiB to an actor that is busy."""
    wish = {"wish_items": 16_384, "wish_bytes": 64 * MIB}
    await line.write(H + b"".join(open_(number, "/busy!lane", BIDIRECTIONAL, **wish) for number in ids(10)))
    await line.settle()
    await _fill(line, 10, deflated(batch([0, "take", [bytes(LARGE - 100)]])))
    await line.settle(2)


async def metadata(line: Line) -> None:
    """300 calls with 64 KB of metadata in 8,000 entries."""
    many = {f"{number:x}": "" for number in range(8000)}
    for number in ids(300):
        await line.write((H if number == 1 else b"") + open_(number, "Desk/wait", metadata=many))
    await line.settle()


async def never_consumed(line: Line) -> None:
    """A stream of small items that is read, and never said to be consumed."""
    await line.write(H + open_(1, "Desk/numbers", SERVER_STREAMING, **ENDLESS))
    loop = asyncio.get_running_loop()
    end = loop.time() + 3
    while loop.time() < end:
        await line.reader.read(1 << 20)


async def half_messages(line: Line) -> None:
    """40 arguments of 16 MiB without their last fragment."""
    await line.write(H)
    for number in ids(40):
        await line.write(cut_open(number, "Desk/echo", argument=bytes(LARGE - 100), ends=False))
    await line.settle()


async def tiny_values(line: Line) -> None:
    """FAULTS H5: an argument of 16 MB of empty lists, which are 1.1 GiB."""
    await line.write(H + cut_open(1, "Desk/wait", argument=array_head(1) + array_head(LARGE - 200) + b"\x90" * (LARGE - 200)))
    await line.settle()


async def keys_that_hash_alike(line: Line) -> None:
    """FAULTS H4: an argument of 340 KB with keys that hash alike."""
    keys = itertools.islice(itertools.product((-1, -2), repeat=15), 20_000)
    body = map_head(20_000) + b"".join(pack(list(key)) + b"\x01" for key in keys)
    await line.write(H + cut_open(1, "Desk/anything", argument=array_head(1) + body))
    await line.settle()


async def resets(line: Line) -> None:
    """20,000 calls that are opened and cancelled at once."""
    await line.write(H)
    cancel = pack([1])
    for first in range(1, 40_000, 400):
        await line.write(
            b"".join(open_(number, "Desk/wait") + frame(8, cancel, stream=number) for number in range(first, first + 400, 2))
        )
    await line.settle()


async def credit_storm(line: Line) -> None:
    """100,000 frames of credit."""
    await line.write(H + open_(1, "Desk/wait"))
    storm = b"".join(frame(CREDIT, [10, 10, 0], stream=1) for _ in range(1000))
    for _ in range(100):
        await line.write(storm)
    await line.settle()


class Hoard(NamedTuple):
    """An attack, the MiB that it may make the victim hold, and its seconds of the processor. `quick`: also in short runs."""

    attack: Callable[[Line], Awaitable[None]]
    mib: float
    cpu_s: float = 20.0
    quick: bool = True


class Held(NamedTuple):
    """What a victim held during an attack and after it, in MiB; its seconds of the processor; the objects that are left."""

    during_mib: float
    after_mib: float
    cpu_s: float
    left: dict[str, int]


async def hold(hoard: Hoard) -> Held:
    """Attack a victim of its own."""
    async with victim() as server:
        before = await server.figures()
        async with dialled(server) as line, asyncio.timeout(60):
            await hoard.attack(line)
            during = await server.ask("figures")
        after = await server.figures()
    return Held(
        during["rss_bytes"] / MIB - before.rss_mib, after.rss_mib - before.rss_mib, during["cpu_s"] - before.cpu_s, after.left
    )


ALL: Final = [
    Hoard(unread_streams, 400, quick=False),
    Hoard(unread_answers, 320, quick=False),
    Hoard(answers_without_credit, 320, quick=False),
    Hoard(wished_windows, 620, quick=False),
    Hoard(lanes, 820, quick=False),
    Hoard(metadata, 320, quick=False),
    Hoard(never_consumed, 10, quick=False),
    Hoard(half_messages, 320, quick=False),
    Hoard(tiny_values, 80, 2.0),
    Hoard(keys_that_hash_alike, 10, 2.0),
    Hoard(resets, 10),
    Hoard(credit_storm, 10),
]
