"""The effect of each frame of the peer: its events, and the rule that a wrong one breaks (PROTOCOL.md §2 to §6)."""

from __future__ import annotations

import pytest
from msgspec import Raw

from penstock.protocol import Cancel, Grant, Status, events
from penstock.protocol._frames import LAST, MORE, Accept, Credit, End, FrameType, GoAway, Ping, Resumed
from tests.protocol.kit import encode, frame, hello, items_frame, open_frame, push, rule_of, side

CREDIT, END, STATUS, CANCEL, ACCEPT = (
    FrameType.CREDIT,
    FrameType.END,
    FrameType.STATUS,
    FrameType.CANCEL,
    FrameType.ACCEPT,
)


def test_nothing_comes_before_hello():
    for first in (frame(FrameType.PING, Ping(1)), open_frame(), items_frame(1, 0, 1), frame(FrameType.GOAWAY, GoAway(0))):
        assert rule_of(side(greeted=False).feed(first)) == "2.1"


def test_hello_comes_once():
    assert rule_of(side().feed(hello())) == "2.3"


def test_open_begins_a_stream_with_its_credit():
    made = side()
    (opened,) = made.feed(open_frame(1, 2, argument=b"x", credit_items=3, credit_bytes=9))
    stream = opened.stream
    assert (stream.id, stream.callee, stream.opened.argument) == (1, True, b"x")
    assert (stream.send.limit.items, stream.send.limit.bytes) == (3, 9)
    assert (stream.sending, stream.receiving) == ("idle", "ended")


def test_open_in_fragments_is_one_stream():
    made = side()
    whole = open_frame(1, 1, argument=bytes(50))[14:]
    assert made.feed(frame(FrameType.OPEN, whole[:20], flags=MORE, stream=1)) == []
    (opened,) = made.feed(frame(FrameType.OPEN, whole[20:], stream=1))
    assert opened.stream.opened.argument == bytes(50)


@pytest.mark.parametrize(("kind", "flags"), [(0, 0), (2, 0), (1, LAST), (3, LAST)])
def test_last_on_open_fits_its_kind_or_breaks_rule_3_6(kind, flags):
    assert rule_of(side().feed(open_frame(1, kind, flags=flags))) == "3.6"


def test_a_stream_that_is_not_taken_is_answered_and_its_frames_are_ignored():
    made = side(max_streams=1)
    made.feed(open_frame(1), open_frame(3))
    (refused,) = made.frames()
    assert (refused.kind, refused.stream, refused.body.code, refused.body.started) == ("STATUS", 3, 8, False)
    assert made.feed(frame(CREDIT, Credit(99, 99, 0), stream=3), frame(CANCEL, Cancel(), stream=3)) == []
    assert len(made.connection.streams) == 1


def test_while_draining_no_stream_is_taken_and_old_ones_go_on():
    made = side()
    made.answer(1, 3)
    made.connection.drain("bye")
    made.feed(open_frame(3))
    away, refused = made.frames()
    assert (away.kind, away.body.last_stream_id) == ("GOAWAY", 1)
    assert (refused.stream, refused.body.code, refused.body.started) == (3, 14, False)
    (arrived,) = made.feed(items_frame(1, 0, "still here"))
    assert isinstance(arrived, events.ItemsArrived)


def test_accept_tells_the_caller_how_far_it_may_go():
    made = side("client")
    stream = made.call(3)
    assert not stream.send.has_room()
    (accepted,) = made.feed(frame(ACCEPT, Accept(0, 0, 5, 500), stream=1))
    assert isinstance(accepted, events.Accepted)
    assert (stream.send.limit.items, stream.send.limit.bytes) == (5, 500)
    assert rule_of(made.feed(frame(ACCEPT, Accept(0, 0, 5, 500), stream=1))) == "3.4"


def test_an_end_mentions_all_items_or_breaks_rule_6_2():
    for said, rule in ((2, None), (1, "6.2"), (3, "6.2")):
        made = side()
        made.answer(1, 3)
        made.feed(items_frame(1, 0, 1, 2))
        assert rule_of(made.feed(frame(END, End(said), stream=1))) == rule
        made = side("client")
        made.call(2)
        made.feed(frame(ACCEPT, Accept(0, 0, 0, 0), stream=1), items_frame(1, 0, 1, 2))
        assert rule_of(made.feed(frame(STATUS, Status(0, count=said), stream=1))) == rule


def test_an_end_before_accept_is_an_end_after_no_item():
    made = side()
    opened, ended = made.feed(open_frame(1, 3), frame(END, End(0), stream=1))
    made.connection.accept(opened.stream, Grant(4, 100))
    assert (type(ended), opened.stream.receive.final) == (events.Ended, 0)
    assert rule_of(side().feed(open_frame(1, 3), frame(END, End(1), stream=1))) == "6.2"


