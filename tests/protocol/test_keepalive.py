"""When a silent peer is sent `PING`, and when it is lost (PROTOCOL.md §7). There is no clock: the tests give the time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocol._keepalive import ASSUMED_ROUND_TRIP_S, DECAY, PROBES, KeepAlive
from tests.protocol.kit import open_frame, side


def alive(*, greeted: bool = True) -> KeepAlive:
    made = KeepAlive(0.0, handshake_timeout_s=10.0, keepalive_s=15.0)
    if greeted:
        made.handshake_done(0.0)
    return made


def test_a_peer_without_hello_is_lost_after_the_handshake_time():
    made = alive(greeted=False)
    assert made.next_timeout() == 10.0
    made.heard(9.0)  # bytes that are no HELLO do not help
    assert made.check(9.999) == "fine"
    assert made.check(10.0) == "lost"


def test_a_silent_peer_is_asked_once_and_then_given_up():
    made = alive()
    assert made.next_timeout() == 15.0
    assert made.check(14.9) == "fine"
    assert made.check(15.0) == "ping"
    made.next_ping(15.0)
    assert made.next_timeout() == 30.0
    assert made.check(29.9) == "fine"
    assert made.check(30.0) == "lost"


def test_any_byte_is_a_sign_of_life():
    made = alive()
    made.next_ping(15.0)
    made.heard(20.0)
    assert made.next_timeout() == 35.0
    assert made.check(34.0) == "fine"
    assert made.check(35.0) == "ping"


@given(asleep_s=st.floats(15.0, 1e6))
def test_a_peer_is_never_given_up_without_having_been_asked(asleep_s):
    made = alive()
    assert made.check(asleep_s) == "ping"  # this side slept, and timers go off before what waits is read
    made.next_ping(asleep_s)
    assert made.check(asleep_s + 14.0) == "fine"
    assert made.check(asleep_s + 15.01) == "lost"


@given(beats=st.lists(st.floats(0.001, 14.9), max_size=30))
def test_a_peer_that_says_something_within_the_interval_is_never_asked(beats):
    made, now_s = alive(), 0.0
    for beat in beats:
        now_s += beat
        assert made.check(now_s) == "fine"
        made.heard(now_s)
        assert made.next_timeout() > now_s


def test_round_trips_are_measured_from_the_answers():
    made = alive()
    assert made.round_trip_s == ASSUMED_ROUND_TRIP_S
    made.pong_arrived(made.next_ping(0.0), 0.0005)
    assert made.round_trip_s == 0.0005  # a shorter one counts at once
    made.pong_arrived(made.next_ping(1.0), 1.0085)
    assert made.round_trip_s == pytest.approx(0.0005 * DECAY)  # a longer one only little by little


def test_a_new_connection_measures_more_than_once():
    made = alive()
    probes = []
    for number in range(PROBES):
        made.pong_arrived(made.next_ping(float(number)), number + 0.001)
        probes.append(made.probes)
    assert probes == [True] * (PROBES - 1) + [False]


def test_later_round_trips_are_measured_beside_what_is_written_anyway():
    """A thousand connections that come back cost a `PING` each, and not four with a write for each."""
    server = side(max_streams=1)
    server.connection.keepalive.probes = True
    assert not server.connection.has_data()
    server.feed(open_frame(1), open_frame(3))
    assert [seen.kind for seen in server.frames()] == ["PING", "STATUS"]
    assert not server.connection.keepalive.probes


def test_an_answer_that_was_not_asked_for_is_ignored():
    made = alive()
    number = made.next_ping(0.0)
    for other in (number + 1, number - 1, 99):
        made.pong_arrived(other, 5.0)
    assert made.round_trip_s == ASSUMED_ROUND_TRIP_S
    made.pong_arrived(number, 0.0)
    made.pong_arrived(number, 9.0)  # the same again
    assert made.round_trip_s <= ASSUMED_ROUND_TRIP_S
    assert made.round_trip_s > 0


def test_numbers_of_pings_rise():
    made = alive()
    assert [made.next_ping(0.0) for _ in range(3)] == [1, 2, 3]
