"""The log of a retained stream, beside a model: it has the newest items, with their offsets, within its limits."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from penstock.retention._log import EMPTY_MAX, ITEM_BYTES, Limits, Log


def add(log: Log, size: int, cls: object = int) -> None:
    log.add(msgspec.Raw(b"x" * size), cls, size + ITEM_BYTES)


@given(st.lists(st.integers(1, 400), max_size=60), st.integers(1, 20), st.integers(600, 4_000), st.integers(0, 70))
def test_it_keeps_the_newest_items_within_its_limits(sizes, max_items, max_bytes, before):
    log = Log(Limits(1.0, max_items, max_bytes))
    kept: list[int] = []
    for number, size in enumerate(sizes):
        add(log, size, number)
        kept.append(size)
        log.trim(min(before, number))
        while (len(kept) > max_items or sum(kept) + ITEM_BYTES * len(kept) > max_bytes) and number + 1 - len(kept) < min(
            before, number
        ):
            del kept[0]
        assert (log.next, log.first) == (number + 1, number + 1 - len(kept))
        assert log.size == sum(kept) + ITEM_BYTES * len(kept)
    items, classes = log.page(log.first, 100)
    assert [memoryview(item).nbytes for item in items] == kept
    assert classes == [*range(log.first, log.next)]


def test_a_page_begins_anywhere_and_ends_with_the_items():
    log = Log(Limits(1.0, 10, 10_000))
    for number in range(15):
        add(log, 1, number)
    log.trim(15)
    assert log.page(7, 3)[1] == [7, 8, 9]
    assert log.page(13, 9)[1] == [13, 14]
    assert log.page(15, 9)[1] == []


def test_empty_places_are_given_back():
    log = Log(Limits(1.0, 4, 10_000))
    for number in range(10 * EMPTY_MAX):
        add(log, 1, number)
        log.trim(log.next)
    assert len(log._items) <= EMPTY_MAX + 4
    assert log.page(log.first, 9)[1] == [*range(10 * EMPTY_MAX - 4, 10 * EMPTY_MAX)]


def test_a_cleared_log_goes_on_counting():
    log = Log(Limits(1.0, 4, 10_000))
    add(log, 1)
    add(log, 1)
    log.clear()
    assert (log.first, log.next, log.size) == (2, 2, 0)
