"""The commands of one connection and the frames that they write; `test_inbound` has the frames of the peer."""

from __future__ import annotations

from contextlib import suppress

import pytest

from penstock.errors import Cause, InvalidArgument, PenstockError, ResourceExhausted, Unavailable
from penstock.protocol import Cancel, Grant, ReceiveHalf, Status, events
from penstock.protocol._connection_state import FORGOTTEN_AT_ONCE
from penstock.protocol._frames import LAST, MORE, Accept, Credit, FrameType, GoAway, Ping
from penstock.protocol._outbox import MAX_CONTROL_FRAMES
from tests.protocol.kit import array, encode, frame, items_frame, open_frame, opening, push, rule_of, side, values_of


def test_a_call_is_opened_when_it_is_written_and_the_dialling_side_has_odd_ids():
    made = side("client")
    first = made.connection.open(opening(), ReceiveHalf(Grant(10, 1000)))
    second = made.connection.open(opening(1), ReceiveHalf(Grant(10, 1000)))
    assert not first.begun
    assert made.connection.has_data()
    assert [(seen.kind, seen.stream, seen.flags) for seen in made.frames()] == [("OPEN", 1, LAST), ("OPEN", 3, 0)]
    assert (first.id, second.id) == (1, 3)


def test_a_call_given_up_before_it_was_written_is_never_heard_of():
    made = side("client")
    stream = made.connection.open(opening(), ReceiveHalf(Grant(10, 1000)))
    made.connection.cancel(stream, Cancel())
    assert made.frames() == []
    made.call()
    assert made.connection.streams.ours == 1


def test_a_call_given_up_while_its_argument_is_being_written_is_cancelled():
    made = side("client", peer={"max_frame_bytes": 16384})
    stream = made.connection.open(opening(argument=bytes(50_000)), ReceiveHalf(Grant(10, 1000)))
    assert made.write(1)[4:6] == bytes((FrameType.OPEN, MORE | LAST))
    made.connection.cancel(stream, Cancel(4, "deadline_exceeded"))
    assert [(seen.kind, seen.body.code) for seen in made.frames()] == [("CANCEL", 4)]


def test_no_call_can_be_made_before_hello_after_a_drain_or_after_the_end():
    with pytest.raises(Unavailable):
        side("client", greeted=False).call()
    for goodbye in (GoAway(0, 0), GoAway(0, 13)):
        made = side("client")
        made.feed(frame(FrameType.GOAWAY, goodbye))
        with pytest.raises(Unavailable) as caught:
            made.call()
        assert not caught.value.started


@pytest.mark.parametrize(
    ("peer", "changes", "word"),
    [
        ({"max_item_bytes": 2000}, {"argument": bytes(2001)}, "argument"),
        ({"max_header_bytes": 1024}, {"metadata": {"a": "x" * 1024}}, "metadata"),
    ],
)
def test_a_call_over_a_limit_of_the_peer_is_refused_here_and_the_connection_lives(peer, changes, word):
    made = side("client", peer=peer)
    made.call()
    with pytest.raises(ResourceExhausted, match=word) as caught:
        made.call(**changes)
    assert made.frames() == []
    assert made.connection.streams.ours == 1
    assert not caught.value.started


@pytest.mark.parametrize("changes", [{"target": "S/\udcff"}, {"metadata": {"a": "\udcff"}}])
def test_a_call_that_cannot_be_written_is_refused_here_and_leaves_nothing(changes):
    made = side("client")
    with pytest.raises(InvalidArgument):
        made.call(**changes)
    assert made.connection.streams.ours == 0
    assert made.frames() == []


def test_accept_tells_the_window_of_the_requests():
    made = side()
    (opened,) = made.feed(open_frame(1, 3))
    made.connection.accept(opened.stream, Grant(5, 500))
    (seen,) = made.frames()
    assert (seen.kind, seen.body) == ("ACCEPT", Accept(0, 0, 5, 500))


def test_accept_of_a_call_without_requests_grants_nothing():
    made = side()
    (opened,) = made.feed(open_frame(1, 2))
    made.connection.accept(opened.stream, None)
    assert made.frames()[0].body == Accept(0, 0, 0, 0)


def test_an_answer_ends_the_stream_when_it_has_left():
    made = side()
    stream = made.answer(1, 2)
    push(stream, 1)
    made.connection.end(stream)
    assert made.connection.streams.theirs == 1
    assert [(seen.kind, seen.flags) for seen in made.frames()] == [("ITEMS", LAST)]
    assert made.connection.streams.theirs == 0


@pytest.mark.parametrize("credit", [{"credit_items": 0}, {"credit_bytes": 0}])
def test_an_answer_without_credit_is_not_sent(credit):
    made = side()
    (opened,) = made.feed(open_frame(1, 0, **({"credit_items": 1, "credit_bytes": 100} | credit)))
    with suppress(PenstockError):
        made.connection.answer(opened.stream, b"\x01")
    assert [seen.kind for seen in made.frames() if seen.kind == "ITEMS"] == []


