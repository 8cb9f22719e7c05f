"""`Table`: rows that are collected at most once a second, in slices, and only while a console looks. It gives parts of them.

No turn of the event loop has more of this work than a slice of rows, so a node with thousands of streams serves its peers as
before while a page shows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from heapq import merge
from itertools import islice
from typing import Any, Final, Generic, NamedTuple, TypeVar

from penstock._upkeep import upkeep
from penstock.errors import InvalidArgument
from penstock.node.watch._types import ROWS_MAX, TableWish

T = TypeVar("T")
R = TypeVar("R")

#: Rows that are collected, looked through, or put in order, in one turn of the event loop: less than a millisecond of work.
SLICE_ROWS: Final = 64
#: Rows of this age are shown again: a page that scrolls asks several times a second.
FRESH_S: Final = 0.8
#: Seconds after the last look until the rows are forgotten.
FORGET_S: Final = 10.0


async def in_slices(things: Iterable[T]) -> AsyncIterator[T]:
    """Iterate over things; other tasks get a turn after each `SLICE_ROWS` of them."""
    for count, thing in enumerate(things, 1):
        yield thing
        if count % SLICE_ROWS == 0:
            await asyncio.sleep(0)


async def in_order(rows: list[R], key: Callable[[R], Any], *, reverse: bool = False, first: int | None = None) -> list[R]:
    """Return rows in the order of a key, the `first` of them; other tasks get a turn after each slice of them."""
    runs: list[list[R]] = []
    for at in range(0, len(rows), SLICE_ROWS):
        runs.append(sorted(rows[at : at + SLICE_ROWS], key=key, reverse=reverse))
        await asyncio.sleep(0)
    return [row async for row in in_slices(islice(merge(*runs, key=key, reverse=reverse), first))]


class Rates:
    """How fast counters grow, by their keys, from one look to the next."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._elapsed_s = 0.0
        self._before: dict[Any, int] = {}
        self._now: dict[Any, int] = {}

    def begin(self, now_s: float) -> None:
        """Begin a look at a time of the loop's clock."""
        self._elapsed_s, self._at_s = now_s - self._at_s, now_s
        self._before, self._now = self._now, {}

    def before(self, key: Any) -> int | None:
        """Return a counter at the last look; None for one that is new."""
        return self._before.get(key)

    def rate(self, key: Any, count: int) -> float:
        """Note a counter, and return how much it has grown each second since the last look; 0 for one that is new."""
        self._now[key] = count
        grown = count - self._before.get(key, count)
        return grown / self._elapsed_s if grown > 0 and self._elapsed_s > 0 else 0.0

    def forget(self) -> None:
        """Forget all counters."""
        self._before, self._now = {}, {}


class Columns(NamedTuple, Generic[R]):
    """What a table shows. text: the text of a row, in which a wish looks for its own. sorts: the value of each column."""

    text: Callable[[R], str]
    sorts: Mapping[str, Callable[[R], Any]]


class FoundRows(NamedTuple, Generic[R]):
    """A part of a table, see `Part`."""

    all: int
    matching: int
    skip: int
    rows: list[R]


class Table(Generic[R]):
    """The rows of one table.

    collect: returns all rows, in the order of the table, at a time of the loop's clock. forget: called when no console has
    looked for `FORGET_S`.
    """

    def __init__(self, collect: Callable[[float], Any], columns: Columns[R], forget: Callable[[], None] = lambda: None) -> None:
        self._collect = collect
        self._columns = columns
        self._forget = forget
        self._rows: list[R] = []
        self._taken_s = -FORGET_S
        self._collecting = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None

    async def rows(self) -> list[R]:
        """Return all rows, `FRESH_S` old at most. Safe to cancel."""
        loop = asyncio.get_running_loop()
        async with self._collecting:
            if loop.time() - self._taken_s >= FRESH_S:
                now_s = loop.time()
                self._rows = await self._collect(now_s)
                self._taken_s = now_s
                if self._end is not None:
                    self._end.cancel()
                self._end = loop.call_later(FORGET_S, self.forget)
        return self._rows

    async def part(self, wish: TableWish, chosen: Callable[[list[R]], Iterable[R]] = iter) -> FoundRows[R]:
        """Return the part of the table that a wish names, of the rows that `chosen` leaves.

        Raises `InvalidArgument` for a column that the table does not have.
        """
        everything = await self.rows()
        text = wish.text.strip().lower()
        rows = [row async for row in in_slices(chosen(everything)) if not text or text in self._columns.text(row).lower()]
        matching = len(rows)
        skip = max(0, min(wish.skip, matching))
        end = skip + max(0, min(wish.limit, ROWS_MAX))
        if wish.sort:
            key = self._key(wish.sort.removeprefix("-"))
            rows = await in_order(rows, key, reverse=wish.sort.startswith("-"), first=end)
        return FoundRows(len(everything), matching, skip, rows[skip:end])

    def _key(self, column: str) -> Callable[[R], Any]:
        key = self._columns.sorts.get(column)
        if key is None:
            raise InvalidArgument(f"the table has no column {column!r:.100}; it has {', '.join(self._columns.sorts)}")
        return key

    @upkeep
    def forget(self) -> None:
        """Forget all rows: no console looks any more. Idempotent."""
        if self._end is not None:
            self._end.cancel()
        self._end, self._rows, self._taken_s = None, [], -FORGET_S
        self._forget()
