"""The table of actors: in the order of their names, children below their parents."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final

from penstock.actors import info_of
from penstock.node._base import NodeBase
from penstock.node._types import ALL_ACTORS
from penstock.node.watch._table import Columns, Rates, Table, in_order, in_slices
from penstock.node.watch._types import ActorRow


def _in_info(name: str) -> Any:
    return attrgetter(f"info.{name}")


_COLUMNS: Final = Columns[ActorRow](
    text=lambda row: f"{row.info.address} {row.info.actor} {row.info.state} {row.info.handling} {row.info.error}",
    sorts={
        **{name: _in_info(name) for name in ("address", "state", "mailbox", "messages", "restarts", "uptime_s", "handling")},
        "streams": lambda row: row.info.streams + row.info.channels,
        "rate": lambda row: row.rate,
    },
)


def actors_table(node: NodeBase) -> Table[ActorRow]:
    """Return the table of the actors of a node."""
    rates = Rates()

    async def collect(now_s: float) -> list[ActorRow]:
        rates.begin(now_s)
        cells = node._host.registry.matching(ALL_ACTORS)
        found = [info_of(cell, now_s) async for cell in in_slices(cells)]
        rows = [ActorRow(info, rates.rate(info.id, info.messages)) async for info in in_slices(found)]
        return await _nested(await in_order(rows, lambda row: row.info.address.split("/")))

    return Table(collect, _COLUMNS, rates.forget)


async def _nested(rows: list[ActorRow]) -> list[ActorRow]:
    """Return rows with their depths, and how many are below each. The name rooms/7 needs no parent."""
    depths, parents, below = [0] * len(rows), [""] * len(rows), [0] * len(rows)
    above: list[int] = []
    async for place in in_slices(range(len(rows))):
        address = rows[place].info.address
        while above and not address.startswith(f"{rows[above[-1]].info.address}/"):
            parent = above.pop()
            below[parent] = place - parent - 1
        depths[place] = len(above)
        parents[place] = rows[above[-1]].info.address if above else ""
        above.append(place)
    for parent in above:
        below[parent] = len(rows) - parent - 1
    places = zip(rows, depths, parents, below, strict=True)
    return [ActorRow(row.info, row.rate, depth, parent, count) async for row, depth, parent, count in in_slices(places)]


def unfolded(rows: list[ActorRow], folded: set[str]) -> Iterator[ActorRow]:
    """Iterate over rows without those below an address that is folded."""
    place = 0
    while place < len(rows):
        row = rows[place]
        yield row
        place += 1 + (row.below if row.info.address in folded else 0)
