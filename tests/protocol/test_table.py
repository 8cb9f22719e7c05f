"""Stream ids: odd and even, only rising, never used again (PROTOCOL.md §3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ProtocolError
from penstock.protocol import MAX_NUMBER, WireStream
from penstock.protocol._frames import FrameType
from penstock.protocol._table import StreamTable
from tests.protocol.kit import opening


def rule(table: StreamTable, stream_id: int) -> str | None:
    try:
        table.take_id(stream_id)
    except ProtocolError as error:
        return error.rule
    return None


def stream(*, callee: bool) -> WireStream:
    return WireStream(opening(), callee=callee)


@pytest.mark.parametrize(("role", "first"), [("client", 1), ("server", 2)])
def test_the_dialling_side_gives_odd_ids_and_the_other_even_ones(role, first):
    table = StreamTable(role)
    ids = []
    for _ in range(3):
        ours = stream(callee=False)
        table.add_ours(ours)
        table.begin(ours)
        ids.append(ours.id)
    assert ids == [first, first + 2, first + 4]


@given(ids=st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1), max_size=20))
def test_a_new_id_of_the_peer_is_one_of_its_own_and_higher_than_all_before(ids):
    table, highest = StreamTable("server"), 0
    for stream_id in ids:
        legal = stream_id % 2 == 1 and highest < stream_id <= MAX_NUMBER
        assert rule(table, stream_id) == (None if legal else "3.2")
        highest = stream_id if legal else highest
        assert table.highest_peer_id == highest


def test_ids_may_be_left_out_and_are_then_over():
    table = StreamTable("server")
    table.take_id(9)
    assert table.find(FrameType.ITEMS, 3) is None


@pytest.mark.parametrize("stream_id", [1, 3, 2, 4, MAX_NUMBER])
def test_an_id_that_never_was_breaks_rule_3_3(stream_id):
    table = StreamTable("server")
    with pytest.raises(ProtocolError) as caught:
        table.find(FrameType.CREDIT, stream_id)
    assert caught.value.rule == "3.3"


def test_a_stream_is_found_until_it_is_removed_and_ignored_afterwards():
    table = StreamTable("client")
    ours = stream(callee=False)
    table.add_ours(ours)
    assert table.all() == [ours]
    assert len(table) == table.ours == 1
    table.begin(ours)
    assert table.find(FrameType.STATUS, 1) is ours
    table.remove(ours)
    assert table.find(FrameType.STATUS, 1) is None
    assert ours.over
    assert (len(table), table.ours) == (0, 0)


def test_an_id_is_given_when_the_first_frame_leaves_so_that_ids_arrive_in_order():
    table = StreamTable("client")
    early, late = stream(callee=False), stream(callee=False)
    table.add_ours(early)
    table.add_ours(late)
    table.begin(late)
    table.begin(early)
    assert (late.id, early.id) == (1, 3)


def test_streams_of_both_sides_are_counted_apart():
    table = StreamTable("server")
    table.take_id(1)
    theirs = stream(callee=True)
    theirs.id = 1
    table.add_theirs(theirs)
    assert (table.ours, table.theirs) == (0, 1)
    table.remove(theirs)
    assert table.theirs == 0