def test_many_calls_of_this_side_do_not_count_as_unread_answers():
    made = side("client")
    for _ in range(MAX_CONTROL_FRAMES + 10):
        made.connection.open(opening(0), ReceiveHalf(Grant(1, 1000)))
    assert not made.connection.outbox.overflowing
    assert len(made.frames()) == MAX_CONTROL_FRAMES + 10


def test_consumed_items_become_credit_at_half_a_window():
    made = side()
    stream = made.answer(1, 3, window=Grant(4, 1000))
    made.feed(items_frame(1, 0, 1, 2))
    assert not made.connection.consume(stream, 1, 0)
    assert made.connection.consume(stream, 1, len(array(1, 2)))
    (seen,) = made.frames()
    assert (seen.kind, seen.body) == ("CREDIT", Credit(6, 1007, 2))
    assert stream.receive.held_bytes == 0
    assert made.connection.budget.held_bytes == stream.held_bytes


def test_no_credit_for_a_stream_that_is_over():
    made = side("client")
    stream = made.call(2)
    made.feed(frame(FrameType.ACCEPT, Accept(0, 0, 0, 0), stream=1), items_frame(1, 0, *range(9)))
    made.feed(frame(FrameType.STATUS, Status(13), stream=1))
    assert not made.connection.consume(stream, 9, len(array(*range(9))))
    assert made.frames() == []


def test_discarded_items_are_not_counted_now_nor_later():
    made = side()
    stream = made.answer(1, 3)
    made.feed(items_frame(1, 0, 1, 2))
    made.connection.discard(stream)
    assert made.connection.budget.held_bytes == stream.held_bytes
    made.feed(items_frame(1, 2, 3))
    assert (made.connection.budget.held_bytes, stream.receive.queue) == (stream.held_bytes, [])


def test_a_callee_asks_for_no_more_items_only_while_some_may_come():
    made = side()
    stream = made.answer(1, 3)
    made.connection.stop(stream, Cancel(message="enough"))
    assert [seen.kind for seen in made.frames()] == ["CANCEL"]
    made.feed(items_frame(1, 0, 1, flags=LAST))
    made.connection.stop(stream, Cancel())
    assert made.frames() == []


def test_control_frames_pass_the_queued_frames_of_streams():
    made = side()
    stream = made.answer(1, 2)
    push(stream, 1)
    made.connection.ready(stream)
    made.feed(frame(FrameType.PING, Ping(5)))
    assert [seen.kind for seen in made.frames()] == ["PONG", "ITEMS"]


def test_a_write_is_over_its_budget_by_less_than_a_frame():
    made = side(peer={"max_frame_bytes": 16384})
    stream = made.answer(1, 2, credit_bytes=10**9)
    push(stream, bytes(500_000))
    made.connection.ready(stream)
    for _ in range(4):
        assert 100_000 <= len(made.write(100_000)) < 100_000 + 16384 + 14


def test_a_frame_keeps_the_smaller_limit_of_both_sides():
    for ours, theirs in ((1 << 18, 16384), (16384, 1 << 24)):
        made = side(peer={"max_frame_bytes": theirs}, max_frame_bytes=ours)
        stream = made.answer(1, 2, credit_bytes=10**9)
        push(stream, bytes(60_000))
        made.connection.ready(stream)
        sizes = [len(seen.body[2]) + 12 for seen in made.frames()]
        assert max(sizes) == 16384


def test_bytes_may_go_in_through_the_buffer_or_from_elsewhere():
    made = side()
    data = open_frame(1, argument=encode(bytes(200_000))) + open_frame(3)
    seen = []
    while data:
        room = made.connection.get_buffer()
        part, data = data[: len(room)], data[len(room) :]
        room[: len(part)] = part
        seen += made.connection.buffer_updated(len(part), 0.0)
    assert [event.stream.id for event in seen] == [1, 3]


def test_after_a_broken_rule_there_is_one_last_frame_and_nothing_is_read_or_written():
    made = side()
    stream = made.answer(1, 3)
    push(stream, 1)
    made.connection.ready(stream)
    assert rule_of(made.feed(items_frame(1, 5, 1))) == "4.3"
    assert [(seen.kind, seen.body.code) for seen in made.frames()] == [("GOAWAY", 13)]
    assert made.feed(open_frame(3)) == []
    assert made.frames() == []
    assert made.connection.next_timeout() is None
    assert made.connection.handle_timeout(1e9) == []


def test_a_silent_peer_is_asked_and_then_given_up():
    made = side(keepalive_s=15.0)
    assert made.connection.next_timeout() == 15.0
    assert made.connection.handle_timeout(15.0) == []
    assert [seen.kind for seen in made.frames()] == ["PING"]
    assert made.connection.next_timeout() == 30.0
    (failed,) = made.connection.handle_timeout(30.0)
    assert (failed.error, failed.message) == (None, "the peer was silent for 30 s")
    assert made.connection.failed


