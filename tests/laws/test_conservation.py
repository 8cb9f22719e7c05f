"""The laws of a connection, under any program on both sides and any cutting of the bytes between them.

Sent is within granted · ahead of the consumer by at most the window · delivered is a prefix of sent, and all of it after a normal end ·
one outcome for each side · nobody waits for the other for ever · nothing is left afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from penstock.protocol import Settings
from tests.laws.two_sides import ALL, Call, End, Window, joined

ROLES = ("caller", "callee")
sizes = st.sampled_from([0, 1, 10, 200, 3000, 20_000])
windows = st.builds(Window, st.integers(1, 6), st.sampled_from([1, 50, 1000, 40_000]))
seeds = st.integers(0, 1 << 16)
cuts = st.sampled_from([1, 13, 15, 300, 7000, ALL, ALL])


class TwoSides(RuleBasedStateMachine):
    """Random programs on both sides."""

    piece_bytes: int | None = None  # how the wire cuts: None as the test says

    def __init__(self) -> None:
        super().__init__()
        self.book: dict[str, Call] = {}
        self.numbers = 0
        self.ends: tuple[End, End]

    @initialize(compression=st.sampled_from(["none", "deflate"]), streams=st.integers(1, 6), unsent=st.sampled_from([1, 30_000]))
    def greet(self, compression, streams, unsent) -> None:
        one = Settings(
            max_frame_bytes=16 * 1024,
            max_item_bytes=64 * 1024,
            max_streams=streams,
            max_unsent_bytes=unsent,
            compression=compression,
            compression_threshold_bytes=100,
        )
        self.ends = joined(one, Settings(max_streams=6, max_frame_bytes=20 * 1024), self.book)

    # ── programs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: sum(not call.outcomes["caller"] for call in self.book.values()) < 5)
    @rule(at=st.integers(0, 1), kind=st.integers(0, 3), window=windows, priority=st.integers(0, 2), argument=sizes)
    def open(self, at, kind, window, priority, argument) -> None:
        end = self.ends[at]
        end.open(f"call/{len(self.book)}", kind, window, priority=priority, argument=argument)
        end.write(5000)

    @rule(choices=st.lists(st.tuples(seeds, sizes), min_size=1, max_size=8))
    def program(self, choices) -> None:
        """Each choice picks one of all the things that the two programs may do now."""
        for choice, size in choices:
            acts = [act for call in self.book.values() for act in self._acts(call, size)]
            if acts:
                acts[choice % len(acts)]()

    def _acts(self, call: Call, size: int) -> list[Callable[[], object]]:
        number = self._number()
        ends = [
            *([call.half_close] if number % 5 == 0 and call.may_half_close() else []),
            *([partial(call.answer, number, size)] if number % 5 == 1 and call.may_answer() else []),
            *([call.finish] if number % 10 == 2 and call.may_finish() else []),
            *([partial(call.fail, 5)] if number % 20 == 3 and call.may_fail() else []),
            *([call.cancel] if number % 20 == 4 and call.may_cancel() else []),
        ]
        pushes = [partial(call.push, role, number, size) for role in ROLES if call.may_push(role)]
        takes = [partial(call.take, role, in_two=number % 2 == 0) for role in ROLES if call.waits(role)]
        return [*ends, *2 * pushes, *2 * takes]

    # ── the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(pieces=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([1, 5000, ALL]), cuts), min_size=1, max_size=4))
    def flow(self, pieces) -> None:
        """Each piece lets one side write, and the other read some of what is on its way."""
        for at, budget, most in pieces:
            self.ends[at].write(budget)
            self._read(self.ends[1 - at], most)

    def _read(self, end: End, most: int) -> None:
        end.now_s += 0.001
        if self.piece_bytes is None:
            end.read(most)
        while self.piece_bytes is not None and end.arriving:
            end.read(self.piece_bytes)

    # ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def nobody_breaks_a_rule(self) -> None:
        assert not [event for end in self._ends() for event in end.failed]

    @invariant()
    def credit_is_conserved(self) -> None:
        for call in self.book.values():
            for role in ROLES:
                self._check_direction(call, role)

    def _check_direction(self, call: Call, role: str) -> None:
        sender, receiver = call.halves(role)
        if sender is None or receiver is None:
            assert sender is None or sender.pushed == 0 or role == "callee"
            return
        grant, limit = receiver.grant, sender.limit
        assert sender.pushed <= limit.items <= grant.items
        assert limit.bytes <= grant.bytes
        assert limit.consumed <= grant.consumed_items <= receiver.arrived <= sender.sent <= sender.pushed
        assert sender.pushed - grant.consumed_items <= call.window.items
        direction = call.sent_by(role)
        assert direction.taken == direction.pushed[: len(direction.taken)]

    @invariant()
    def what_waits_is_counted(self) -> None:
        for end in self._ends():
            roles = [(call, role) for call in self.book.values() for role in ROLES if call.end_of(role) is end]
            streams = [call.stream_of(role) for call, role in roles]
            halves = [stream.receive for stream in streams if stream is not None and stream.receive is not None]
            assert end.connection.buffered_bytes == sum(half.waiting_bytes for half in halves)

    @invariant()
    def a_callee_knows_of_no_stream_more_than_its_caller(self) -> None:
        for end in self._ends():
            # what the callee has closed on its own is still on its way to the caller
            assert end.connection.streams.theirs <= end.settings.max_streams

    def teardown(self) -> None:
        """All consumers catch up, all handlers return: everything ends, as everybody was told, and nothing is left."""
        if not hasattr(self, "ends"):
            return
        for turn in range(400):
            if not self._one_round(closing=turn > 20):
                break
        else:
            raise AssertionError("they never come to an end")
        self.nobody_breaks_a_rule()
        for call in self.book.values():
            self._check_outcome(call)
        for end in self.ends:
            self._check_empty(end)

    def _one_round(self, *, closing: bool) -> bool:
        moved = False
        for end in self.ends:
            moved = bool(end.write()) or bool(end.arriving) or moved
            end.read()
        for call in self.book.values():
            for role in ROLES:
                while call.waits(role):
                    call.take(role, in_two=False)
                    moved = True
            moved = (closing and self._close(call)) or moved
        return moved or not closing

    def _close(self, call: Call) -> bool:
        """Do the next thing that brings a call to its end."""
        half_closed, answers, finishes = call.may_half_close(), call.may_answer(), call.may_finish()
        if half_closed:
            call.half_close()
        if answers:
            call.answer(self._number(), 10)
        elif finishes:
            call.finish()
        return half_closed or answers or finishes

    def _check_outcome(self, call: Call) -> None:
        caller, callee = call.outcomes["caller"], call.outcomes["callee"]
        assert len(caller) == 1, f"{call.name}: {caller}"
        assert len(callee) <= 1
        if caller == ["left"]:
            assert callee == ["left"] or call.answered or call.handled is None
            return
        assert callee == []
        if call.handled is None:
            assert caller == ["resource_exhausted"]
            return
        assert caller == [call.answered]
        assert call.responses.taken == call.responses.pushed
        if not call.requests.dropped:
            assert call.requests.taken == call.requests.pushed

    def _check_empty(self, end: End) -> None:
        connection = end.connection
        assert (connection.streams.ours, connection.streams.theirs, len(connection.streams)) == (0, 0, 0)
        assert connection.buffered_bytes == 0
        assert not connection.has_data()
        assert not end.arriving

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ends(self) -> tuple[End, ...]:
        return getattr(self, "ends", ())

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers


@pytest.mark.parametrize(("piece_bytes", "examples"), [(None, 60), (1, 15), (ALL, 40)], ids=["any pieces", "byte by byte", "whole"])
def test_the_laws_hold_for_any_programs_on_both_sides(piece_bytes, examples):
    machine = type("TwoSides", (TwoSides,), {"piece_bytes": piece_bytes})
    run_state_machine_as_test(machine, settings=hypothesis_settings(max_examples=examples, stateful_step_count=60, deadline=None))
