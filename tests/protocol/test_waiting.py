"""Calls beyond the number of streams that the peer takes: they wait for the end of others, in their order (FAULTS G4)."""

from __future__ import annotations

import pytest

from penstock.errors import ResourceExhausted
from penstock.protocol._frames import Cancel, FrameType, GoAway, Status
from tests.protocol.kit import frame, items_frame, side

CLOSED = Cancel()


def opened(made) -> list[str]:
    """The targets of the calls that `made` opens with this write."""
    return [seen.body.target for seen in made.frames() if seen.kind == "OPEN"]


def status(stream: int) -> bytes:
    return frame(FrameType.STATUS, Status(5, "not_found", "no"), stream=stream)


def test_a_call_beyond_the_limit_waits_and_begins_when_another_is_over():
    made = side("client", peer={"max_streams": 1})
    first = made.call(target="S/first")
    second = made.call(target="S/second")
    assert (first.begun, second.begun, made.connection.streams.ours) == (True, False, 1)
    assert not made.connection.has_data()
    made.feed(status(first.id))
    assert made.connection.has_data()
    assert opened(made) == ["S/second"]
    assert (second.id, made.connection.streams.ours) == (3, 1)


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_waiting_calls_of_each_kind_begin_in_their_order(kind):
    made = side("client", peer={"max_streams": 2})
    first, second = made.call(kind), made.call(kind)
    for number in range(5):
        made.call(kind, target=f"S/{number}", priority=number % 3)
    made.feed(status(second.id), status(first.id))
    assert sorted(opened(made)) == ["S/0", "S/1"]
    made.feed(status(5))
    assert opened(made) == ["S/2"]


def test_a_waiting_call_that_is_cancelled_gives_its_turn_to_the_next():
    made = side("client", peer={"max_streams": 1})
    first, second, third = made.call(), made.call(target="S/second"), made.call(target="S/third")
    made.connection.cancel(second, CLOSED)
    assert made.frames() == []
    assert (second.over, made.connection.streams.ours) == (True, 1)
    made.connection.cancel(first, CLOSED)
    assert [seen.kind for seen in made.frames()] == ["CANCEL", "OPEN"]
    assert third.begun
    made.connection.cancel(third, CLOSED)
    made.write()
    assert (made.connection.streams.ours, len(made.connection.streams)) == (0, 0)


def test_nothing_puts_a_waiting_call_into_line_before_its_turn():
    made = side("client", peer={"max_streams": 1})
    made.call()
    waiting = made.call(3)
    made.connection.ready(waiting)
    assert made.frames() == []
    made.connection.half_close(waiting)
    assert made.frames() == []


def test_the_time_that_a_call_has_waited_is_taken_from_its_deadline():
    made = side("client", peer={"max_streams": 1})
    first = made.call()
    waiting = made.call(deadline_ms=5000)
    late = made.call(deadline_ms=1000)
    for stream in (waiting, late):
        assert stream.waits_since == 0.0
    made.now_s = 2.0
    made.feed(status(first.id))
    (seen,) = [seen for seen in made.frames() if seen.kind == "OPEN"]
    assert seen.body.deadline_ms == 3000
    made.feed(status(waiting.id))
    (seen,) = [seen for seen in made.frames() if seen.kind == "OPEN"]
    assert seen.body.deadline_ms == 1  # 0 would mean that it has passed, and that is for the caller to notice


def test_too_many_waiting_calls_are_refused_and_the_others_go_on():
    made = side("client", peer={"max_streams": 1}, max_waiting_calls=2)
    first = made.call()
    made.call(), made.call()
    with pytest.raises(ResourceExhausted, match=r"2 more wait \(Settings.max_waiting_calls\)") as caught:
        made.call()
    assert not caught.value.started
    made.feed(status(first.id))
    assert len(opened(made)) == 1
    made.call()


def test_a_peer_that_takes_no_stream_refuses_every_call_at_once():
    made = side("client", peer={"max_streams": 0})
    with pytest.raises(ResourceExhausted, match="0 streams"):
        made.call()


def test_a_drain_ends_the_calls_that_wait():
    made = side("client", peer={"max_streams": 1})
    first = made.call()
    waiting = [made.call(), made.call()]
    seen = made.feed(frame(FrameType.GOAWAY, GoAway(first.id)))
    assert {event.stream for event in seen[1:]} == set(waiting)
    assert all(event.status.code == 14 and not event.status.started for event in seen[1:])
    made.feed(items_frame(first.id, 0, 1)) if first.receiving == "open" else None
    made.feed(status(first.id))
    assert opened(made) == []
    assert len(made.connection.streams) == 0
