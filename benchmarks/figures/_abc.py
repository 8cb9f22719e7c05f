"""What a figure returns, and how a goal is judged. Nothing here starts a process."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from benchmarks._rounds import Bench, Contender, Turns, take_turns

Verdict = Literal["met", "missed", "noted", "not measured"]

_TEN, _THOUSAND, _MILLION = 10, 1e3, 1e6


def show(value: float, key: str) -> str:
    """Write a figure for people: "1.23 M/s", "63 µs"."""
    if key.endswith("_us"):
        return f"{value / _THOUSAND:.2f} ms" if value >= _THOUSAND else f"{value:.0f} µs"
    if value >= _MILLION:
        return f"{value / _MILLION:.2f} M/s"
    return f"{value / _THOUSAND:.1f} k/s" if value >= _THOUSAND else f"{value:.0f} /s"


@dataclass(frozen=True)
class Row:
    """One line of the results."""

    figure: str
    loop: str
    target: str
    ours: str
    peer: str
    ratio: str
    verdict: Verdict
    note: str = ""
    cpu: str = ""


@dataclass
class Outcome:
    """All that a figure measured: the lines people read, and everything they were made from."""

    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    rounds: dict[str, dict[str, object]] = field(default_factory=dict)

    def keep(self, loop: str, turns: Turns) -> None:
        """Keep every round, and why some have none."""
        self.rounds[loop] = {"answers": turns.answers, "missing": turns.missing}


@dataclass(frozen=True)
class Goal:
    """A ratio that the design asks for, or (without `limit`) one that is only noted.

    sense: "more" — ours ÷ theirs is at least `limit`; "sooner" — theirs ÷ ours is at least `limit`;
    "within" — ours ÷ theirs is at most `limit`.
    """

    ours: str
    peer: str
    limit: float | None = None
    key: str = "per_s"
    sense: Literal["more", "sooner", "within"] = "more"

    @property
    def target(self) -> str:
        """The goal for people: "≥ 40 × grpc.aio"."""
        if self.limit is None:
            return f"(noted) × {self.peer}"
        sign = "≤" if self.sense == "within" else "≥"
        faster = " faster than" if self.sense == "sooner" else ""
        return f"{sign} {self.limit:g} ×{faster} {self.peer}"

    def judge(self, figure: str, loop: str, turns: Turns) -> Row:
        """Compare the two round by round."""
        for label in (self.ours, self.peer):
            if label not in turns.answers:
                return self._without(figure, loop, turns, label)
        ours, theirs = (self.ours, self.peer) if self.sense != "sooner" else (self.peer, self.ours)
        ratio = turns.ratio(ours, theirs, self.key)
        return Row(
            f"{figure}: {self.ours}",
            loop,
            self.target,
            show(turns.median(self.ours, self.key), self.key),
            f"{self.peer} {show(turns.median(self.peer, self.key), self.key)}",
            self._shown(ratio),
            self._verdict(ratio),
            cpu=f"{turns.cpu(self.ours)}; {turns.cpu(self.peer)}",
        )

    def _shown(self, ratio: float) -> str:
        """Write a ratio rounded away from its goal: what is shown as "2.00 ×" is never a hair below two."""
        rounded = math.ceil(ratio * 100) if self.sense == "within" else math.floor(ratio * 100)
        return f"{rounded / 100:.2f} ×" if ratio < _TEN else f"{ratio:.0f} ×"

    def _verdict(self, ratio: float) -> Verdict:
        if self.limit is None:
            return "noted"
        return "met" if (ratio <= self.limit if self.sense == "within" else ratio >= self.limit) else "missed"

    def _without(self, figure: str, loop: str, turns: Turns, absent: str) -> Row:
        why = f"{absent}: {turns.missing.get(absent, 'not asked for')}"
        shown = [
            show(turns.median(label, self.key), self.key) if label in turns.answers else "—" for label in (self.ours, self.peer)
        ]
        return Row(f"{figure}: {self.ours}", loop, self.target, shown[0], f"{self.peer} {shown[1]}", "—", "not measured", why)


def compare(bench: Bench, title: str, contenders: list[Contender], goals: list[Goal]) -> Outcome:
    """Take turns on every event loop and judge every goal."""
    outcome = Outcome(title, "items/s")
    for loop in bench.loops:
        turns = take_turns(bench, loop, title, contenders)
        outcome.keep(loop, turns)
        for goal in goals:
            row = goal.judge(title, loop, turns)
            outcome.rows.append(row)
            bench.progress.say(f"{row.figure} · {loop} · {row.ours} against {row.peer}: {row.ratio} ({row.verdict}) {row.note}")
    return outcome
