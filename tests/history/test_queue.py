"""What waits is bounded; what is refused is counted and told; offsets have no gaps."""

from __future__ import annotations

import json
from math import inf

import msgspec
import pytest

from penstock.history import _queue
from penstock.history._queue import BLOCK_BYTES, BLOCK_EVENTS, OVERSHOOT, QUEUE_BYTES, EventQueue


class Told(list):
    def __call__(self, closed):
        self.append(closed)


def queue(size=10, on_full="wait"):
    made = EventQueue(size=size, on_full=on_full, on_waiting=Told())
    made.begin(0)
    return made


def put(q, count, size=0):
    for n in range(count):
        q.record("a", "message", {"n": n, "pad": "x" * size})


def drain(q):
    lines = []
    while (block := q.next_block()) is not None:
        lines += block.lines
        q.block_written()
    return [json.loads(line) for line in lines]


def is_full(q):
    return q.next >= q.full_at


def test_it_is_full_at_its_size_exactly():
    q = queue(10)
    put(q, 9)
    assert not is_full(q)
    put(q, 1)
    assert is_full(q)


def test_writing_makes_room():
    q = queue(10)
    put(q, 10)
    drain(q)
    assert not is_full(q)


def test_actors_in_the_middle_of_a_message_record_beyond_it_up_to_a_bound():
    q = queue(10)
    put(q, 100)
    assert q.next == 10 * OVERSHOOT
    assert q.unrecorded == 80


def test_what_was_refused_is_told_in_the_chain_as_soon_as_there_is_room():
    q = queue(10)
    put(q, 25)
    events = drain(q)
    assert [event[0] for event in events] == list(range(21))
    assert events[-1][2:4] == ["", "unrecorded"]
    assert events[-1][4]["events"] == 5
    assert "queue was full" in events[-1][4]["reason"]
    assert q.unrecorded == 0


def test_a_queue_that_drops_never_says_it_is_full_and_keeps_its_size():
    q = queue(10, "drop")
    put(q, 100)
    assert q.full_at == inf
    assert q.next == 10
    assert drain(q)[-1][4]["events"] == 90


def test_nobody_waits_while_it_cannot_be_written():
    q = queue(10)
    put(q, 10)
    q.problem = "the disk is full"
    q.update_bounds()
    assert not is_full(q)
    put(q, 5)
    assert (q.next, q.unrecorded) == (10, 5)
    q.problem = None
    assert "disk is full" in drain(q)[-1][4]["reason"]


def test_a_block_is_closed_when_it_has_its_events():
    q = queue(100_000)
    put(q, BLOCK_EVENTS)
    assert not q.has_block
    put(q, 1)
    assert q.has_block
    assert len(q.next_block().lines) == BLOCK_EVENTS


def test_a_block_is_closed_when_it_has_its_bytes():
    q = queue(100_000)
    put(q, 12, 100_000)
    assert q.has_block
    assert sum(map(len, q.next_block().lines)) < BLOCK_BYTES * 1.2


def test_large_events_fill_the_queue_by_their_bytes():
    q = queue(100_000)
    sent = 0
    while not is_full(q):
        put(q, 1, 200_000)
        sent += 1
    assert QUEUE_BYTES * 0.8 < sent * 200_000 <= QUEUE_BYTES * 1.1
    put(q, 10_000, 200_000)
    assert q.next * 200_000 <= QUEUE_BYTES * OVERSHOOT * 1.1
    drain(q)
    assert not is_full(q)


def test_it_tells_that_something_waits_once_and_each_closed_block():
    q = queue(100_000)
    put(q, BLOCK_EVENTS * 2 + 1)
    assert q._on_waiting.count(True) == 2
    assert q._on_waiting.count(False) == 1


def test_a_block_names_its_actors_and_no_others():
    q = queue()
    q.record("a", "log", {})
    q.record("b", "log", {})
    assert q.next_block().actors == {"a", "b"}
    q.record("c", "log", {})
    q.block_written()
    assert q.next_block().actors == {"c"}


def test_a_value_whose_encoding_records_something_does_not_disturb_the_offsets():
    class Chatty:
        model_validate_json = model_json_schema = None

        def model_dump(self, **_how):
            q.record("a", "log", {"text": "dumped"})
            return {"x": 1}

    q = queue()
    q.record("a", "reply", {"result": Chatty()})
    q.record("a", "log", {})
    events = drain(q)
    assert [event[0] for event in events] == [0, 1, 2]
    assert events[1][4] == {"result": {"x": 1}}


def test_time_never_goes_back(monkeypatch):
    q = queue()
    for now in (5.0, 3.0, 6.0):
        monkeypatch.setattr(_queue, "time", lambda now=now: now)
        q.record("a", "log", {})
    assert [event[1] for event in drain(q)] == [5.0, 5.0, 6.0]


@pytest.mark.parametrize("prepare", [lambda q: None, lambda q: (q.begin(0), q.end())])
def test_before_its_begin_and_after_its_end_events_are_counted(prepare):
    q = EventQueue(size=10, on_full="wait", on_waiting=Told())
    prepare(q)
    put(q, 3)
    assert (q.next, q.unrecorded) == (0, 3)
    assert not is_full(q)


@pytest.mark.parametrize("raw", [b"\x81\xa1a\x01", b"1\n2"], ids=["no JSON", "two lines"])
def test_each_line_of_a_block_can_be_read_whatever_its_event_holds(raw):
    q = queue()
    put(q, 1)
    q.record("b", "message", {"args": [msgspec.Raw(raw)]})
    put(q, 1)
    assert [(offset, kind) for offset, _time, _actor, kind, _data in drain(q)] == [
        (0, "message"),
        (1, "message"),
        (2, "message"),
    ]
