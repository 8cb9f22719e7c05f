"""What a connection counts as held for its peer, and where it stops (PROTOCOL.md §5.8, §10.3)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.errors import ResourceExhausted
from penstock.protocol import Accept, Budget, Cancel, Grant, Process, Status, events, grant_wished
from penstock.protocol._credit import Promises
from penstock.protocol._decoder import FrameDecoder
from penstock.protocol._frames import COMPRESSED, LAST, MORE, FrameType
from penstock.protocol._sequence import Sequence
from tests.protocol.bad_inputs import deflated
from tests.protocol.kit import array, encode, frame, items_frame, open_frame, push, side

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
    assert grants[0] == 64 * MIB
    assert sum(grants) <= 64 * MIB + 20 * 256 * 1024
    assert set(grants[2:]) == {256 * 1024}
    cancel(made, 1)
    assert granted(made, 101, wish_bytes=16 * MIB)[1].bytes == 16 * MIB


def test_all_windows_have_one_sum_and_each_stream_gets_a_small_one():
    """An honest peer with more streams than windows fit into the budget was refused items that it had credit for."""
    made = side(max_connection_bytes=1_000_000_000)
    made.connection._state.promises = Promises(256 * 1024, 16 * MIB)
    grants = [granted(made, number)[1] for number in range(1, 201, 2)]
    assert [grant.bytes for grant in grants[:32]] == [256 * 1024] * 32
    assert {grant.bytes for grant in grants[32:]} == {4096}
    assert not grants[0].promises.more(0)
    for number in range(1, 201, 2):
        cancel(made, number)
    assert granted(made, 301, wish_bytes=4 * MIB)[1].bytes == 4 * MIB


def test_a_window_that_tunes_itself_grows_within_the_same_sum():
    promises = Promises(100, 4000)
    first, second = Grant(10, 100, 10, 10_000), Grant(10, 100, 10, 10_000)
    for grant in (first, second):
        promises.make(grant)
    first._widen(900)
    second._widen(900)
    assert (first.window_bytes, second.window_bytes) == (900, 300)
    promises.end(first)
    second._widen(900)
    assert second.window_bytes == 900
    promises.end(second)
    assert (promises._left_usual, promises._left_beyond) == (2000, 1000)


def test_a_window_in_items_alone_counts_as_the_bytes_it_lets_through():
    made = side()
    grants = [granted(made, number, wish_items=8)[1] for number in range(1, 21, 2)]
    assert {grant.items for grant in grants} == {8}
    assert sum(grant.bytes for grant in grants) <= 64 * MIB + 10 * 256 * 1024


def test_metadata_count_with_their_objects():
    """FAULTS H3: 64 KB of metadata in 8,000 entries are 1.2 MB of objects."""
    made = side(max_connection_bytes=10 * MIB)
    metadata = {f"{number:x}": "" for number in range(8000)}
    taken = [opened for number in range(1, 201, 2) for opened in made.feed(open_frame(number, 2, metadata=metadata))]
    assert len(taken) <= 10
    for number in range(1, 201, 2):
        cancel(made, number)
    made.write()
    assert made.connection.budget.held_bytes == 0


def test_an_answer_over_the_budget_is_refused_and_the_argument_makes_room_for_it():
    """FAULTS H3: sixty answers of 16 MiB waited for a peer that reads nothing."""
    made = side(max_connection_bytes=100_000)
    taken = [
        made.feed(open_frame(number, 0, argument=encode(bytes(40_000)), credit_bytes=10**9))[0].stream for number in (1, 3)
    ]
    assert made.connection.answer(taken[0], bytes(50_000))
    assert 98_000 <= made.connection.budget.held_bytes < 99_000
    with pytest.raises(ResourceExhausted, match="max_connection_bytes is 100000"):
        made.connection.answer(taken[1], bytes(60_000))
    made.write()
    assert made.connection.budget.held_bytes < 1000


def test_an_answer_without_credit_counts_while_it_waits():
    """FAULTS H3: with credit 0 nothing was counted."""
    made = side(max_connection_bytes=100_000)
    stream = made.feed(open_frame(1, 0, credit_items=0))[0].stream
    assert not made.connection.answer(stream, bytes(60_000))
    made.connection.hold(stream, 60_000, answer=True)
    with pytest.raises(ResourceExhausted):
        made.connection.hold(stream, 60_000, answer=True)
    cancel(made, 1)
    assert made.connection.budget.held_bytes == 0


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


def test_items_beyond_the_budget_end_their_streams_and_no_other():
    """FAULTS H3: one item of any size passes each window, on as many streams as there are."""
    made = side(max_connection_bytes=600_000)
    streams = [made.answer(number, 3) for number in range(1, 63, 2)]
    seen = [event for number in range(1, 61, 2) for event in made.feed(items_frame(number, 0, bytes(20_000)))]
    assert made.connection.budget.held_bytes <= 600_000
    told = [each.body.message for each in made.frames()]
    assert [type(event) for event in seen].count(events.CallCancelled) == len(told) == 12
    assert all("Settings.max_connection_bytes is 600000" in message for message in told)
    assert not made.connection.failed
    made.connection.discard(streams[0])
    assert [type(event) for event in made.feed(items_frame(61, 0, 1))] == [events.ItemsArrived]


def test_all_streams_together_hold_a_bounded_number_of_bytes_unsent():
    """FAULTS H3: 300 unread streams held 304 MiB, and more streams hold more."""
    made = side(max_connection_bytes=4_000_000)
    streams = [made.answer(number, 2, credit_items=10**6, credit_bytes=10**9) for number in range(1, 201, 2)]

    def fill() -> int:
        pushed = 0
        for stream in streams:
            while stream.send.has_room():
                push(stream, bytes(20_000))
                made.connection.ready(stream)
                pushed += 20_000
        return pushed

    assert fill() <= 2_000_000 + 100 * 64 * 1024  # half of the budget, and one open batch for each stream
    assert streams[-1].send.is_stuffed()
    made.write(2_000_000)
    assert streams[0].send.has_room()
    assert fill() > 0
    made.connection.link_lost()
    for stream in streams:
        stream.stop_sending()
    assert made.connection._state.unsent.bytes == 0
    assert made.connection.budget.held_bytes == 0


# ── the object itself ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refusal_names_the_setting_and_the_figures():
    process = Process()
    process.connections = 2
    first, second = Budget(1000, 1500, process), Budget(1000, 1500, process)
    first.take(900)
    assert not first.fits(101)
    assert "an item of 101 bytes" in first.refusal(101, "an item")
    assert "holds 900 bytes" in first.refusal(101, "an item")
    assert "Settings.max_connection_bytes is 1000" in first.refusal(101, "an item")
    second.take(250)
    assert not second.fits(200)
    assert second.fits(100)
    assert "holds 250 bytes" in second.refusal(200, "a call")
    assert "all 2 connections 1150" in second.refusal(200, "a call")
    assert "Settings.max_process_bytes is 1500" in second.refusal(200, "a call")


class Sharing(RuleBasedStateMachine):
    """Connections that take what they can, while the one that holds most is ended whenever that is too much."""

    def __init__(self) -> None:
        super().__init__()
        self.process = Process()
        self.budgets: list[Budget] = []
        self.taken: list[int] = []

    @rule(limit=st.integers(1, 1000))
    def connect(self, limit) -> None:
        self.budgets.append(Budget(limit, 2000, self.process))
        self.taken.append(0)
        self.process.connections = len(self.budgets)

    @precondition(lambda self: self.budgets)
    @rule(number=st.integers(0, 50), size=st.integers(0, 300))
    def take(self, number, size) -> None:
        budget = self.budgets[number % len(self.budgets)]
        if budget.fits(size):
            budget.take(size)
            self.taken[number % len(self.budgets)] += size
            assert budget.held_bytes <= budget.max_bytes
        while self.process.held_bytes > 2000:
            largest = max(range(len(self.taken)), key=self.taken.__getitem__)
            assert self.taken[largest] > budget.equal_part
            self.budgets[largest].give(self.taken[largest])
            self.taken[largest] = 0

    @precondition(lambda self: self.budgets)
    @rule(number=st.integers(0, 50), share=st.floats(0, 1))
    def give(self, number, share) -> None:
        at = number % len(self.budgets)
        size = int(self.taken[at] * share)
        self.budgets[at].give(size)
        self.taken[at] -= size

    @invariant()
    def sums(self) -> None:
        assert [budget.held_bytes for budget in self.budgets] == self.taken
        assert self.process.held_bytes == sum(self.taken) <= 2000

    @invariant()
    def fair(self) -> None:
        """Each may hold its part of half of the process, and half of what is free."""
        for budget, taken in zip(self.budgets, self.taken, strict=True):
            part = min(budget.equal_part, budget.max_bytes)
            assert budget.fits(max(part - taken, 0)) or taken > part
        assert Budget(2000, 2000, self.process).fits((2000 - sum(self.taken)) // 2)

    def teardown(self) -> None:
        for budget, taken in zip(self.budgets, self.taken, strict=True):
            budget.give(taken)
        assert self.process.held_bytes == 0


TestSharing = Sharing.TestCase


def test_connections_that_hoard_leave_each_other_one_its_part():
    """Twenty that take all they can leave nothing free. The next one gets its part all the same."""
    process = Process()
    hoards = [Budget(1_000_000, 1_000_000, process) for _ in range(20)]
    process.connections = 21
    for budget in hoards:
        for size in (100_000, 10_000, 1000, 100, 10, 1):
            while budget.held_bytes + 2 * size <= 1_000_000 - process.held_bytes:
                budget.take(size)
    assert 490_000 <= hoards[0].held_bytes <= 500_000
    assert 999_900 <= process.held_bytes <= 1_000_000
    honest = Budget(1_000_000, 1_000_000, process)
    assert honest.equal_part == 1_000_000 // 42
    assert honest.fits(honest.equal_part)
    assert not honest.fits(honest.equal_part + 100)
    honest.take(honest.equal_part)
    assert process.held_bytes > 1_000_000  # the one that holds most is to be ended


def test_a_budget_is_tight_from_half_of_it_on():
    budget = Budget(1000, 10_000)
    budget.take(500)
    assert not budget.is_tight
    budget.take(1)
    assert budget.is_tight
    crowd = Process()
    crowded = Budget(1000, 10_000, crowd)
    Budget(10_000, 10_000, crowd).take(9000)
    crowd.connections = 50
    crowded.take(300)
    assert not crowded.is_tight
    crowded.take(100)
    assert crowded.is_tight


# ── each ledger ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def said(made) -> list[str]:
    return [seen.body.message for seen in made.frames() if seen.kind in {"STATUS", "CANCEL"}]


def refused(message: str) -> bool:
    return "Settings.max_connection_bytes is 100000" in message


def test_a_call_that_does_not_fit_is_refused():
    made = side(max_connection_bytes=100_000)
    events_of = [made.feed(open_frame(number, 0)) for number in range(1, 41, 2)]
    assert [bool(seen) for seen in events_of].count(True) == 100_000 // (8 * 1024 + 20)
    assert all(map(refused, said(made)))


def test_items_that_do_not_fit_end_their_stream():
    made = side(max_connection_bytes=100_000)
    made.answer(1, 3, window=Grant(10**6, 10**6))
    made.connection.budget.take(80_000)
    made.feed(items_frame(1, 0, bytes(10_000)))
    (message,) = said(made)
    assert refused(message)


def test_many_small_batches_weigh_more_than_their_bytes():
    """Batches of one byte were counted as six bytes each, and are 170."""
    made = side(max_connection_bytes=100_000)
    made.answer(1, 3, window=Grant(10**6, 10**6))
    taken = 0
    while not said(made):
        made.feed(items_frame(1, taken, 1))
        taken += 1
    assert 400 < taken < 600


def test_a_fragment_that_does_not_fit_ends_its_stream_or_refuses_its_call():
    made = side(max_connection_bytes=100_000)
    made.answer(1, 3)
    made.connection.budget.take(80_000)
    made.feed(items_frame(1, 0, payload=bytes(9000), count=1, flags=MORE))
    made.feed(frame(FrameType.OPEN, bytes(16_000), flags=MORE | LAST, stream=3))
    made.feed(frame(FrameType.OPEN, bytes(16_000), flags=MORE | LAST, stream=5))
    messages = said(made)
    assert len(messages) == 2
    assert all(map(refused, messages))


def test_a_bomb_that_does_not_fit_once_it_is_unpacked_ends_its_stream():
    made = side(max_connection_bytes=100_000)
    made.answer(1, 3)
    made.feed(items_frame(1, 0, payload=deflated(array(bytes(90_000))), count=1, flags=COMPRESSED))
    (message,) = said(made)
    assert refused(message)


def test_a_payload_to_accept_with_that_does_not_fit_is_refused():
    made = side(max_connection_bytes=100_000)
    (opened,) = made.feed(open_frame(1, 3))
    made.connection.budget.take(80_000)
    with pytest.raises(ResourceExhausted, match="max_connection_bytes is 100000"):
        made.connection.accept(opened.stream, Grant(1, 1), bytes(20_000))


def test_details_of_an_error_that_do_not_fit_are_left_out():
    made = side(max_connection_bytes=100_000)
    stream = made.answer(1, 2)
    made.connection.budget.take(80_000)
    made.connection.fail(stream, Status(5, "not_found", "gone", msgspec.Raw(encode({"rest": "x" * 20_000}))))
    (seen,) = made.frames()
    assert (seen.body.code, seen.body.started) == (5, True)
    assert len(bytes(seen.body.details)) < 20
    assert made.connection.budget.held_bytes == 80_000


def test_a_call_of_this_side_that_waits_and_does_not_fit_is_refused():
    made = side("client", peer={"max_streams": 1}, max_connection_bytes=100_000)
    made.call(2)
    waiting = made.call(2, argument=bytes(60_000))
    with pytest.raises(ResourceExhausted, match="max_connection_bytes is 100000") as raised:
        made.call(2, argument=bytes(60_000))
    assert raised.value.started is False
    made.connection.cancel(waiting, Cancel())
    made.write()
    assert made.connection.budget.held_bytes == 0


def test_the_fragments_that_have_not_left_are_held():
    """A large item was counted until its first fragment had left."""
    made = side(max_connection_bytes=100 * MIB, max_frame_bytes=16 * 1024)
    stream = made.answer(1, 2, credit_items=10, credit_bytes=10**9)
    stream.send.push_bytes(bytes(MIB))
    made.connection.ready(stream)
    made.write(100_000)
    assert 800_000 < made.connection._state.unsent.bytes < MIB
    stream.stop_sending()
    assert made.connection._state.unsent.bytes == 0


def test_open_batches_are_held_while_the_link_takes_nothing():
    """Ten thousand streams with 60 KB each in an open batch are 600 MB that no ledger had counted."""
    made = side()
    streams = [made.answer(number, 2, credit_items=10, credit_bytes=10**9) for number in range(1, 201, 2)]
    before = made.connection.budget.held_bytes
    push(streams[0], bytes(1000))
    made.connection.ready(streams[0])
    made.connection.block(blocked=True)
    for stream in streams[1:]:
        push(stream, bytes(1000))
        made.connection.ready(stream)
    assert made.connection.budget.held_bytes - before >= 100 * 64 * 1024
    made.connection.block(blocked=False)
    assert made.connection.budget.held_bytes == before
    made.connection.block(blocked=True)
    made.connection.link_lost()
    assert made.connection.budget.held_bytes == 0


def test_what_is_kept_for_a_resume_stops_early_while_the_budget_is_tight():
    budget = Budget(10 * MIB, 100 * MIB)
    sequence = Sequence(FrameDecoder(budget), b"", budget)
    while sequence.flows:
        sequence.keep([bytes(256 * 1024)])
    assert 5 * MIB < budget.held_bytes < 6 * MIB
    sequence.acknowledge(sequence.sent)
    assert budget.held_bytes == 0
    assert sequence.flows


def test_senders_wait_from_half_of_the_budget_on_and_go_on_by_each_write():
    made = side(max_connection_bytes=2 * MIB)
    stream = made.answer(1, 2, credit_items=10**6, credit_bytes=10**9)
    made.connection.budget.take(MIB)  # of other ledgers
    pushed = 0
    while stream.send.has_room():
        push(stream, bytes(40_000))
        made.connection.ready(stream)
        pushed += 40_000
    assert 256 * 1024 < pushed < 512 * 1024
    made.write(150_000)
    assert stream.send.has_room()
