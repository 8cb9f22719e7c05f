"""Taking turns: every contender runs once in each round, A B C A B C, so that all meet the same minute of the machine.

This module never judges; `figures/` compares what it returns, round by round.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks._interpreters import Interpreter
from benchmarks._processes import Pair, SideFailed
from benchmarks._progress import Progress

Answer = dict[str, float]

#: Calibration runs grow until one takes this long; shorter ones say more about start-up than about speed.
_CALIBRATION_S = 0.08
_CALIBRATION_FIRST = 64
_CALIBRATION_GROWTH = 6


@dataclass(frozen=True)
class Contender:
    """A side, how it is reached, and the command that it is timed at."""

    label: str
    side: str
    operation: str
    transport: str = "tcp"
    python: str = "main"
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """How a run of the benchmarks is done."""

    interpreters: Mapping[str, Interpreter]
    loops: tuple[str, ...]
    rounds: int
    seconds: float
    progress: Progress


@dataclass
class Turns:
    """Answers by contender, one for each round; and why some contenders have none."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def series(self, label: str, key: str) -> list[float]:
        """The figure called `key` of one contender, round by round."""
        return [answer[key] for answer in self.answers[label]]

    def median(self, label: str, key: str) -> float:
        """Its median over the rounds."""
        return statistics.median(self.series(label, key))

    def cpu(self, label: str) -> str:
        """The CPU time of an item for people, "0.91 + 1.30 µs": of the driver, and of the server if there is one."""
        keys = [key for key in ("driver_cpu_us", "server_cpu_us") if key in self.answers[label][0]]
        return " + ".join(f"{self.median(label, key):.2f}" for key in keys) + " µs"

    def ratio(self, one: str, other: str, key: str) -> float:
        """The median over the rounds of one ÷ other, each taken within its round."""
        pairs = zip(self.series(one, key), self.series(other, key), strict=True)
        return statistics.median(a / b for a, b in pairs)


def open_pair(bench: Bench, loop: str, contender: Contender) -> Pair:
    """Start the processes of a contender; raises `SideFailed`."""
    interpreter = bench.interpreters.get(contender.python)
    if interpreter is None:
        raise SideFailed("no Python ≥ 3.12 on this machine")
    return Pair(interpreter.python, contender.side, loop, contender.transport)


def take_turns(bench: Bench, loop: str, title: str, contenders: list[Contender]) -> Turns:
    """Run all contenders, in turns, for all rounds."""
    turns = Turns()
    with ExitStack() as stack:
        ready = []
        for contender in contenders:
            bench.progress.step(f"{title} · {loop} · starting {contender.label}")
            try:
                pair = stack.enter_context(open_pair(bench, loop, contender))
                ready.append((contender, pair, _calibrate(bench, contender, pair)))
            except SideFailed as why:
                turns.missing[contender.label] = str(why)
        for number in range(bench.rounds):
            for contender, pair, count in ready:
                bench.progress.step(f"{title} · {loop} · round {number + 1}/{bench.rounds} · {contender.label}")
                _take_turn(turns, contender, pair, count)
    for label in turns.missing:
        turns.answers.pop(label, None)
    return turns


def _take_turn(turns: Turns, contender: Contender, pair: Pair, count: int) -> None:
    if contender.label in turns.missing:
        return
    try:
        before = pair.cpu_s()
        answer = pair.driver.ask(contender.operation, count=count, **contender.arguments)
        for process, cpu_s in pair.cpu_s().items():
            answer[f"{process}_cpu_us"] = 1e6 * (cpu_s - before[process]) / count
        turns.answers.setdefault(contender.label, []).append(answer)
    except SideFailed as why:
        turns.missing[contender.label] = str(why)


def _calibrate(bench: Bench, contender: Contender, pair: Pair) -> int:
    """Return how many items keep this contender busy for `bench.seconds`; warms it up on the way."""
    count = _CALIBRATION_FIRST
    while True:
        answer: Answer = pair.driver.ask(contender.operation, count=count, **contender.arguments)
        if answer["seconds"] >= _CALIBRATION_S:
            return max(1, int(answer["per_s"] * bench.seconds))
        count *= _CALIBRATION_GROWTH