def test_a_peer_that_never_says_hello_is_given_up():
    made = side(greeted=False, handshake_timeout_s=10.0)
    made.feed(b"\0\0\0")
    (failed,) = made.connection.handle_timeout(10.0)
    assert failed.message == "the peer was silent for 10 s"


def test_calls_go_both_ways_on_one_connection():
    made = side()
    made.answer(1, 2)
    stream = made.call(2)
    assert stream.id == 2
    seen = made.feed(frame(FrameType.ACCEPT, Accept(0, 0, 0, 0), stream=2), items_frame(2, 0, 1, flags=LAST))
    assert [type(event) for event in seen] == [events.Accepted, events.ItemsArrived, events.Ended]


def test_a_payload_to_accept_with_keeps_the_limit_of_the_peer():
    made = side(peer={"max_header_bytes": 1024})
    (opened,) = made.feed(open_frame(1, 3))
    with pytest.raises(ResourceExhausted, match="982"):
        made.connection.accept(opened.stream, Grant(1, 1), payload=bytes(983))
    assert made.frames() == []
    made.connection.accept(opened.stream, Grant(2**53 - 1, 2**53 - 1), bytes(982))
    (accept,) = made.frames()
    assert accept.body.payload == bytes(982)
    assert len(encode(accept.body)) <= 1024


@pytest.mark.parametrize("role", ["client", "server"])
def test_the_side_that_closes_a_stream_drops_later_items_and_forgets_it_when_the_close_has_left(role):
    made = side(role)
    if role == "client":
        stream = made.call(3)
        made.feed(frame(FrameType.ACCEPT, Accept(0, 0, 10, 1000), stream=1))
    else:
        stream = made.answer(kind=3)
    made.feed(items_frame(1, 0, "a"))
    push(stream, 1)
    made.connection.close(stream, "done")
    made.connection.discard(stream)
    assert made.connection.budget.held_bytes == stream.held_bytes
    made.feed(items_frame(1, 1, "b"), frame(FrameType.CREDIT, Credit(20, 2000, 0), stream=1))
    assert made.connection.budget.held_bytes == stream.held_bytes
    assert not stream.over
    assert [seen.kind for seen in made.frames()] == ["ITEMS", "END" if role == "client" else "STATUS"]
    assert stream.over
    assert len(made.connection.streams) == 0
    assert rule_of(made.feed(items_frame(1, 2, "c"))) is None


def test_a_callee_may_half_close_and_answer_later():
    made = side()
    stream = made.answer(kind=3)
    push(stream, 1)
    made.connection.half_close(stream)
    assert [seen.kind for seen in made.frames()] == ["ITEMS", "END"]
    assert not stream.over
    made.connection.fail(stream, Status(5, "not_found", "gone"))
    assert [seen.kind for seen in made.frames()] == ["STATUS"]
    assert stream.over


def test_the_counts_of_a_connection_are_changed_by_commands_only():
    connection = side().connection
    for name in ("peer", "failed", "peer_draining"):
        with pytest.raises(AttributeError):
            setattr(connection, name, 1)


def test_a_connection_whose_link_is_lost_reads_and_writes_nothing_more():
    made = side("client")
    made.call()
    made.connection.link_lost()
    assert made.connection.failed
    assert made.feed(frame(FrameType.PING, Ping(7))) == []
    assert made.connection.handle_timeout(1e9) == []
    with pytest.raises(Unavailable):
        made.call()


def test_a_lost_connection_forgets_thousands_of_streams_in_parts():
    """16,000 open calls held up all other connections for 30 ms."""
    made = side("client")
    for _ in range(2 * FORGOTTEN_AT_ONCE + 1):
        made.call()
    counts = [len(made.connection.streams.all())]
    while not made.connection.link_lost():
        counts.append(len(made.connection.streams.all()))
    assert counts == [2 * FORGOTTEN_AT_ONCE + 1, FORGOTTEN_AT_ONCE + 1, 1]
    assert not made.connection.streams.all()
    assert made.connection.budget.held_bytes == 0
    assert made.connection.link_lost(), "a second time does nothing"


def test_a_side_that_refuses_streams_announces_nothing_and_answers_each_open():
    made = side()
    made.connection.refuse_streams()
    assert made.frames() == []
    assert made.feed(open_frame(1)) == []
    (refused,) = made.frames()
    assert (refused.kind, refused.body.code, refused.body.started) == ("STATUS", 14, False)


def test_the_result_of_a_unary_call_is_taken_at_once_and_not_charged():
    made = side("client")
    stream = made.call(0, window=Grant(1, 1000))
    made.feed(items_frame(stream.id, 0, "result", flags=LAST))
    assert values_of(made.connection.take_result(stream.receive).payload) == ["result"]
    assert made.connection.budget.held_bytes == 0
    assert made.frames() == []


def test_a_draining_peer_is_the_cause_of_a_refused_call():
    made = side("client")
    made.feed(frame(FrameType.GOAWAY, GoAway(0)))
    with pytest.raises(Unavailable) as caught:
        made.call()
    assert caught.value.cause is Cause.DRAINING
