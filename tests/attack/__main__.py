"""The long run, `make attack`: 20,000 violations beside an honest client, hoards, hostile servers, mutations, as a table.

`--quick` takes a tenth of each; `--seed N` gives other mutations; `--only storms` runs one part.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.attack.hoards import ALL, CROWDS, hold, hold_crowd
from tests.attack.hostile import SCRIPTS, hostile
from tests.attack.kit import commit, connect_and_reset, pour, send, victim
from tests.attack.mutations import mutated
from tests.attack.storms import STORMS
from tests.attack.violations import BREAKING

#: Connections of the attacker at the same time.
AT_ONCE: Final = 2
#: What the figures must stay below: MiB that grow, and how much slower the slowest hundredth of the honest calls may be. A
#: server in Python is not slow below 5 ms, whatever an idle one takes.
FLAT_MIB, SLOWER, FAST_MS = 5.0, 3.0, 5.0
#: Rounds through all violations before memory is measured for the first time.
WARM_ROUNDS: Final = 20


def unharmed(idle: dict[str, float], busy: dict[str, float]) -> bool:
    """Whether an honest client noticed little."""
    return busy["p99_ms"] <= max(SLOWER * idle["p99_ms"], FAST_MS)


class Table:
    """Rows as they come, and whether all were good."""

    def __init__(self) -> None:
        self.good = True

    def row(self, name: str, figures: str, *, good: bool) -> None:
        self.good &= good
        print(f"\r{'ok  ' if good else 'BAD '} {name:44} {figures}", flush=True)

    def progress(self, name: str, done: int, of: int) -> None:
        if sys.stdout.isatty():
            print(f"\r     {name:44} {done:,} of {of:,}", end="", flush=True)


async def repeat(count: int, attack: Callable[[int], Awaitable[Any]], told: Callable[[int], None]) -> None:
    """Run `attack` for each number below `count`, some at the same time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await attack(number)
            if not number % 200:
                told(number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def violations(table: Table, count: int) -> None:
    """Break every rule again and again, beside a client that is well-behaved."""
    name = f"{count:,} violations of {len(BREAKING)} kinds"
    async with victim() as server, victim() as client:
        # the allocator of a process that is new has to grow once
        await repeat(
            WARM_ROUNDS * len(BREAKING), lambda number: commit(BREAKING[number % len(BREAKING)], server), lambda _n: None
        )
        idle = await client.ask("honest", url=server.url, seconds=4)
        before = await server.figures()
        begun = time.monotonic()
        honest = asyncio.ensure_future(client.ask("honest", url=server.url, seconds=4))
        await repeat(
            count,
            lambda number: commit(BREAKING[number % len(BREAKING)], server),
            lambda done: table.progress(name, done, count),
        )
        took = time.monotonic() - begun
        busy = await honest
        after = await server.figures()
    grown = after.rss_mib - before.rss_mib
    table.row(
        name,
        f"{count / took:,.0f} a second, memory {grown:+.1f} MiB, left {after.left or 0}, "
        f"honest p99 {idle['p99_ms']:.1f} → {busy['p99_ms']:.1f} ms",
        good=grown < FLAT_MIB and not after.left and unharmed(idle, busy),
    )


async def beside(table: Table) -> None:
    """Measure an honest client beside each storm of one connection."""
    for storm in STORMS:
        async with victim() as server, victim() as client:
            idle = await client.ask("honest", url=server.url, seconds=2)
            task = asyncio.ensure_future(storm.attack(server))
            await asyncio.sleep(0.2)
            await server.ask("turns")
            busy = await client.ask("honest", url=server.url, seconds=3)
            turns_ms = await server.ask("turns")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            after = await server.figures()
        table.row(
            f"beside {storm.name}",
            f"honest p99 {idle['p99_ms']:.1f} → {busy['p99_ms']:.1f} ms, turns of the loop p99 {turns_ms:.1f} ms of the "
            f"processor, left {after.left or 0}",
            good=unharmed(idle, busy) and not after.left,
        )


async def dials(table: Table, count: int) -> None:
    """Let a client dial something else again and again."""
    for script in SCRIPTS[:3]:
        async with victim() as client, hostile(script) as url:
            await client.ask("dial", url=url, times=100)
            before = await client.figures()
            seen = await client.ask("dial", url=url, times=count)
            after = await client.figures()
        grown = after.rss_mib - before.rss_mib
        table.row(
            f"{count:,} dials to {script.name}",
            f"{seen}, memory {grown:+.1f} MiB, left {after.left or 0}",
            good=seen == {script.outcome: count} and grown < FLAT_MIB and not after.left,
        )


async def quick_resets(table: Table, count: int) -> None:
    """Connect and reset at once, on either loop."""
    for loop in ("asyncio", "uvloop"):
        async with victim(ATTACK_LOOP=loop) as server:
            await connect_and_reset(server, count)
            before = await server.figures()
            await connect_and_reset(server, count)
            after = await server.figures()
        grown = after.rss_mib - before.rss_mib
        table.row(
            f"{count:,} connects that are reset, {loop}",
            f"memory {grown:+.1f} MiB, left {after.left or 0}",
            good=grown < FLAT_MIB and not after.left,
        )


async def hoards(table: Table) -> None:
    """Let one connection hold as much as it can."""
    for hoard in ALL:
        held = await hold(hoard)
        table.row(
            (hoard.attack.__doc__ or "").partition(": ")[2].rstrip(".") or (hoard.attack.__doc__ or "").rstrip("."),
            f"{held.during_mib:.0f} MiB of {hoard.mib:.0f}, then {held.after_mib:.0f}; {held.cpu_s:.2f} s of the processor",
            good=held.during_mib < hoard.mib and held.cpu_s < hoard.cpu_s,
        )


async def crowds(table: Table) -> None:
    """Let many connections hold as much as they can."""
    for crowd in CROWDS:
        held = await hold_crowd(crowd)
        table.row(
            f"{crowd.connections:,} times: {(crowd.attack.__doc__ or '').rstrip('.')}",
            f"{held.during_mib:.0f} MiB of {crowd.mib:.0f}, then {held.after_mib:.0f}; honest {held.honest}",
            good=held.during_mib < crowd.mib and held.honest == {"answered": 20} and not held.left,
        )


async def mutations(table: Table, count: int, seed: int) -> None:
    """Change recorded conversations, by seed."""
    name = f"{count:,} mutations, seed {seed}"
    async with victim() as server:
        await repeat(300, lambda number: pour(server, *mutated(number), 1 << 20), lambda _n: None)
        before = await server.figures()
        await repeat(
            count,
            lambda number: pour(server, *mutated(seed * 1_000_000 + number), 1 << 20 if number % 2 else 11),
            lambda done: table.progress(name, done, count),
        )
        after = await server.figures()
        alive = await send(server, b"", BREAKING[0].data)
    grown = after.rss_mib - before.rss_mib
    table.row(
        name,
        f"memory {grown:+.1f} MiB, left {after.left or 0}",
        good=grown < FLAT_MIB and not after.left and alive.state == "closed",
    )


async def _main(share: float, seed: int, only: str) -> bool:
    table = Table()
    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "violations": lambda: violations(table, int(20_000 * share)),
        "resets": lambda: quick_resets(table, int(3000 * share)),
        "dials": lambda: dials(table, int(1000 * share)),
        "mutations": lambda: mutations(table, int(5000 * share), seed),
        "hoards": lambda: hoards(table),
        "crowds": lambda: crowds(table),
        "storms": lambda: beside(table),
    }
    for name, part in parts.items():
        if only in {"", name}:
            await part()
    return table.good


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--only", default="", choices=["violations", "resets", "dials", "mutations", "hoards", "crowds", "storms"]
    )
    given = options.parse_args()
    sys.exit(0 if asyncio.run(_main(0.1 if given.quick else 1.0, given.seed, given.only)) else 1)
