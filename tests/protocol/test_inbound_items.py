"""The effect of `ITEMS` of the peer: batches, fragments, and the rule that a wrong one breaks (PROTOCOL.md §4)."""

from __future__ import annotations

import pytest

from penstock.protocol import events
from penstock.protocol._budget import BATCH_COST_BYTES
from penstock.protocol._frames import LAST, MORE, Credit, FrameType
from tests.protocol.kit import array, frame, items_frame, rule_of, side, values_of


def test_items_wait_for_their_consumer_and_are_counted():
    made = side()
    stream = made.answer(1, 3)
    made.feed(items_frame(1, 0, 1, 2), items_frame(1, 2, 3))
    assert [values_of(batch.payload) for batch in stream.receive.queue] == [[1, 2], [3]]
    assert stream.receive.held_bytes == len(array(1, 2)) + len(array(3)) + 2 * BATCH_COST_BYTES
    assert made.connection.budget.held_bytes == stream.receive.held_bytes + stream.held_bytes


def test_items_with_last_end_the_direction():
    made = side()
    stream = made.answer(1, 3)
    arrived, ended = made.feed(items_frame(1, 0, 1, flags=LAST))
    assert (type(arrived), type(ended), ended.status) == (events.ItemsArrived, events.Ended, None)
    assert (stream.receiving, stream.receive.final) == ("ended", 1)
    assert stream.id in made.connection.streams.begun  # our own direction goes on


def test_a_batch_that_is_sent_again_is_ignored_with_its_flags_and_in_any_state():
    """Rule 4.3."""
    made = side()
    stream = made.answer(1, 3)
    made.feed(items_frame(1, 0, 1, 2), items_frame(1, 0, 1, 2, flags=LAST), items_frame(1, 1, 2, flags=LAST))
    assert (stream.receiving, stream.receive.arrived) == ("open", 2)
    made.feed(items_frame(1, 2, 3, flags=LAST), items_frame(1, 2, 3, flags=LAST), items_frame(1, 0, 1))
    assert (stream.receiving, stream.receive.arrived, made.connection.failed) == ("ended", 3, False)


def test_items_with_last_from_the_callee_end_the_stream():
    made = side("client")
    stream = made.call(0)
    made.feed(items_frame(1, 0, "result", flags=LAST))
    assert stream.over
    assert len(made.connection.streams) == 0


@pytest.mark.parametrize("body", [b"", b"\0" * 11])
def test_items_shorter_than_their_prefix_break_rule_4_1(body):
    made = side()
    made.answer(1, 3)
    assert rule_of(made.feed(frame(FrameType.ITEMS, body, stream=1))) == "4.1"


@pytest.mark.parametrize("payload", [b"", b"\xdd", array(1), array(1, 2, 3), b"\x92\x01\x02", b"\xdc\0\2\1\2", b"[1,2]"])
def test_a_batch_is_an_array_of_as_many_items_as_its_prefix_says_or_breaks_rule_4_9(payload):
    made = side()
    made.answer(1, 3)
    assert rule_of(made.feed(items_frame(1, 0, payload=payload, count=2))) == "4.9"


def test_a_batch_in_json_is_not_looked_into():
    made = side()
    stream = made.answer(1, 3, codec=1)
    assert rule_of(made.feed(items_frame(1, 0, payload=b"[1,2]", count=2))) is None
    assert stream.receive.arrived == 2


def test_fragments_of_a_message_may_have_frames_of_other_streams_between_them():
    made = side()
    one, two = made.answer(1, 3), made.answer(3, 3)
    whole = array("a longer item")
    made.feed(
        items_frame(1, 0, payload=whole[:5], count=1, flags=MORE),
        items_frame(3, 0, "between"),
        frame(FrameType.CREDIT, Credit(20, 2000, 0), stream=1),
        items_frame(1, 0, payload=whole[5:], count=1),
    )
    assert [values_of(batch.payload) for batch in one.receive.queue] == [["a longer item"]]
    assert two.receive.arrived == 1


@pytest.mark.parametrize(
    "second",
    [
        items_frame(1, 0, payload=b"xx", count=2),
        items_frame(1, 1, payload=b"xx", count=1),
        items_frame(1, 0, payload=b"xx", count=1, flags=LAST),
        items_frame(1, 0, payload=b"", count=1),
    ],
    ids=["count", "offset", "flags", "empty"],
)
def test_a_fragment_that_does_not_belong_breaks_rule_4_5(second):
    made = side()
    made.answer(1, 3)
    made.feed(items_frame(1, 0, payload=array("abc")[:4], count=1, flags=MORE))
    assert rule_of(made.feed(second)) == "4.5"


WHOLE = b"\xdd\0\0\0\1\xc6" + (20_000).to_bytes(4, "big") + bytes(20_000)


def test_a_large_bytes_item_arrives_as_one():
    made = side()
    stream = made.answer(1, 3)
    assert rule_of(made.feed(items_frame(1, 0, payload=WHOLE, count=1))) is None
    assert (stream.receive.arrived, stream.receive.arrived_bytes) == (1, len(WHOLE))
    assert stream.receive.held_bytes == len(WHOLE) + BATCH_COST_BYTES


@pytest.mark.parametrize("offset", [0, 1, 77])
def test_a_whole_item_does_not_pass_an_unfinished_message(offset):
    made = side()
    stream = made.answer(1, 3)
    made.feed(items_frame(1, 0, payload=array("abc")[:4], count=1, flags=MORE))
    seen = made.feed(items_frame(1, offset, payload=WHOLE, count=1))
    assert rule_of(seen) in ({"4.9"} if offset == 0 else {"4.5"})
    assert stream.receive.queue == []


def test_the_last_fragment_may_look_like_a_whole_item():
    made = side()
    stream = made.answer(1, 3)
    whole = array(b"x" * 100 + WHOLE)
    cut_at = len(whole) - len(WHOLE)
    made.feed(items_frame(1, 0, payload=whole[:cut_at], count=1, flags=MORE))
    made.feed(items_frame(1, 0, payload=whole[cut_at:], count=1))
    assert [values_of(batch.payload) for batch in stream.receive.queue] == [[b"x" * 100 + WHOLE]]


def test_a_whole_item_over_the_limit_breaks_rule_4_6():
    made = side(max_item_bytes=1024)
    made.answer(1, 3)
    size = 1024 + 64 * 1024
    large = b"\xdd\0\0\0\1\xc6" + size.to_bytes(4, "big") + bytes(size)
    assert rule_of(made.feed(items_frame(1, 0, payload=large, count=1))) == "4.6"
