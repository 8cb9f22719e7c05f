"""Attacks that try to make a victim hold memory, with the default settings (FAULTS H3 to H5).

Those of one connection keep it open, and return once the victim has done with what was sent. The budget of a connection is
256 MiB (`Settings.max_connection_bytes`), that of the process 1 GiB (`max_process_bytes`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple

from tests.attack.kit import MIB, Figures, Line, dialled, victim
from tests.attack.violations import H, deflated
from tests.attack.wire import (
    BIDIRECTIONAL,
    CLIENT_STREAMING,
    COMPRESSED,
    CREDIT,
    LAST,
    MAX_NUMBER,
    MORE,
    OPEN,
    SERVER_STREAMING,
    array_head,
    batch,
    cut_open,
    frame,
    hello,
    items,
    map_head,
    open_,
    opening,
    pack,
)

#: What a stream is granted by a peer that never wants to stop it.
ENDLESS: Final = {"credit_items": MAX_NUMBER, "credit_bytes": MAX_NUMBER}
LARGE: Final = 16 * MIB


def ids(count: int, first: int = 1) -> Iterable[int]:
    return range(first, first + 2 * count, 2)


async def _call(line: Line, calls: int, target: str, **changes: Any) -> None:
    """Make so many calls that differ in nothing but their ids."""
    body = pack(opening(target, **changes))
    for number in ids(calls):
        await line.write(frame(OPEN, body, flags=LAST, stream=number))
    await line.settle()


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
    """Send four large items to the first stream, one to the others: a window lets one through when the wishes are spent."""
    for offset in range(4):
        for number in ids(streams if not offset else 1):
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
    await line.write(H)
    await _call(line, 300, "Desk/wait", metadata={f"{number:x}": "" for number in range(8000)})


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


async def large_arguments(line: Line) -> None:
    """16,000 calls with an argument of 1 MB each: those after the first 300 are not even finished."""
    await line.write(H)
    body = pack(opening("Desk/wait", argument=pack([bytes(1_000_000)])))
    pieces = [body[at : at + 250_000] for at in range(0, len(body), 250_000)]
    for number in ids(16_000):
        for piece in pieces if number < 600 else pieces[:1] if number < 1000 else [body[:1000]]:
            await line.write(frame(OPEN, piece, flags=LAST | (0 if piece is pieces[-1] else MORE), stream=number))
    await line.settle()


async def many_values(line: Line) -> None:
    """4,000 calls with an argument of 4 KB each, of empty lists: 16 MB of traffic would be 1.2 GB of objects."""
    await line.write(H)
    await _call(line, 4000, "Desk/wait", argument=array_head(1) + array_head(4000) + b"\x90" * 4000)


async def idle_streams(line: Line) -> None:
    """16,000 streams that stay open, in which nothing happens."""
    await line.write(H)
    for number in ids(16_000):
        await line.write(open_(number, "Desk/ignore", CLIENT_STREAMING))
    await line.settle()


async def full_windows(line: Line) -> None:
    """2,000 streams whose windows are filled with the items of one byte that they allow, each in a frame of its own."""
    await line.write(H + b"".join(open_(number, "Desk/ignore", CLIENT_STREAMING) for number in ids(2000)))
    await line.settle()
    for number in ids(2000):
        await line.write(b"".join(items(number, offset, payload=batch(0), count=1) for offset in range(256)))
    await line.settle(2)


async def endless_fragments(line: Line) -> None:
    """Fragments of one byte, of messages that never end, on 4,000 streams."""
    await line.write(H + b"".join(open_(number, "Desk/ignore", CLIENT_STREAMING) for number in ids(4000)))
    await line.settle()
    part = batch(bytes(100))[:1]
    for _ in range(20):
        for number in ids(4000):
            await line.write(items(number, 0, payload=part, count=1, flags=MORE))
    await line.settle(2)


async def unclaimed_offers(line: Line) -> None:
    """5,000 ends of streams that are offered, and never claimed."""
    await line.write(H)
    await _call(line, 5000, "Desk/lend")


async def messages_for_the_busy(line: Line) -> None:
    """Small messages for a busy actor on 200 lanes, until their windows are used up."""
    await line.write(H + b"".join(open_(number, "/busy!lane", BIDIRECTIONAL) for number in ids(200)))
    await line.settle()
    body = b"".join(pack([0, "take", ["x" * 700]]) for _ in range(256))
    for number in ids(200):
        await line.write(items(number, 0, payload=b"\xdd\0\0\1\0" + body, count=256))
    await line.settle(2)


async def nothing_acknowledged(line: Line) -> None:
    """300 endless streams of a session that could be resumed, read and never acknowledged."""
    await line.write(hello(keep_ms=30_000))
    await line.write(b"".join(open_(number, "Desk/blocks", SERVER_STREAMING, **ENDLESS) for number in ids(300)))
    loop = asyncio.get_running_loop()
    end = loop.time() + 3
    while loop.time() < end:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await line.reader.read(1 << 20)


async def stalled_batches(line: Line) -> None:
    """1,000 handlers that stall behind the first item of a batch, whose second one has 60,000 empty lists."""
    await line.write(H)
    for number in ids(1000):
        await line.write(open_(number, "Desk/mirror", BIDIRECTIONAL, credit_items=1, credit_bytes=MAX_NUMBER))
    await line.settle()
    batch_of_two = b"\xdd\0\0\0\2\0" + array_head(60_000) + b"\x90" * 60_000
    for number in ids(1000):
        await line.write(items(number, 0, payload=batch_of_two, count=2))
    await line.settle(2)


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
    """What a victim held during an attack and after it, in MiB; its seconds of the processor; the objects that are left.

    honest: what an honest client beside the attack got: "answered", or errors.
    """

    during_mib: float
    after_mib: float
    cpu_s: float
    left: dict[str, int]
    honest: dict[str, int]


async def hold(hoard: Hoard) -> Held:
    """Attack a victim of its own."""
    async with victim() as server:
        before = await server.figures()
        async with dialled(server) as line, asyncio.timeout(60):
            await hoard.attack(line)
            during = await server.ask("figures")
        after = await server.figures()
    return Held(
        during["rss_bytes"] / MIB - before.rss_mib,
        after.rss_mib - before.rss_mib,
        during["cpu_s"] - before.cpu_s,
        after.left,
        {},
    )


# ── many connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def hoarding_calls(line: Line) -> None:
    """Calls that hold arguments of 1 MB, as many as fit."""
    await line.write(H)
    for number in ids(4):
        await line.write(cut_open(number, "Desk/wait", argument=pack([bytes(1_000_000)])))


async def reading_nothing(line: Line) -> None:
    """Endless streams that are not read."""
    await line.write(H + b"".join(open_(number, "Desk/blocks", SERVER_STREAMING, **ENDLESS) for number in ids(20)))


async def detached(line: Line) -> None:
    """A session with 200 endless streams, whose link is cut: it is kept for half a minute."""
    await line.write(hello(keep_ms=30_000))
    await line.write(b"".join(open_(number, "Desk/blocks", SERVER_STREAMING, **ENDLESS) for number in ids(200)))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await line.reader.readexactly(1 << 20)
    line.writer.transport.abort()


class Crowd(NamedTuple):
    """An attack by so many connections at the same time, and the MiB that they may make the victim hold."""

    attack: Callable[[Line], Awaitable[None]]
    connections: int
    mib: float


async def hold_crowd(crowd: Crowd) -> Held:
    """Attack a victim by many connections, while an honest client beside them sends 100 KB with each of its calls."""
    async with victim() as server, victim() as client, contextlib.AsyncExitStack() as lines:
        before = await server.figures()

        async def attack() -> None:
            line = await lines.enter_async_context(dialled(server))
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(20):
                    await crowd.attack(line)

        for begin in range(0, crowd.connections, 20):
            await asyncio.gather(*(attack() for _ in range(begin, min(begin + 20, crowd.connections))))
        await asyncio.sleep(1)
        during = await server.ask("figures")
        honest = await client.ask("dial", url=server.url, times=20, size=100_000)
        await lines.aclose()
        after = await server.figures() if crowd.attack is not detached else during
    left = after.left if isinstance(after, Figures) else {}
    rss = after.rss_mib if isinstance(after, Figures) else after["rss_bytes"] / MIB
    return Held(during["rss_bytes"] / MIB - before.rss_mib, rss - before.rss_mib, during["cpu_s"] - before.cpu_s, left, honest)


#: The budgets, in MiB, and a part more for what Python holds beside what is counted.
CONNECTION, PROCESS = 256 * 1.15, 1024 * 1.15

ALL: Final = [
    Hoard(unread_streams, CONNECTION, quick=False),
    Hoard(unread_answers, CONNECTION, quick=False),
    Hoard(answers_without_credit, CONNECTION, quick=False),
    Hoard(wished_windows, CONNECTION, quick=False),
    Hoard(full_windows, CONNECTION, quick=False),
    Hoard(lanes, CONNECTION, quick=False),
    Hoard(messages_for_the_busy, CONNECTION, quick=False),
    Hoard(metadata, CONNECTION, quick=False),
    Hoard(large_arguments, CONNECTION, quick=False),
    Hoard(many_values, CONNECTION, quick=False),
    Hoard(idle_streams, CONNECTION, quick=False),
    Hoard(unclaimed_offers, CONNECTION, quick=False),
    Hoard(never_consumed, 10, quick=False),
    Hoard(nothing_acknowledged, CONNECTION, quick=False),
    Hoard(half_messages, CONNECTION, quick=False),
    Hoard(endless_fragments, CONNECTION, quick=False),
    Hoard(stalled_batches, CONNECTION),
    Hoard(tiny_values, 80, 2.0),
    Hoard(keys_that_hash_alike, 10, 2.0),
    Hoard(resets, 10),
    Hoard(credit_storm, 10),
]
CROWDS: Final = [
    Crowd(hoarding_calls, 1000, PROCESS),
    Crowd(reading_nothing, 1000, PROCESS),
    Crowd(detached, 12, PROCESS / 4),
]
