"""What waits for one subscriber: the bound is exact, every loss is told at its place, whatever is done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.streams import Dropped
from penstock.streams._backlog import Backlog

STEPS = st.lists(st.one_of(st.just("offer"), st.integers(1, 5)), max_size=200)


@given(st.integers(1, 5), st.sampled_from(["wait", "drop_oldest", "drop_newest", "latest", "error"]), STEPS)
def test_each_item_is_either_received_in_its_place_or_counted_in_the_gap_there(size, overflow, steps):
    backlog: Backlog[int] = Backlog(size, overflow)
    offered, seen = 0, []
    for step in steps:
        if step != "offer":
            seen += backlog.take(step)
            continue
        had_room = not backlog.full
        taken = backlog.add(offered)
        assert taken or (not had_room and overflow in {"wait", "error"})
        offered += taken
        assert len(backlog.items) <= size
        assert len(backlog.markers) <= size + 1
    seen += backlog.take(10**6)
    place = 0
    for entry in seen:  # a gap of n stands for the n items that are missing there
        if isinstance(entry, Dropped):
            place += entry.count
        else:
            assert entry == place
            place += 1
    assert place == offered
    assert backlog.dropped == sum(entry.count for entry in seen if isinstance(entry, Dropped))


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        ("drop_oldest", [Dropped(2), 2, 3, 4]),
        ("drop_newest", [0, 1, 2, Dropped(2)]),
    ],
)
def test_which_items_are_let_go_of(overflow, expected):
    backlog: Backlog[int] = Backlog(3, overflow)
    assert all(backlog.add(number) for number in range(5))
    assert backlog.take(10) == expected


@pytest.mark.parametrize("overflow", ["drop_oldest", "latest"])
def test_a_subscriber_that_is_always_late_sees_a_value_after_each_gap(overflow):
    backlog: Backlog[int] = Backlog(1, overflow)
    seen, number = [], 0
    for _ in range(6):
        for _ in range(10):
            backlog.add(number)
            number += 1
        seen += backlog.take(1)
    assert seen == [Dropped(9), 9, Dropped(19), 29, Dropped(19), 49]


def test_a_gap_takes_no_room():
    backlog: Backlog[int] = Backlog(2, "drop_newest")
    for number in range(4):
        backlog.add(number)
    assert backlog.take(1) == [0]
    backlog.add(4)
    assert backlog.take(10) == [1, Dropped(2), 4]
