"""The receiving half: offsets, credit, and fragments put together within bounds (PROTOCOL.md §4 to §6, §10)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.errors import ProtocolError
from penstock.protocol import Grant, ReceiveHalf
from penstock.protocol._budget import UNFINISHED_COST_BYTES
from penstock.protocol._receive import Arrived, Reassembly
from tests.protocol.kit import ample


def broken(function, *arguments) -> str | None:
    try:
        function(*arguments)
    except ProtocolError as error:
        return error.rule
    return None


def receiver(items: int = 10, bytes_: int = 100) -> ReceiveHalf:
    return ReceiveHalf(Grant(items, bytes_))


def test_batches_wait_encoded():
    half = receiver()
    assert half.check_start(0, 2)
    half.add(Arrived(0, 2, b"payload", 7))
    assert half.queue == [Arrived(0, 2, b"payload", 7)]
    assert (half.arrived, half.arrived_bytes, half.waiting_bytes) == (2, 7, 7)


@pytest.mark.parametrize(
    ("offset", "count", "rule_broken"),
    [
        (3, 1, None),
        (3, 7, None),
        (3, 8, "5.1"),
        (3, 0, "4.2"),
        (4, 1, "4.3"),
        (2, 2, "4.3"),
        (2**64 - 1, 2**32 - 1, "4.3"),
    ],
)
def test_a_batch_begins_where_the_last_one_ended_and_within_credit(offset, count, rule_broken):
    half = receiver()
    half.add(Arrived(0, 3, b"abc", 3))
    assert broken(half.check_start, offset, count) == rule_broken


@pytest.mark.parametrize(("offset", "count"), [(0, 3), (0, 1), (2, 1)])
def test_a_batch_that_is_here_already_is_skipped(offset, count):
    half = receiver()
    half.add(Arrived(0, 3, b"abc", 3))
    assert not half.check_start(offset, count)


def test_a_message_begins_while_byte_credit_is_left_however_large_it_is():
    half = receiver(bytes_=8)
    assert half.check_start(0, 1)
    half.add(Arrived(0, 1, b"1234567", 7))
    assert half.check_start(1, 1)
    half.add(Arrived(1, 1, b"12345678901234567890", 20))
    assert broken(half.check_start, 2, 1) == "5.2"


@pytest.mark.parametrize(("granted", "rule_broken"), [(8, None), (7, "5.2"), (6, "5.2")])
def test_the_last_byte_of_credit_is_the_last_at_which_a_message_begins(granted, rule_broken):
    half = receiver(bytes_=granted)
    half.add(Arrived(0, 1, b"1234567", 7))
    assert broken(half.check_start, 1, 1) == rule_broken


@given(batches=st.lists(st.integers(1, 5), max_size=10), said=st.integers(0, 60))
def test_an_end_says_how_many_there_were(batches, said):
    half = receiver(100)
    for count in batches:
        half.add(Arrived(half.arrived, count, b"x", 1))
    assert broken(half.finish, said) == (None if said == sum(batches) else "6.2")


def test_items_for_a_consumer_that_left_are_dropped():
    half = receiver()
    half.discarded = True
    half.add(Arrived(0, 2, b"payload", 7))
    assert (half.queue, half.arrived, half.waiting_bytes) == ([], 2, 0)


def test_fragments_of_several_streams_are_put_together():
    parts = Reassembly(100, 10, ample())
    for stream_id, part in [(1, b"ab"), (3, b"xy"), (1, b"cd"), (3, b"z")]:
        whole = parts.add(stream_id, (0, 1, 0), memoryview(part))
    assert whole == b"xyz"
    assert parts.add(1, (0, 1, 0), memoryview(b"e")) == b"abcde"
    parts.drop(1)
    assert 1 not in parts.parts
    assert 3 in parts.parts


@pytest.mark.parametrize("key", [(1, 1, 0), (0, 2, 0), (0, 1, 2)])
def test_fragments_of_one_message_have_all_but_more_in_common(key):
    parts = Reassembly(100, 10, ample())
    parts.add(1, (0, 1, 0), memoryview(b"a"))
    assert broken(parts.add, 1, key, memoryview(b"b")) == "4.5"


def test_a_fragment_is_never_empty():
    parts = Reassembly(100, 10, ample())
    assert broken(parts.add, 1, (0, 1, 0), memoryview(b"")) == "4.5"


def test_a_message_has_a_limit_and_all_unfinished_ones_are_charged():
    budget = ample()
    parts = Reassembly(100, 3, budget)
    key = (0, 1, 0)
    parts.add(1, key, memoryview(bytes(100)))
    assert broken(parts.add, 1, key, memoryview(b"x")) == "4.6"
    parts.add(3, key, memoryview(bytes(50)))
    assert budget.held_bytes == 150 + 2 * UNFINISHED_COST_BYTES
    parts.drop(1)
    assert budget.held_bytes == 50 + UNFINISHED_COST_BYTES
    parts.clear()
    assert budget.held_bytes == 0


def test_the_number_of_unfinished_messages_has_a_limit():
    parts = Reassembly(100, 3, ample())
    for stream_id in (1, 3, 5):
        parts.add(stream_id, (0, 1, 0), memoryview(b"x"))
    assert broken(parts.add, 7, (0, 1, 0), memoryview(b"x")) == "10.4"
    parts.drop(3)
    assert broken(parts.add, 7, (0, 1, 0), memoryview(b"x")) is None


class Parts(RuleBasedStateMachine):
    """Fragments of any message: the kept bytes are bounded, and equal to the sent ones."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = ample()
        self.parts = Reassembly(60, 3, self.budget)
        self.model: dict[int, bytes] = {}

    @rule(stream_id=st.integers(1, 6), part=st.binary(max_size=40))
    def add(self, stream_id, part) -> None:
        rule_broken = broken(self.parts.add, stream_id, (0, 1, 0), memoryview(part))
        if rule_broken is not None:
            assert rule_broken in {"4.5", "4.6", "10.4"}
            self.__init__()  # the connection is over
            return
        self.model[stream_id] = self.model.get(stream_id, b"") + part

    @precondition(lambda self: self.model)
    @rule(stream_id=st.integers(1, 6), part=st.binary(min_size=1, max_size=9))
    def complete(self, stream_id, part) -> None:
        """The last fragment: the message is complete and as it was sent."""
        if len(self.model.get(stream_id, b"") + part) <= 60:
            known = self.model.pop(stream_id, None)
            if known is not None:
                assert self.parts.add(stream_id, (0, 1, 0), memoryview(part)) == known + part
                self.parts.drop(stream_id)

    @rule(stream_id=st.integers(1, 6))
    def drop(self, stream_id) -> None:
        self.parts.drop(stream_id)
        self.model.pop(stream_id, None)

    @invariant()
    def bounded(self) -> None:
        assert len(self.model) <= 3
        assert self.budget.held_bytes == sum(len(whole) + UNFINISHED_COST_BYTES for whole in self.model.values())
        assert all(len(whole) <= 60 for whole in self.model.values())
        assert all(stream_id in self.parts.parts for stream_id in self.model)


TestParts = Parts.TestCase
