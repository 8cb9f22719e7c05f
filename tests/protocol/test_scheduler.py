"""The order of streams (PROTOCOL.md §4.7): urgent calls pass, none starves, shares hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocol._scheduler import QUANTA_BYTES, Scheduler

WRITE_BYTES = 256 * 1024


class Line:
    """A scheduler on a full line: every stream always has another frame of its size."""

    def __init__(self, streams: dict[str, tuple[int, int]]) -> None:
        self.scheduler: Scheduler[str] = Scheduler()
        self.streams = streams
        self.sent = dict.fromkeys(streams, 0)
        self.order: list[str] = []
        self.once: set[str] = set()  # streams with one frame only
        for name, (priority, _) in streams.items():
            self.scheduler.add(name, priority)

    def write(self, budget_bytes: int = WRITE_BYTES) -> None:
        while budget_bytes > 0 and self.scheduler.count:
            name, priority = self.scheduler.next()
            size = self.streams[name][1]
            self.scheduler.deficits[priority] -= size
            if name not in self.once:
                self.scheduler.add(name, priority)
            self.sent[name] += size
            self.order.append(name)
            budget_bytes -= size

    def by_class(self) -> list[int]:
        return [sum(self.sent[name] for name, (own, _) in self.streams.items() if own == number) for number in range(3)]


sizes = st.integers(20, WRITE_BYTES + 26)


@given(streams=st.lists(st.tuples(st.integers(0, 2), sizes), min_size=1, max_size=7), budget=st.integers(1, 1 << 20))
def test_none_starves(streams, budget):
    line = Line({f"{at}": stream for at, stream in enumerate(streams)})
    writes = 0
    while min(line.sent.values()) == 0:
        line.write(budget)
        writes += 1
        assert sum(line.sent.values()) < 40 * sum(QUANTA_BYTES) + 40 * len(streams) * WRITE_BYTES, "somebody waits for ever"


@pytest.mark.parametrize("budget", [WRITE_BYTES, 10_000, 1])
@pytest.mark.parametrize("size", [100, 9_999, 65_562, WRITE_BYTES + 14])
def test_classes_that_always_have_something_share_16_to_4_to_1(budget, size):
    line = Line({"interactive": (0, size), "normal": (1, size), "bulk": (2, size)})
    while sum(line.sent.values()) < max(12_000_000, 400 * size):
        line.write(budget)
    total = sum(line.sent.values())
    assert [sent / total for sent in line.by_class()] == pytest.approx([16 / 21, 4 / 21, 1 / 21], rel=0.15)


@given(first=sizes, second=sizes)
def test_streams_of_one_class_take_turns_a_frame_at_a_time(first, second):
    line = Line({"a": (1, first), "b": (1, second)})
    for _ in range(5):
        line.write()
    assert line.order == ["a", "b"] * (len(line.order) // 2) + ["a"] * (len(line.order) % 2)


def test_a_class_alone_has_the_whole_line():
    line = Line({"bulk": (2, 50_000)})
    line.write(10_000_000)
    assert line.sent["bulk"] >= 10_000_000


def test_an_interactive_call_passes_a_saturating_stream_at_its_next_frame():
    line = Line({"bulk": (2, 65_562)})
    for _ in range(50):
        line.write()
    line.streams["call"] = (0, 100)
    line.sent["call"] = 0
    line.scheduler.add("call", 0)
    line.order.clear()
    line.write()
    assert line.order[0] == "call"


@pytest.mark.parametrize("call_bytes", [50, 100, 5000])
def test_a_trickle_of_urgent_calls_leaves_the_others_their_shares(call_bytes):
    line = Line({"normal": (1, 65_562), "bulk": (2, 65_562)})
    for number in range(400):
        line.streams[f"call {number}"] = (0, call_bytes)
        line.sent[f"call {number}"] = 0
        line.once.add(f"call {number}")
        line.scheduler.add(f"call {number}", 0)
        line.write()
        assert line.sent[f"call {number}"] == call_bytes
    assert line.sent["bulk"] / line.sent["normal"] == pytest.approx(1 / 4, rel=0.25)


def test_an_idle_class_saves_no_quantum_up():
    line = Line({"normal": (1, 65_562)})
    for _ in range(100):
        line.write()
    line.streams["bulk"] = (2, 65_562)
    line.sent = dict.fromkeys(line.streams, 0)
    line.scheduler.add("bulk", 2)
    line.write(1 << 20)
    assert line.sent["bulk"] <= QUANTA_BYTES[2] + 65_562 + (1 << 20) * 2 / 5


def test_a_stream_that_is_forgotten_has_no_turn():
    scheduler: Scheduler[str] = Scheduler()
    scheduler.add("a", 1)
    scheduler.add("b", 1)
    scheduler.discard("a", 1)
    scheduler.discard("never there", 0)
    assert scheduler.next() == ("b", 1)
    assert not scheduler.count
