"""Tables of a console: a part at a time, in slices, at most once a second, and nothing when no console looks."""

from __future__ import annotations

import asyncio
from operator import itemgetter

import pytest

from penstock.errors import InvalidArgument
from penstock.node.watch._table import FORGET_S, FRESH_S, SLICE_ROWS, Columns, Rates, Table, in_order, in_slices
from penstock.node.watch._types import ROWS_MAX, TableWish

COLUMNS = Columns(text=str, sorts={"value": lambda row: row, "digit": lambda row: row % 10})


class Rows:
    """A table of numbers, which counts its looks and its ends."""

    def __init__(self, count: int) -> None:
        self.count, self.looks, self.ends = count, 0, 0
        self.table: Table[int] = Table(self._collect, COLUMNS, self._end)

    async def _collect(self, _now_s: float) -> list[int]:
        self.looks += 1
        return [number async for number in in_slices(range(self.count))]

    def _end(self) -> None:
        self.ends += 1


async def turns_during(work) -> int:
    """Return how many turns of the event loop other tasks got while `work` ran."""
    task, turns = asyncio.create_task(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


async def test_a_wish_gets_its_part_of_the_rows_that_match_in_its_order():
    table = Rows(1000).table
    found = await table.part(TableWish(skip=10, limit=3))
    assert found == (1000, 1000, 10, [10, 11, 12])
    assert (await table.part(TableWish(text="99", limit=2))) == (1000, 19, 0, [99, 199])
    assert (await table.part(TableWish(sort="-value", limit=2))).rows == [999, 998]
    assert (await table.part(TableWish(sort="digit", skip=99, limit=2))).rows == [990, 1]
    assert (await table.part(TableWish(), lambda rows: rows[500:])).matching == 500
    table.forget()


async def test_a_part_has_no_more_rows_than_a_screen_and_a_skip_beyond_the_end_gives_none():
    table = Rows(1000).table
    assert len((await table.part(TableWish(limit=10**9))).rows) == ROWS_MAX
    assert (await table.part(TableWish(skip=10**9, limit=5))) == (1000, 1000, 1000, [])
    assert (await table.part(TableWish(skip=-5, limit=-5))).rows == []
    table.forget()


async def test_another_column_is_refused_with_those_that_there_are():
    table = Rows(3).table
    with pytest.raises(InvalidArgument, match="no column '__class__'; it has value, digit"):
        await table.part(TableWish(sort="-__class__"))
    table.forget()


async def test_other_tasks_get_a_turn_after_each_slice_of_rows():
    rows = Rows(50 * SLICE_ROWS)
    assert await turns_during(rows.table.rows()) >= 50
    assert await turns_during(rows.table.part(TableWish(sort="-digit", skip=10**9))) >= 150
    rows.table.forget()


async def test_sorting_in_slices_gives_the_same_order_and_keeps_equal_rows_in_theirs():
    rows = [(number * 7919 % 101, number) for number in range(3 * SLICE_ROWS + 5)]
    for reverse in (False, True):
        assert await in_order(rows, itemgetter(0), reverse=reverse) == sorted(rows, key=itemgetter(0), reverse=reverse)
    assert await in_order(rows, itemgetter(0), first=7) == sorted(rows, key=itemgetter(0))[:7]


async def test_many_pages_share_one_look_a_second_and_after_the_last_one_nothing_is_kept():
    rows = Rows(10)
    await asyncio.gather(*(rows.table.part(TableWish()) for _ in range(20)))
    assert rows.looks == 1
    await asyncio.sleep(FRESH_S)
    await rows.table.part(TableWish())
    assert (rows.looks, rows.ends) == (2, 0)
    await asyncio.sleep(FORGET_S + 1)
    assert (rows.looks, rows.ends, rows.table._rows) == (2, 1, [])


def test_a_rate_is_the_growth_in_a_second_and_never_below_zero():
    rates = Rates()
    rates.begin(10.0)
    assert rates.rate("a", 100) == 0.0  # it is new
    rates.begin(12.0)
    assert (rates.rate("a", 150), rates.rate("b", 7)) == (25.0, 0.0)
    rates.begin(12.0)
    assert rates.rate("a", 200) == 0.0  # no time has passed
    rates.begin(11.0)
    assert rates.rate("a", 300) == 0.0  # a clock that goes back
    rates.begin(13.0)
    assert rates.rate("a", 0) == 0.0  # a counter that began anew
    rates.forget()
    rates.begin(14.0)
    assert rates.rate("a", 500) == 0.0
