"""Demand as absolute numbers (PROTOCOL.md §5): the worked example, and the two ledgers against each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.errors import ProtocolError
from penstock.protocol import MAX_NUMBER, Grant, Limit, Settings, grant_for, grant_wished
from penstock.protocol._credit import MANY_ITEMS_BYTES
from penstock.protocol._frames import Credit
from tests.protocol.kit import hello, opening, read_frames


def test_the_worked_example_of_the_protocol():
    """Window 4 items and 1,000 bytes; every batch is one item of 400 bytes."""
    grant, limit = Grant(4, 1000), Limit(4, 1000)
    sent = []

    def send() -> None:
        while len(sent) < limit.items and sum(sent) < limit.bytes:
            sent.append(400)

    send()
    assert len(sent) == 3  # begun at byte 800 of 1,000, so it passed; at byte 1,200 nothing does
    assert not grant.consume(1, 400)  # less than half of either window: nothing is said
    assert grant.consume(1, 400)
    assert limit.raise_to(told := grant.next_credit(0.0, 0.001), len(sent))
    assert told == Credit(6, 1800, 2)
    send()
    assert len(sent) == 5  # begun at 1,200 and 1,600 of 1,800; two more items would have been allowed, the bytes are spent
    assert not grant.consume(1, 400)
    assert grant.consume(1, 400)
    assert grant.next_credit(9.0, 0.001) == Credit(8, 2600, 4)


@pytest.mark.parametrize(("window", "consumed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 128)])
def test_credit_is_due_when_half_a_window_is_consumed(window, consumed):
    grant = Grant(window, MAX_NUMBER)
    assert [grant.consume(1, 0) for _ in range(consumed)] == [False] * (consumed - 1) + [True]


def test_credit_is_due_when_half_a_window_of_bytes_is_consumed():
    grant = Grant(100, 1000)
    assert not grant.consume(1, 499)
    assert grant.consume(1, 1)


def test_a_window_that_was_set_is_kept_exactly():
    grant = Grant(4, 100)
    for now_s in range(20):
        grant.consume(4, 100)
        told = grant.next_credit(now_s * 1e-6, 1.0)
        assert (told.items - told.consumed, told.bytes - grant.consumed_bytes) == (4, 100)


def test_a_window_that_limits_a_consumer_that_keeps_up_doubles_once_a_round_trip_to_its_largest():
    grant = Grant(4, 1_000_000, 64, 1_000_000)
    windows = []
    for round_trip in range(7):
        grant.consume(grant.window_items, 0)
        told = grant.next_credit(1.0 + round_trip * 0.125, 0.125)
        windows.append(told.items - told.consumed)
    assert windows == [4, 8, 16, 32, 64, 64, 64]


def test_a_window_doubles_when_the_consumer_waits_for_the_item_behind_it_however_short_the_round_trip():
    """FAULTS B7, scale: with 1,000 readers a turn of either loop takes thirty round trips."""
    grant = Grant(64, 1_000_000, 64, 1_000_000)
    grant.start_with(1)
    windows = []
    for turn in range(1, 9):
        arrived = grant.items  # the peer sends as far as the credit goes
        grant.consume(arrived - grant.consumed_items, 0)
        grant.next_credit(turn * 0.03, 0.0001)
        grant.waited_for(arrived)
        windows.append(grant.window_items)
    assert windows == [1, 2, 4, 8, 16, 32, 64, 64]


def test_a_window_does_not_grow_when_the_producer_makes_the_consumer_wait():
    grant = Grant(4, 1_000_000, 64, 1_000_000)
    for item in range(40):
        grant.waited_for(item)
        if grant.consume(1, 0):
            grant.next_credit(1.0 + item, 0.0001)
    assert grant.window_items == 4


def test_a_window_that_was_set_is_kept_when_the_consumer_waits_for_the_item_behind_it():
    grant = Grant(4, 1_000_000)
    for turn in range(1, 5):
        grant.consume(4, 0)
        assert grant.next_credit(turn * 0.03, 0.0001).items == grant.consumed_items + 4
        grant.waited_for(grant.consumed_items)


def test_a_burst_is_not_taken_for_a_rate():
    grant = Grant(4, 1_000_000, 64, 1_000_000)
    grant.consume(4, 0)
    grant.next_credit(1.0, 0.0001)
    for moment in range(1, 50):
        grant.consume(2, 0)
        grant.next_credit(1.0 + moment * 1e-6, 0.0001)
    assert grant.window_items == 4


def test_a_window_does_not_grow_for_a_consumer_that_is_slower_than_the_line():
    grant = Grant(4, 1000, 64, 64000)
    for now_s in range(1, 10):
        grant.consume(2, 500)
        assert grant.next_credit(now_s * 10.0, 0.1).items == grant.consumed_items + 4
    assert grant.window_bytes == 1000


def test_a_window_in_bytes_fills_its_path_and_no_more():
    """10 MB/s over 100 ms: a megabyte on the way, so the window grows while it holds less than two."""
    grant = Grant(1_000_000, 100_000, 1_000_000, 100_000_000)
    for step in range(1, 200):
        grant.consume(1, 200_000)
        grant.next_credit(1.0 + step * 0.02, 0.1)
    assert 2_000_000 <= grant.window_bytes < 4_000_000


def test_a_window_in_bytes_follows_many_small_items_up_to_a_megabyte():
    grant = Grant(4, 1_000, 64, 100_000_000)
    for step in range(1, 20):
        grant.consume(grant.window_items, grant.window_items * 100_000)
        grant.next_credit(1.0 + step * 0.125, 0.125)
        if grant.window_items == 64:
            break
    assert grant.window_bytes >= MANY_ITEMS_BYTES


@pytest.mark.parametrize(("round_trip_s", "grows"), [(0.0001, False), (0.1, True)])
def test_a_stream_that_yields_keeps_its_window_on_a_short_path(round_trip_s, grows):
    grant = Grant(4, 1_000_000, 64, 1_000_000)
    grant.yields = True
    for step in range(1, 6):
        grant.consume(10_000, 0)
        grant.next_credit(1.0 + step * 0.1, round_trip_s)
    assert (grant.window_items > 4) is grows


def test_credit_stays_below_the_largest_number():
    grant = Grant(MAX_NUMBER, MAX_NUMBER)
    grant.consume(MAX_NUMBER - 1, MAX_NUMBER - 1)
    assert grant.next_credit(0.0, 1.0) == Credit(MAX_NUMBER, MAX_NUMBER, MAX_NUMBER - 1)


def test_old_news_changes_nothing():
    limit = Limit(10, 1000)
    assert limit.raise_to(Credit(20, 2000, 5), 10)
    assert not limit.raise_to(Credit(20, 2000, 5), 10)
    assert not limit.raise_to(Credit(3, 7, 1), 10)
    assert (limit.items, limit.bytes, limit.consumed) == (20, 2000, 5)


def test_either_number_alone_makes_room():
    limit = Limit(10, 1000)
    assert limit.raise_to(Credit(11, 0, 0), 10)
    assert limit.raise_to(Credit(0, 1001, 0), 10)
    assert (limit.items, limit.bytes) == (11, 1001)


def test_more_consumed_than_sent_breaks_rule_5_4():
    with pytest.raises(ProtocolError) as caught:
        Limit(10, 1000).raise_to(Credit(20, 2000, 4), 3)
    assert caught.value.rule == "5.4"


@pytest.mark.parametrize(
    ("items", "bytes_", "windows"),
    [
        (None, None, (256, 262144, 16384, 8388608)),
        (7, None, (7, 67108864, 7, 67108864)),
        (None, 500, (256, 500, 16384, 500)),
        (7, 500, (7, 500, 7, 500)),
        (100_000, None, (100_000, 67108864, 100_000, 67108864)),
    ],
)
def test_a_set_window_is_fixed_and_any_other_tunes_itself(items, bytes_, windows):
    grant = grant_for(Settings(), None, items, bytes_)
    assert (grant.window_items, grant.window_bytes, grant.max_window_items, grant.max_window_bytes) == windows


def test_a_wish_of_the_peer_is_kept_within_our_limits():
    ours = Settings(max_window_items=50, set_window_bytes=999)

    def wished(items: int, bytes_: int, own: tuple[int, int] = (0, 0)) -> tuple[int, int]:
        grant = grant_wished(ours, None, opening(3, wish_items=items, wish_bytes=bytes_), own)
        return grant.items, grant.bytes

    assert wished(10, 20) == (10, 20)
    assert wished(10**9, 10**9) == (50, 999)
    assert grant_wished(ours, None, opening(3)).max_window_items == 256  # no wish: as if nobody had set anything
    assert wished(0, 0, (7, 70)) == (7, 70)
    assert wished(10, 20, (7, 70)) == (7, 20)
    assert wished(10, 20, (10**9, 10**9)) == (10, 20)


@pytest.mark.parametrize(("items", "bytes_"), [(None, None), (10**6, None), (None, 10**9), (10**6, 10**9), (3, 5)])
def test_no_window_is_larger_than_what_the_peer_sends_ahead(items, bytes_):
    """Rule 5.9 (FAULTS G2)."""
    (told,) = read_frames(hello(max_ahead_items=100, max_ahead_bytes=1000))
    grant = grant_for(Settings(), told.body, items, bytes_)
    assert (grant.items, grant.bytes) == (min(items or 100, 100), min(bytes_ or 1000, 1000))
    for now_s in range(1, 100):
        grant.consume(grant.window_items, grant.window_bytes)
        grant.next_credit(float(now_s), 0.5)
    assert grant.window_items <= 100
    assert grant.window_bytes <= 1000


def test_a_sender_stops_where_it_says_whatever_is_granted():
    """Rule 5.9 (FAULTS G2)."""
    limit = Limit(1000, 10**6, 10)
    assert limit.items == 10
    assert limit.raise_to(Credit(2000, 10**6, 4), 10)
    assert limit.items == 14
    assert not limit.raise_to(Credit(3000, 10**6, 4), 14)
    limit = Limit(ahead=10)
    limit.start_at(500, 500)
    assert (limit.items, limit.bytes) == (10, 500)


@given(
    steps=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5000), st.floats(0, 10)), max_size=40),
    window=st.tuples(st.integers(1, 60), st.integers(1, 6000), st.integers(1, 200), st.integers(1, 20000)),
)
def test_credit_never_shrinks(steps, window):
    grant = Grant(*window)
    before, now_s = (grant.items, grant.bytes, 0), 0.0
    for items, size, seconds in steps:
        grant.consume(items, size)
        now_s += seconds
        told = grant.next_credit(now_s, 0.5)
        after = (told.items, told.bytes, told.consumed)
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after


class Demand(RuleBasedStateMachine):
    """A sender with a `Limit`, a consumer with a `Grant`, and a line between them that delays and repeats credit."""

    def __init__(self) -> None:
        super().__init__()
        self.grant: Grant | None = None
        self.limit = Limit()
        self.sizes: list[int] = []  # of all items sent
        self.consumed = 0
        self.line: list[Credit] = []
        self.now_s = 0.0

    @precondition(lambda self: self.grant is None)
    @rule(window=st.tuples(st.integers(1, 9), st.integers(1, 900), st.integers(1, 30), st.integers(1, 3000)))
    def open(self, window) -> None:
        self.grant = Grant(*window)
        self.limit = Limit(self.grant.items, self.grant.bytes)

    @precondition(lambda self: self.grant is not None)
    @rule(sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=8))
    def send(self, sizes) -> None:
        for size in sizes:
            if self._may_send():
                self.sizes.append(size)

    @precondition(lambda self: self.consumed < len(self.sizes))
    @rule(count=st.integers(1, 5), seconds=st.floats(0, 2))
    def consume(self, count, seconds) -> None:
        taken = self.sizes[self.consumed : self.consumed + count]
        self.consumed += len(taken)
        self.now_s += seconds
        if self.grant.consume(len(taken), sum(taken)):
            self.line.append(self.grant.next_credit(self.now_s, 0.5))

    @precondition(lambda self: self.line)
    @rule(at=st.integers(0), again=st.booleans())
    def hear(self, at, again) -> None:
        """Credit arrives, in any order and more than once: after a resume it does."""
        credit = self.line[at % len(self.line)]
        self.limit.raise_to(credit, len(self.sizes))
        if not again:
            self.line.remove(credit)

    def _may_send(self) -> bool:
        return len(self.sizes) < self.limit.items and sum(self.sizes) < self.limit.bytes

    @invariant()
    def sent_is_within_granted(self) -> None:
        if self.grant is not None:
            assert len(self.sizes) <= self.limit.items <= self.grant.items
            assert self.limit.bytes <= self.grant.bytes
            assert sum(self.sizes[:-1]) < self.grant.bytes  # the last one may reach over

    @invariant()
    def ahead_of_the_consumer_by_at_most_the_window(self) -> None:
        if self.grant is not None:
            assert len(self.sizes) - self.consumed <= self.grant.window_items
            ahead = self.sizes[self.consumed :]
            assert sum(ahead[:-1]) < self.grant.window_bytes

    def teardown(self) -> None:
        """After any history, both sides go on for ever: neither waits for the other."""
        if self.grant is None:
            return
        for credit in self.line:
            self.limit.raise_to(credit, len(self.sizes))
        goal = len(self.sizes) + 40
        while len(self.sizes) < goal:
            moved = self._may_send()
            if moved:
                self.sizes.append(1 + 97 * len(self.sizes) % 2000)
            elif self.consumed < len(self.sizes):
                moved = True
                size, self.consumed = self.sizes[self.consumed], self.consumed + 1
                if self.grant.consume(1, size):
                    self.limit.raise_to(self.grant.next_credit(self.now_s, 0.5), len(self.sizes))
            assert moved, "both sides wait for each other"


TestDemand = Demand.TestCase


def test_a_grant_may_start_with_a_smaller_window_and_grow_to_its_maximum():
    grant = Grant(64, 10**6, 64, 10**6)
    grant.start_with(1)
    assert (grant.items, grant.window_items, grant.max_window_items) == (1, 1, 64)
    grant.consume(1, 10)
    assert grant.next_credit(1.0, 0.1).items == 2


def test_the_first_grant_of_the_callee_replaces_a_limit_of_nothing():
    limit = Limit()
    limit.start_at(4, 1000)
    assert (limit.items, limit.bytes, limit.consumed) == (4, 1000, 0)
