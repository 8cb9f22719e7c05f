"""The laws of a connection, under any programs on both sides and any cutting of the bytes between them.

Sent is within granted · ahead of the consumer by at most the window · delivered is a prefix of sent, and all of it after a
normal end · one outcome for each side · nobody waits for the other for ever · nothing is left afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from penstock.protocol import Settings
from tests.laws.ledgers import weighed
from tests.laws.two_sides import ALL, ROLES, Call, End, Window, joined

STEPS = 1200
SIZES = (0, 1, 10, 200, 3000, 20_000)  # of items; the larger ones travel in fragments
PIECES = (1, 13, 14, 15, 300, 7000, ALL, ALL)


class Scenario:
    """Two programs and a wire that do something at random, step by step."""

    def __init__(self, seed: str, piece_bytes: int | None) -> None:
        self.random = random = Random(seed)
        self.piece_bytes = piece_bytes  # how the wire cuts; None: anyhow
        self.sizes = SIZES if piece_bytes != 1 else SIZES[:5]
        self.book: dict[str, Call] = {}
        self.numbers = self.checks = 0
        one = Settings(
            max_frame_bytes=16 * 1024,
            max_item_bytes=64 * 1024,
            max_streams=random.randint(1, 6),
            max_unsent_bytes=random.choice([1, 30_000]),
            compression=random.choice(["none", "deflate"]),
            compression_threshold_bytes=100,
        )
        self.ends = joined(one, Settings(max_streams=6, max_frame_bytes=20 * 1024), self.book)

    def live(self) -> list[Call]:
        return [call for call in self.book.values() if not call.settled]

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    # ── what may happen ───────────────────────────────────────────────────────────────────────────────────────────────

    def step(self) -> None:
        random = self.random
        acts: list[tuple[Callable[[], object], int]] = [(self.flow, 300)]
        if len(self.live()) < 5:
            acts.append((self.open, 40))
        for call in self.live():
            acts += self.acts_of(call)
        (act,) = random.choices([act for act, _ in acts], [weight for _, weight in acts])
        act()

    def acts_of(self, call: Call) -> list[tuple[Callable[[], object], int]]:
        number, size = self.number(), self.random.choice(self.sizes)
        ends = [
            (call.half_close, 4, call.may_half_close()),
            (partial(call.answer, number, size), 4, call.may_answer()),
            (call.finish, 4, call.may_finish()),
            (partial(call.fail, self.random.choice([5, 13])), 2, call.may_fail()),
            (call.cancel, 2, call.may_cancel()),
        ]
        pushes = [(partial(self.push_some, call, role, size), 100, call.may_push(role)) for role in ROLES]
        takes = [(partial(call.take, role, in_two=number % 2 == 0), 100, call.waits(role)) for role in ROLES]
        return [(act, weight) for act, weight, able in (*ends, *pushes, *takes) if able]

    def open(self) -> None:
        random = self.random
        window = Window(random.randint(1, 6), random.choice([1, 50, 1000, 40_000]))
        self.ends[random.randint(0, 1)].open(
            f"call/{len(self.book)}",
            random.randint(0, 3),
            window,
            priority=random.randint(0, 2),
            argument=random.choice(self.sizes),
        )

    def push_some(self, call: Call, role: str, size: int) -> None:
        for _ in range(self.random.randint(1, 4)):
            if call.may_push(role):
                call.push(role, self.number(), size)

    def flow(self) -> None:
        """One side writes, the other reads some of what is on its way."""
        end = self.random.choice(self.ends)
        end.write(self.random.choice([1, 5000, ALL]))
        end.other.now_s += self.random.random() * 0.01
        self.read(end.other, self.random.choice(PIECES))

    def read(self, end: End, most: int) -> None:
        if self.piece_bytes is None:
            end.read(most)
        while self.piece_bytes is not None and end.arriving:
            end.read(self.piece_bytes)

    # ── the laws ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self) -> None:
        assert not [event for end in self.ends for event in end.failed]
        for call in self.live():
            for role in ROLES:
                check_credit(call, role)
        self.checks += 1
        for end in self.ends:
            assert end.connection.streams.theirs <= end.settings.max_streams
            if self.checks % 8:  # to weigh everything takes as long as a step
                continue
            assert end.connection.budget.held_bytes == weighed(end.connection, self.halves_at(end), self.handled_at(end))

    def handled_at(self, end: End):
        return [call.handled for call in self.book.values() if call.handled is not None and call.callee is end]

    def halves_at(self, end: End):
        streams = [call.stream_of(role) for call in self.book.values() for role in ROLES if call.end_of(role) is end]
        return [stream.receive for stream in streams if stream is not None and stream.receive is not None]

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """All consumers catch up and all handlers return, until nothing moves any more."""
        for _ in range(500):
            if not self.settle_once():
                return
        raise AssertionError("they never come to an end")

    def settle_once(self) -> bool:
        moved = False
        for end in self.ends:
            moved = bool(end.write()) or bool(end.arriving) or moved
            self.read(end, ALL)
        for call in self.live():
            for role in ROLES:
                while call.waits(role):
                    call.take(role, in_two=False)
                    moved = True
            moved = self.close(call) or moved
        self.check()
        return moved

    def close(self, call: Call) -> bool:
        """Do the next thing that brings a call to its end."""
        half_closed, answers, finishes = call.may_half_close(), call.may_answer(), call.may_finish()
        if half_closed:
            call.half_close()
        if answers:
            call.answer(self.number(), 10)
        elif finishes and call.stream.sending != "open":
            call.finish()
        return half_closed or answers or finishes


def check_credit(call: Call, role: str) -> None:
    """Check one direction of one call, by what its two ends know."""
    direction = call.sent_by(role)
    assert direction.taken == direction.pushed[: len(direction.taken)]
    sender, receiver = call.halves(role)
    if sender is None or receiver is None:
        assert sender is None or sender.pushed == 0
        return
    grant, limit = receiver.grant, sender.limit
    if role == "callee" and not call.kind & 2:  # one answer, which may pass by the ledger of its sender
        assert grant.consumed_items <= receiver.arrived <= min(len(direction.pushed), grant.items)
        return
    assert sender.pushed <= limit.items <= grant.items
    assert limit.bytes <= grant.bytes
    assert limit.consumed <= grant.consumed_items <= receiver.arrived <= sender.sent <= sender.pushed
    assert sender.pushed - grant.consumed_items <= call.window.items


def check_outcome(call: Call) -> None:
    """Check that both sides were told the same, once, and that nothing is missing without a word."""
    caller, callee = call.outcomes["caller"], call.outcomes["callee"]
    assert len(caller) == 1, f"{call.name}: {caller}"
    if caller == ["left"]:
        assert callee == ["left"] or (callee == [] and (call.answered or call.handled is None))
        return
    assert callee == []
    if call.handled is None:
        assert caller == ["resource_exhausted"]
        return
    assert caller == [call.answered]
    assert call.responses.taken == call.responses.pushed
    assert call.requests.dropped or call.requests.taken == call.requests.pushed


def check_nothing_left(end: End) -> None:
    connection = end.connection
    assert (connection.streams.ours, connection.streams.theirs, len(connection.streams)) == (0, 0, 0)
    assert connection.budget.held_bytes == 0
    assert not connection.has_data()
    assert not end.arriving


def play(name: str, piece_bytes: int | None) -> Scenario:
    scenario = Scenario(name, piece_bytes)
    for _ in range(STEPS):
        scenario.step()
        scenario.check()
    scenario.settle()
    for call in scenario.book.values():
        check_outcome(call)
    for end in scenario.ends:
        check_nothing_left(end)
    return scenario


CASES = [(None, number) for number in range(16)] + [(ALL, number) for number in range(8)] + [(1, number) for number in range(8)]
NAMES = {None: "any pieces", ALL: "whole", 1: "byte by byte"}


@pytest.mark.parametrize(("piece_bytes", "number"), CASES, ids=[f"{NAMES[piece]} {number}" for piece, number in CASES])
def test_the_laws_hold_for_any_programs_on_both_sides(piece_bytes, number, seed):
    play(f"{seed}/{number}", piece_bytes)


def test_the_scenarios_reach_every_outcome(seed):
    """A law that is never put to the test is not one."""
    seen: Counter[str] = Counter()
    for number in range(4):
        book = play(f"{seed}/{number}", None).book.values()
        seen.update(outcome for call in book for outcomes in call.outcomes.values() for outcome in outcomes)
        seen["requests"] += sum(len(call.requests.taken) for call in book)
        seen["responses"] += sum(len(call.responses.taken) for call in book)
    assert {"ended", "left", "not_found", "internal"} <= set(seen)
    assert min(seen["requests"], seen["responses"]) > 100, seen
