"""The sending half: batches, credit, fragments, and going back to the position of the receiver (PROTOCOL.md §4, §5, §9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import codec
from penstock.errors import ResourceExhausted
from penstock.protocol import BATCH_BYTES, Grant, Limit, ReceiveHalf, SendHalf
from penstock.protocol._budget import Unsent
from penstock.protocol._frames import COMPRESSED, LAST, MAX_NUMBER, MORE, Credit
from penstock.protocol._receive import Arrived, Reassembly
from penstock.protocol._send import JSON_LAYOUT, MSGPACK_LAYOUT, Layout, SendRules
from tests.protocol.kit import Seen, ample, array, encode_into, read_frames, values_of

SMALL_FRAME = 12 + 7  # seven bytes of payload in each fragment


def half(
    items: int = 100,
    bytes_: int = MAX_NUMBER,
    *,
    frame: int = 1 << 18,
    item: int = 1 << 24,
    unsent: int = 1 << 20,
    layout: Layout = MSGPACK_LAYOUT,
    compress=None,
) -> SendHalf:
    return SendHalf(Limit(items, bytes_), SendRules(layout, frame, item, Unsent(unsent, ample()), compress))


def drain(sender: SendHalf) -> list[Seen]:
    frames = []
    while frame := sender.next_frame(7):
        frames += read_frames(b"".join(frame))
    return frames


def push(sender: SendHalf, *values) -> list[bool]:
    return [sender.push(encode_into, value) for value in values]


def test_items_that_wait_leave_together():
    sender = half()
    push(sender, "a", 2, None)
    assert drain(sender) == [Seen("ITEMS", 0, 7, (0, 3, array("a", 2, None)))]
    push(sender, b"")
    assert drain(sender) == [Seen("ITEMS", 0, 7, (3, 1, array(b"")))]


def test_a_batch_takes_no_item_more_once_it_is_64_kib():
    sender = half()
    push(sender, *[bytes(1000)] * 200)
    frames = drain(sender)
    sizes = [len(seen.body[2]) for seen in frames]
    assert sum(seen.body[1] for seen in frames) == 200
    assert all(BATCH_BYTES <= size < BATCH_BYTES + 1010 for size in sizes[:-1])


@pytest.mark.parametrize("items", [1, 2, 5])
def test_item_credit_is_exact(items):
    sender = half(items)
    assert push(sender, *range(items)) == [True] * (items - 1) + [False]


def test_an_item_may_begin_while_byte_credit_is_left():
    sender = half(bytes_=10)
    assert sender.has_room()
    assert push(sender, b"x" * 5000) == [False]
    assert not sender.has_room()
    sender.limit.raise_to(Credit(100, 5008, 0), 0)
    assert not sender.has_room()  # 5,008 bytes are on their way
    sender.limit.raise_to(Credit(100, 5009, 0), 0)
    assert sender.has_room()


def test_unsent_bytes_are_bounded_at_any_credit():
    sender = half(MAX_NUMBER, unsent=1000)
    count = 0
    while sender.has_room():
        push(sender, bytes(90))
        count += 1
    assert count == 11
    drain(sender)
    assert sender.has_room()


def test_an_item_over_the_peers_limit_is_refused_and_leaves_no_trace():
    sender = half(item=100)
    push(sender, "a")
    for size in (99, 5000):
        with pytest.raises(ResourceExhausted, match="item 1 of this stream"):
            push(sender, b"x" * size)
    with pytest.raises(ResourceExhausted):
        sender.push_bytes(b"x" * 91)
    push(sender, "b")
    assert drain(sender) == [Seen("ITEMS", 0, 7, (0, 2, array("a", "b")))]


def test_an_item_that_cannot_be_encoded_leaves_no_trace():
    sender = half()
    for before in ((), ("a",)):
        push(sender, *before)
        with pytest.raises(TypeError):
            push(sender, [1, 2, {"deep": object()}])
    push(sender, "b")
    assert [seen.body for seen in drain(sender)] == [(0, 2, array("a", "b"))]
    assert sender.pushed_bytes == sender.sent_bytes == len(array("a", "b"))


def test_later_changes_to_an_item_have_no_effect():
    sender = half()
    item = [1]
    push(sender, item)
    item.append(2)
    assert values_of(drain(sender)[0].body[2]) == [[1]]


def test_large_bytes_are_a_batch_of_their_own_that_reads_the_same():
    sender = half()
    data = bytes(range(256)) * 100
    push(sender, 1)
    sender.push_bytes(data)
    push(sender, 2)
    frames = drain(sender)
    assert [seen.body[:2] for seen in frames] == [(0, 1), (1, 1), (2, 1)]
    assert [values_of(seen.body[2]) for seen in frames] == [[1], [data], [2]]
    assert sender.pushed_bytes == sum(len(seen.body[2]) for seen in frames)


def test_json_is_an_array_too():
    sender = half(layout=JSON_LAYOUT)
    for value in ("a", 2, None):
        sender.push(codec.JSON.encode_into, value)
    (seen,) = drain(sender)
    assert seen.body == (0, 3, b'["a",2,null]')
    assert sender.pushed_bytes == sender.sent_bytes == len(seen.body[2])


def test_the_last_frame_carries_last():
    sender = half()
    push(sender, 1)
    drain(sender)
    push(sender, 2)
    sender.push_bytes(b"x" * 20000)
    sender.end()
    assert [seen.flags for seen in drain(sender)] == [0, LAST]


def test_a_large_batch_leaves_in_fragments_and_all_but_the_last_say_more():
    sender = half(frame=SMALL_FRAME)
    push(sender, "abcdefghijkl")
    sender.end()
    whole = array("abcdefghijkl")
    frames = drain(sender)
    assert [seen.flag_names for seen in frames] == [["MORE", "LAST"], ["MORE", "LAST"], ["LAST"]]
    assert [seen.body for seen in frames] == [(0, 1, whole[:7]), (0, 1, whole[7:14]), (0, 1, whole[14:])]


@given(size=st.integers(1, 60), room=st.integers(1, 20))
def test_no_fragment_is_empty_or_over_the_limit(size, room):
    sender = half(frame=12 + room)
    push(sender, "x" * size)
    pieces = [seen.body[2] for seen in drain(sender)]
    assert all(0 < len(piece) <= room for piece in pieces)
    assert b"".join(pieces) == array("x" * size)


def test_a_compressed_batch_says_so_and_counts_as_it_was():
    sender = half(compress=lambda segments: [b"\x02", b"packed"])
    push(sender, "a" * 100)
    (seen,) = drain(sender)
    assert seen == Seen("ITEMS", COMPRESSED, 7, (0, 1, b"\x02packed"))
    assert sender.sent_bytes == len(array("a" * 100))


def test_a_discarded_half_has_no_frames():
    sender = half(frame=SMALL_FRAME)
    push(sender, "a long one", 2)
    assert sender.next_frame(7)
    push(sender, 3)
    sender.discard()
    assert not sender.next_frame(7)


class OneDirection(RuleBasedStateMachine):
    """A sender and a receiver over a line: each sent item is delivered, in order, once."""

    def __init__(self) -> None:
        super().__init__()
        self.grant = Grant(6, 300)
        self.sender = half(6, 300, frame=SMALL_FRAME)
        self.receiver = ReceiveHalf(self.grant)
        self.parts = Reassembly(10_000, 10, ample())
        self.line: list[Seen] = []
        self.pushed: list[str] = []
        self.delivered: list[str] = []

    @rule(values=st.lists(st.text("abc", max_size=40), min_size=1, max_size=4))
    def push(self, values) -> None:
        for value in values:
            if self.sender.has_room():
                push(self.sender, value)
                self.pushed.append(value)

    @rule(most=st.integers(1, 6))
    def write(self, most) -> None:
        for _ in range(most):
            self.line += read_frames(b"".join(self.sender.next_frame(7)))

    @precondition(lambda self: self.line)
    @rule(most=st.integers(1, 6))
    def read(self, most) -> None:
        for seen in self.line[:most]:
            self._read_one(*seen.body, more=bool(seen.flags & MORE))
        del self.line[:most]

    def _read_one(self, offset: int, count: int, part: bytes, *, more: bool) -> None:
        if 7 not in self.parts.parts and not self.receiver.check_start(offset, count):
            return
        whole = self.parts.add(7, (offset, count, 0), memoryview(part))
        if not more:
            self.parts.drop(7)
            self.receiver.add(Arrived(offset, count, bytes(whole), len(whole)))

    @precondition(lambda self: self.receiver.queue)
    @rule()
    def consume(self) -> None:
        batch = self.receiver.queue.pop(0)
        values = values_of(batch.payload)
        assert len(values) == batch.items
        assert batch.first == len(self.delivered)
        self.delivered += values
        if self.grant.consume(len(values), len(batch.payload)):
            self.sender.limit.raise_to(self.grant.next_credit(0.0, 0.0), self.sender.sent)

    @invariant()
    def delivered_is_a_prefix_of_sent(self) -> None:
        waiting = [value for batch in self.receiver.queue for value in values_of(batch.payload)]
        got = self.delivered + waiting
        assert got == self.pushed[: len(got)]

    @invariant()
    def the_sender_is_never_a_window_ahead(self) -> None:
        assert self.sender.pushed - len(self.delivered) <= 6

    def teardown(self) -> None:
        while self.sender.sent < self.sender.pushed or self.sender.fragments or self.line or self.receiver.queue:
            self.write(100)
            if self.line:
                self.read(100)
            if self.receiver.queue:
                self.consume()
        assert self.delivered == self.pushed
        assert self.receiver.arrived_bytes == self.sender.pushed_bytes


TestOneDirection = OneDirection.TestCase