def test_an_error_ends_the_stream_with_any_count():
    made = side("client")
    stream = made.call(2)
    status = Status(5, "not_found", "no such", Raw(encode({"a": [1]})), False, 77)
    (ended,) = made.feed(frame(STATUS, status, stream=1))
    assert ended.status == status
    assert stream.over


def test_credit_makes_room():
    made = side("client")
    stream = made.call(3)
    made.feed(frame(ACCEPT, Accept(0, 0, 2, 500), stream=1))
    push(stream, 1)
    made.connection.ready(stream)
    made.write()
    (room,) = made.feed(frame(CREDIT, Credit(3, 500, 1), stream=1))
    assert (type(room), room.stream) == (events.RoomMade, stream)
    assert made.feed(frame(CREDIT, Credit(3, 400, 0), stream=1)) == []  # old news
    assert rule_of(made.feed(frame(CREDIT, Credit(9, 900, 2), stream=1))) == "5.4"


def test_credit_for_a_direction_that_does_not_exist_changes_nothing():
    made = side("client")
    made.call(2)
    assert made.feed(frame(ACCEPT, Accept(0, 0, 0, 0), stream=1), frame(CREDIT, Credit(9, 9, 0), stream=1))[1:] == []


def test_a_caller_that_cancels_ends_the_stream_at_once():
    made = side()
    stream = made.answer(1, 3)
    push(stream, 1, 2)
    made.connection.ready(stream)
    (cancelled,) = made.feed(frame(CANCEL, Cancel(4, "deadline_exceeded", "late"), stream=1))
    assert cancelled == events.CallCancelled(stream, Cancel(4, "deadline_exceeded", "late"))
    assert stream.over
    assert not stream.has_frames()
    assert made.frames() == []


def test_a_callee_that_cancels_wants_no_more_items_and_still_answers():
    made = side("client")
    stream = made.call(3)
    made.feed(frame(ACCEPT, Accept(0, 0, 5, 500), stream=1))
    push(stream, 1, 2)
    (stop,) = made.feed(frame(CANCEL, Cancel(message="enough"), stream=1))
    assert stop == events.StopSending(stream, Cancel(message="enough"))
    assert made.frames() == []
    assert (stream.sending, stream.over) == ("ended", False)
    assert made.feed(items_frame(1, 0, "answer", flags=LAST))


def test_a_call_cancelled_before_its_argument_is_complete_leaves_nothing():
    made = side(max_connection_bytes=1000, max_item_bytes=1024)
    for stream_id in range(1, 101, 2):
        half = frame(FrameType.OPEN, bytes(100), flags=MORE | LAST, stream=stream_id)
        assert made.feed(half, frame(CANCEL, Cancel(), stream=stream_id)) == []


@pytest.mark.parametrize("kind", [CREDIT, END, STATUS, CANCEL, ACCEPT, FrameType.ITEMS], ids=lambda kind: kind.name)
@pytest.mark.parametrize("role", ["client", "server"])
def test_frames_of_streams_that_are_over_are_ignored_and_of_others_break_rule_3_3(kind, role):
    bodies = {CREDIT: Credit(1, 1, 0), END: End(0), STATUS: Status(0), CANCEL: Cancel(), ACCEPT: Accept(0, 0, 1, 1)}
    late = items_frame(1, 0, 1) if kind == FrameType.ITEMS else frame(kind, bodies[kind], stream=1)
    made = side(role)
    if role == "client":
        made.connection.cancel(made.call(3), Cancel())
    else:
        made.answer(1, 3)
        made.feed(frame(CANCEL, Cancel(), stream=1))
    made.write()
    assert made.feed(late) == []
    assert made.frames() == []
    for never in (2, 3):
        assert rule_of(side(role).feed(late[:13] + bytes((never,)) + late[14:])) == "3.3"


@pytest.mark.parametrize(
    ("kind", "body"),
    [(ACCEPT, Accept(0, 0, 1, 1)), (STATUS, Status(0)), (FrameType.ITEMS, None)],
    ids=["ACCEPT", "STATUS", "ITEMS"],
)
def test_a_caller_may_not_send_the_frames_of_a_callee(kind, body):
    made = side()
    made.answer(1, 2)
    data = items_frame(1, 0, 1) if body is None else frame(kind, body, stream=1)
    assert rule_of(made.feed(data)) == "3.4"


@pytest.mark.parametrize(
    "data", [items_frame(1, 0, 1), frame(CREDIT, Credit(1, 1, 0), stream=1), frame(CANCEL, Cancel(), stream=1)]
)
def test_before_accept_a_callee_only_answers(data):
    made = side("client")
    made.call(3)
    assert rule_of(made.feed(data)) == "3.4"


