"""What a connection counts as held for its peer, and where it stops (PROTOCOL.md §5.8, §10.3)."""

from __future__ import annotations

import pytest

from penstock.errors import ResourceExhausted
from penstock.protocol import Accept, Cancel, Grant, events, grant_wished
from penstock.protocol._frames import COMPRESSED, MORE, FrameType
from tests.protocol.bad_inputs import deflated
from tests.protocol.kit import array, frame, items_frame, open_frame, push, side

MIB = 1024 * 1024


def granted(made, stream_id, **wishes):
    (opened,) = made.feed(open_frame(stream_id, 3, **wishes))
    grant = grant_wished(made.connection.settings, None, opened.stream.opened)
    made.connection.accept(opened.stream, grant)
    return opened.stream, grant


def cancel(made, stream_id):
    made.feed(frame(FrameType.CANCEL, Cancel(), stream=stream_id))


def test_wishes_are_granted_out_of_one_sum():
    """FAULTS H3: twenty windows of 64 MiB were granted, and filled by bombs of 16 KB."""
    made = side()
    grants = [granted(made, number, wish_bytes=64 * MIB)[1].bytes for number in range(1, 41, 2)]
    assert grants[:4] == [64 * MIB] * 4
    assert sum(grants) <= 256 * MIB + 20 * 256 * 1024
    assert set(grants[5:]) == {256 * 1024}
    cancel(made, 1)
    assert granted(made, 101, wish_bytes=16 * MIB)[1].bytes == 16 * MIB


def test_a_window_in_items_alone_counts_as_the_bytes_it_lets_through():
    made = side()
    grants = [granted(made, number, wish_items=8)[1] for number in range(1, 21, 2)]
    assert {grant.items for grant in grants} == {8}
    assert sum(grant.bytes for grant in grants) <= 256 * MIB + 10 * 256 * 1024


def test_metadata_count_with_their_objects():
    """FAULTS H3: 64 KB of metadata in 8,000 entries are 1.2 MB of objects."""
    made = side(max_buffered_bytes=10 * MIB)
    metadata = {f"{number:x}": "" for number in range(8000)}
    taken = [opened for number in range(1, 201, 2) for opened in made.feed(open_frame(number, 2, metadata=metadata))]
    assert len(taken) <= 10
    for number in range(1, 201, 2):
        cancel(made, number)
    assert made.connection.held_bytes == 0


def test_an_answer_over_the_budget_is_refused_and_the_argument_makes_room_for_it():
    """FAULTS H3: sixty answers of 16 MiB waited for a peer that reads nothing."""
    made = side(max_buffered_bytes=100_000)
    taken = [made.feed(open_frame(number, 0, argument=bytes(40_000), credit_bytes=10**9))[0].stream for number in (1, 3)]
    assert made.connection.answer(taken[0], bytes(50_000))
    assert 90_000 <= made.connection.held_bytes < 91_000
    with pytest.raises(ResourceExhausted, match="max_buffered_bytes"):
        made.connection.answer(taken[1], bytes(60_000))
    made.write()
    assert made.connection.held_bytes < 1000


def test_an_answer_without_credit_counts_while_it_waits():
    """FAULTS H3: with credit 0 nothing was counted."""
    made = side(max_buffered_bytes=100_000)
    stream = made.feed(open_frame(1, 0, credit_items=0))[0].stream
    assert not made.connection.answer(stream, bytes(60_000))
    made.connection.hold(stream, 60_000, answer=True)
    with pytest.raises(ResourceExhausted):
        made.connection.hold(stream, 60_000, answer=True)
    cancel(made, 1)
    assert made.connection.held_bytes == 0


def argument(values: int) -> bytes:
    return b"\xdd" + values.to_bytes(4, "big") + b"\x90" * values


