"""The frames that wait to be written, and their order (PROTOCOL.md §4.7, §10)."""

from __future__ import annotations

from penstock.protocol import Grant, ReceiveHalf, WireStream
from penstock.protocol._frames import FrameType, GoAway, Ping
from penstock.protocol._outbox import MAX_CONTROL_FRAMES, Outbox
from tests.protocol.kit import ALL, ample, opening, read_frames


class Driven:
    """An outbox with a table of its own."""

    def __init__(self) -> None:
        self.outbox = Outbox(ample())
        self.next_id = 1
        self.finished: list[WireStream] = []

    def stream(self, **changes) -> WireStream:
        made = WireStream(opening(**changes), callee=False)
        made.open()
        self.outbox.ready(made)
        return made

    def begin(self, stream: WireStream) -> None:
        stream.id = self.next_id
        self.next_id += 2

    def write(self, budget_bytes: int = ALL, max_frame_bytes: int = ALL):
        self.outbox.put_credits(0.0, 0.0)
        out = self.outbox.take_control()
        self.outbox.take_frames(out, budget_bytes, max_frame_bytes, self.begin, self.finished.append)
        return read_frames(b"".join(out))


def test_control_frames_go_first_and_streams_in_turn():
    driven = Driven()
    driven.stream(target="S/one")
    driven.stream(target="S/two")
    driven.outbox.put_control(FrameType.PING, Ping(1))
    assert [(seen.kind, seen.stream) for seen in driven.write()] == [("PING", 0), ("OPEN", 1), ("OPEN", 3)]
    assert not driven.outbox.has_data()


def test_an_urgent_stream_passes_those_that_were_there_before():
    driven = Driven()
    driven.stream(target="S/bulk", priority=2)
    driven.stream(target="S/normal", priority=1)
    driven.stream(target="S/interactive", priority=0)
    assert [seen.body.target for seen in driven.write()] == ["S/interactive", "S/normal", "S/bulk"]


def test_the_budget_is_passed_by_less_than_a_frame():
    driven = Driven()
    for _ in range(20):
        driven.stream(argument=bytes(1000))
    sizes = [sum(14 + 1000 for _ in driven.write(3000)) for _ in range(3)]
    assert all(3000 <= size < 3000 + 1100 for size in sizes)
    assert driven.outbox.has_data()


def test_a_stream_made_ready_twice_has_one_turn():
    driven = Driven()
    stream = driven.stream()
    driven.outbox.ready(stream)
    assert len(driven.write()) == 1


def test_a_stream_with_nothing_to_say_costs_nothing():
    driven = Driven()
    stream = driven.stream()
    stream.stop_sending()
    assert driven.write() == []
    assert not stream.ready
    assert stream.id == 0


def test_credit_is_sent_once_for_each_write_however_often_it_is_owed():
    driven = Driven()
    stream = driven.stream()
    driven.write()
    stream.receive = ReceiveHalf(Grant(4, 1000))
    for _ in range(3):
        stream.receive.grant.consume(1, 10)
        driven.outbox.owe_credit(stream)
    (seen,) = driven.write()
    assert (seen.kind, seen.body.items, seen.body.consumed) == ("CREDIT", 7, 3)
    assert driven.write() == []


def test_no_credit_is_sent_for_a_direction_that_ended():
    driven = Driven()
    stream = driven.stream()
    driven.write()
    stream.receive = ReceiveHalf(Grant(4, 1000))
    driven.outbox.owe_credit(stream)
    stream.receive.finish(0)
    assert driven.write() == []


def test_a_stream_that_is_over_is_forgotten():
    driven = Driven()
    stream = driven.stream()
    stream.receive = ReceiveHalf(Grant(4, 1000))
    driven.outbox.owe_credit(stream)
    driven.outbox.forget(stream)
    assert not driven.outbox.has_data()


def test_answers_that_are_not_read_pile_up_to_a_limit():
    outbox = Outbox(ample())
    for number in range(MAX_CONTROL_FRAMES):
        outbox.put_control(FrameType.PONG, Ping(number))
    assert not outbox.overflowing
    outbox.put_control(FrameType.PONG, Ping(0))
    assert outbox.overflowing
    assert len(outbox.take_control()) == MAX_CONTROL_FRAMES


def test_the_goodbye_is_the_last_frame_even_when_too_much_waits():
    outbox = Outbox(ample())
    for number in range(MAX_CONTROL_FRAMES + 5):
        outbox.put_control(FrameType.PONG, Ping(number))
    outbox.put_goodbye(GoAway(0, 13, "enough"))
    assert read_frames(b"".join(outbox.take_control()))[-1].kind == "GOAWAY"


def test_nothing_is_written_behind_the_goodbye():
    """FAULTS H1: calls that arrived together with a violation were accepted behind the last frame (rule 8.4)."""
    outbox = Outbox(ample())
    outbox.put_goodbye(GoAway(0, 13, "enough"))
    outbox.put_control(FrameType.PING, Ping(1))
    assert outbox.has_data()
    assert [frame.kind for frame in read_frames(b"".join(outbox.take_control()))] == ["PING", "GOAWAY"]
    assert not outbox.has_data()
