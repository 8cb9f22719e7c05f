"""An event loop has one object of a name, which ends with it."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from penstock._per_loop import of_loop
from penstock.refs import offers
from penstock.retention._streams import streams_here
from penstock.session._process import crowd


class Table:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()


def test_a_loop_has_one_object_of_a_name_and_another_loop_another_one():
    async def two() -> tuple[Table, Table]:
        return of_loop("_penstock_test", Table), of_loop("_penstock_test", Table)

    (first, again), (other, _) = asyncio.run(two()), asyncio.run(two())
    assert first is again
    assert first is not other


@pytest.mark.parametrize("made", [lambda: of_loop("_penstock_test", Table), crowd, offers, streams_here])
def test_it_ends_with_its_loop(made):
    async def use() -> weakref.ref:
        return weakref.ref(made())

    kept = asyncio.run(use())
    gc.collect()
    assert kept() is None


def test_there_is_none_without_a_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        of_loop("_penstock_test", Table)