def test_an_argument_of_too_many_values_is_refused():
    """FAULTS H5: 16 MB of empty lists became 1.1 GiB."""
    made = side(max_item_values=1000)
    assert made.feed(open_frame(1, 0, argument=argument(999)))
    assert made.feed(open_frame(3, 0, argument=argument(1000))) == []
    assert made.feed(open_frame(5, 0, codec=1, argument=b"[" + b"1," * 1000 + b"1]")) == []
    assert [(seen.kind, seen.stream, seen.body.code, seen.body.started) for seen in made.frames()] == [
        ("STATUS", 3, 8, False),
        ("STATUS", 5, 8, False),
    ]
    assert not made.connection.failed


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_batch_of_too_many_values_ends_its_stream_and_no_other(role):
    """FAULTS H5, of items and of results."""
    made = side(role, max_item_values=1000)
    if role == "server":
        stream, other = made.answer(1, 3), made.answer(3, 3)
    else:
        stream, other = made.call(2), made.call(2)
        made.feed(*(frame(FrameType.ACCEPT, Accept(0, 0, 0, 0), stream=number) for number in (1, 3)))
    (ended,) = made.feed(items_frame(1, 0, payload=b"\xdd\0\0\0\1" + argument(1000), count=1))
    assert type(ended) is (events.CallCancelled if role == "server" else events.Ended)
    assert stream.over
    assert not other.over
    (told,) = made.frames()
    assert (told.kind, told.body.code) == ("STATUS" if role == "server" else "CANCEL", 8)
    assert made.feed(items_frame(1, 1, 1)) == []  # it was on its way


def test_a_batch_of_several_items_may_have_as_many_values_as_were_in_it_before_the_last():
    """The sender closes a batch at 64 KiB (rule 4.4), and does not know how many values its receiver takes."""
    made = side(max_item_values=1000)
    made.answer(1, 3, window=Grant(10, MIB))
    assert made.feed(items_frame(1, 0, payload=b"\xdd\0\0\0\2" + argument(30_000) + argument(999), count=2))
    (ended,) = made.feed(items_frame(1, 2, payload=b"\xdd\0\0\0\2" + argument(66_000) + argument(999), count=2))
    assert type(ended) is events.CallCancelled


def test_a_frame_that_may_end_a_large_message_counts_as_eight():
    """Eight frames of 2 KB, each a message of 16 MiB, were handled before the clock was looked at."""
    made = side()
    for number in range(1, 17, 2):
        made.answer(number, 3)
    packed = [items_frame(number, 0, payload=deflated(array("a")), count=1, flags=COMPRESSED) for number in range(1, 17, 2)]
    whole = array("abcdef")
    cut = [
        items_frame(1, 1, payload=whole[:7], count=1, flags=MORE) + items_frame(1, 1, payload=whole[7:], count=1),
        items_frame(3, 1, payload=whole[:7], count=1, flags=MORE) + items_frame(3, 1, payload=whole[7:], count=1),
    ]
    data = b"".join([*packed, *cut, items_frame(5, 1, 1), items_frame(7, 1, 1)])
    made.connection.get_buffer()[: len(data)] = data
    looks = [made.connection.buffer_updated(len(data), 0.0, 8)]
    while made.connection.unread:
        looks.append(made.connection.buffer_updated(0, 0.0, 8))
    assert [len(look) for look in looks] == [1] * 8 + [1, 1, 2]


def test_items_that_were_promised_go_on_up_to_twice_the_budget():
    """FAULTS H3: one item of any size passes each window, on as many streams as there are."""
    made = side(max_buffered_bytes=100_000)
    streams = [made.answer(number, 3) for number in range(1, 63, 2)]
    seen = [event for number in range(1, 61, 2) for event in made.feed(items_frame(number, 0, bytes(20_000)))]
    assert made.connection.buffered_bytes <= 2 * 100_000 + 20_100
    assert [type(event) for event in seen].count(events.CallCancelled) == 30 - 10
    assert not made.connection.failed
    made.connection.discard(streams[0])
    assert [type(event) for event in made.feed(items_frame(61, 0, 1))] == [events.ItemsArrived]


def test_all_streams_together_hold_a_bounded_number_of_bytes_unsent():
    """FAULTS H3: 300 unread streams held 304 MiB, and more streams hold more."""
    made = side(max_buffered_bytes=1_000_000)
    streams = [made.answer(number, 2, credit_items=10**6, credit_bytes=10**9) for number in range(1, 201, 2)]

    def fill() -> int:
        pushed = 0
        for stream in streams:
            while stream.send.has_room():
                push(stream, bytes(20_000))
                made.connection.ready(stream)
                pushed += 20_000
        return pushed

    assert fill() <= 1_000_000 + 100 * 64 * 1024 + 100_000  # and one open batch for each stream
    assert streams[-1].send.is_stuffed()
    written = len(made.write(500_000))
    assert streams[0].send.has_room()
    assert written <= fill() + 600_000
    made.connection.link_lost()
    for stream in streams:
        stream.stop_sending()
    assert made.connection._state.unsent_budget.bytes == 0
