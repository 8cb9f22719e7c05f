"""The figures of a soak: a line of progress, and a table."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from tests.soak.census import MOMENTS
from tests.soak.play import Played

#: The kinds of faults that the report counts, also when there are none.
KINDS: Final = ("lost", "doubled", "reordered", "changed", "hung", "left", "outcome", "bound", "credit", "raised")


class Total:
    """The figures of all programs so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.programs = self.cuts = self.items = 0
        self.virtual_s = 0.0
        self.moments: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def add(self, played: Played) -> None:
        self.programs += 1
        self.cuts += played.cuts
        self.items += played.items
        self.virtual_s += played.virtual_s
        self.moments += played.moments
        self.outcomes += played.outcomes
        self.kinds += played.kinds
        self.faults.update(wrong.partition(":")[0] for wrong in played.wrongs)

    def line(self) -> str:
        """Return the figures in one line, for progress."""
        minutes = (time.monotonic() - self.began) / 60
        found = ", ".join(f"{number} {kind}" for kind, number in self.faults.items()) or "no fault"
        return (
            f"{self.programs:,} programs ({self.programs / minutes:,.0f} a minute), {self.cuts:,} cuts, "
            f"{self.items:,} items, {self.virtual_s / 3600:,.0f} h of virtual time: {found}"
        )

    def table(self) -> str:
        """Return all figures as a table."""
        rows = [
            ("programs", self.programs),
            ("flows", self.kinds.total()),
            ("items and messages", self.items),
            ("cuts", self.cuts),
        ]
        rows += [(f"  {moment}", self.moments[moment]) for moment in MOMENTS]
        rows += [("flows by kind", ""), *((f"  {kind}", number) for kind, number in self.kinds.most_common())]
        rows += [("flows by outcome", ""), *((f"  {name}", number) for name, number in self.outcomes.most_common())]
        rows += [("faults", self.faults.total()), *((f"  {kind}", self.faults[kind]) for kind in KINDS)]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {value:>10,}" if value != "" else name for name, value in rows)
