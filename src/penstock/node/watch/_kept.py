"""The table of retained streams, each with its readers and how far they are behind."""

from __future__ import annotations

from heapq import nlargest
from operator import attrgetter
from typing import Any, Final

from penstock.node.watch._table import Columns, Rates, Table, in_slices
from penstock.node.watch._types import READERS_LISTED_MAX, KeptRow, ReaderRow
from penstock.retention import KeptStream, streams_here

_COLUMNS: Final = Columns[KeptRow](
    text=lambda row: f"{row.name} {row.state}",
    sorts={name: attrgetter(name) for name in ("name", "state", "next", "bytes", "rate", "readers", "lag")},
)


def kept_table() -> Table[KeptRow]:
    """Return the table of the retained streams of this event loop."""
    rates = Rates()

    async def collect(now_s: float) -> list[KeptRow]:
        rates.begin(now_s)
        readers: dict[KeptStream, list[Any]] = {}
        async for reader in in_slices(list(streams_here().readers)):
            readers.setdefault(reader.kept, []).append(reader)
        streams = [stream._kept for stream in streams_here().named.values()]
        return [
            _row_of(kept, readers.get(kept, []), rates.rate(kept.id, kept.log.next))
            async for kept in in_slices(streams)
            if not kept.notes.deleted
        ]

    return Table(collect, _COLUMNS, rates.forget)


def _row_of(kept: KeptStream, readers: list[Any], rate: float) -> KeptRow:
    places = [(reader.by, at) for reader in readers if (at := reader.reads_at) is not None]
    reading = nlargest(
        READERS_LISTED_MAX,
        (ReaderRow(by, at, max(kept.readable_to - at, 0)) for by, at in places),
        key=lambda row: (row.lag, row.by),
    )
    _ttl_s, max_items, max_bytes = kept.limits
    return KeptRow(
        *(kept.name, kept.state, hasattr(kept, "store"), kept.oldest, kept.log.next, kept.log.size, max_items, max_bytes, rate),
        *(len(places), reading[0].lag if reading else 0, reading),
    )