def test_a_body_over_the_header_limit_breaks_rule_10_2():
    made = side(max_header_bytes=1024)
    made.answer(1, 2)
    body = b"\x93\x01\xa0\xda\x04\x00" + b"x" * 1024
    assert rule_of(made.feed(frame(CANCEL, body, stream=1))) == "10.2"


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", b"\x90\x90", b"\x93\x0d\xa1", b"\x92\x0d\xa1\xff", b"\x91\xa1x"])
def test_a_body_that_cannot_be_read_breaks_rule_1_7(body):
    made = side("client")
    made.call(2)
    assert rule_of(made.feed(frame(STATUS, body, stream=1))) == "1.7"


def test_ping_is_answered_with_its_number():
    made = side()
    assert made.feed(frame(FrameType.PING, Ping(77))) == []
    assert [(seen.kind, seen.body.number) for seen in made.frames()] == [("PONG", 77)]


def test_goodbye_with_a_code_is_the_end_and_nothing_after_it_is_read():
    made = side()
    (failed,) = made.feed(frame(FrameType.GOAWAY, GoAway(0, 13, "rule 4.3")), frame(FrameType.PING, Ping(1)), open_frame())
    assert (failed.error, "rule 4.3" in failed.message) == (None, True)
    assert made.feed(open_frame()) == []
    assert made.frames() == []


def test_goodbye_without_a_code_is_a_drain():
    made = side("client")
    (draining,) = made.feed(frame(FrameType.GOAWAY, GoAway(5, 0, "soon")))
    assert draining == events.Draining(GoAway(5, 0, "soon"))


def test_a_hello_with_a_token_is_a_question_and_is_refused_with_code_9():
    made = side(greeted=False)
    (asked,) = made.feed(hello(token=b"token", received=5))
    assert isinstance(asked, events.ResumeAsked)
    assert (asked.hello.token, asked.hello.received) == (b"token", 5)
    made.connection.links.begin_new(9, "no session here", 0.0)
    answer = next(seen for seen in made.frames() if seen.kind == "RESUMED")
    assert answer.body == Resumed(9, 0, "no session here")
    assert side("client").feed(frame(FrameType.RESUMED, answer.body)) == []  # it has not asked


def test_nothing_of_a_session_comes_before_the_answer_to_a_hello_with_a_token():
    made = side(greeted=False)
    made.feed(hello(token=b"token"))
    assert rule_of(made.feed(open_frame())) == "9.3"


def test_frames_before_a_bad_frame_count():
    made = side()
    opened, failed = made.feed(open_frame(), b"\0\0\0\0\x63\0" + bytes(8), open_frame(3))
    assert isinstance(opened, events.Opened)
    assert failed.error.rule == "1.4"
    (away,) = made.frames()
    assert (away.kind, away.body.last_stream_id, away.body.code) == ("GOAWAY", 1, 13)
    assert "rule 1.4" in away.body.message


def test_a_callee_that_half_closes_still_reads_and_its_status_follows():
    made = side("client")
    call = made.call(3)
    accept = frame(FrameType.ACCEPT, Accept(0, 0, 10, 1000), stream=1)
    _, _, half_closed = made.feed(accept, items_frame(1, 0, "a"), frame(FrameType.END, End(1), stream=1))
    assert half_closed == events.HalfClosed(call)
    assert not call.over
    push(call, 1)
    made.connection.ready(call)
    assert [seen.kind for seen in made.frames()] == ["ITEMS"]
    (ended,) = made.feed(frame(FrameType.STATUS, Status(0, "", "done", count=1), stream=1))
    assert ended.status.message == "done"
    assert call.over


@pytest.mark.parametrize("half_closed", [False, True])
def test_a_caller_that_closes_ends_the_stream_after_its_items_and_nothing_answers(half_closed):
    made = side()
    stream = made.answer(kind=3)
    push(stream, "unsent")
    made.connection.ready(stream)
    made.feed(items_frame(1, 0, 1, 2))
    if half_closed:
        made.feed(frame(FrameType.END, End(2), stream=1))
    assert made.feed(frame(FrameType.END, End(2, "done"), stream=1)) == [events.Closed(stream, "done")]
    assert stream.over
    assert stream.receive.final == 2
    assert len(stream.receive.queue) == 1, "what arrived before can be consumed"
    assert made.frames() == []


def test_a_call_closed_before_it_was_accepted_is_over():
    made = side()
    (opened,) = made.feed(open_frame(1, 3))
    assert made.feed(frame(FrameType.END, End(0, ""), stream=1)) == [events.Closed(opened.stream, "")]


def test_accept_brings_a_payload():
    made = side("client")
    made.call(3)
    (accepted,) = made.feed(frame(FrameType.ACCEPT, Accept(0, 0, 1, 1, b"\x01"), stream=1))
    assert accepted.accept.payload == b"\x01"
    made.call(3)
    (accepted,) = made.feed(frame(FrameType.ACCEPT, encode([0, 0, 1, 1]), stream=3))
    assert accepted.accept.payload is None
