"""The content of the demo's screen: cards with rows of figures, and promises with the measured values."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

State = Literal["waiting", "running", "held", "broken"]

MARKS: Final[dict[State, str]] = {"waiting": "·", "running": "▶", "held": "✓", "broken": "✗"}


class Row(NamedTuple):
    """One line of a card.

    `fraction` draws a bar, in `slots` pieces when they are worth counting; `levels`, each from 0 to 1, draw a column each.
    """

    label: str
    value: str
    fraction: float | None = None
    levels: Sequence[float] = ()
    slots: int = 0


class Verdict(NamedTuple):
    """A promise, the measured value, and whether the promise held."""

    promise: str
    measured: str
    held: bool


class Card:
    """One scene on the board. It keeps room for `height` rows, so that nothing jumps."""

    def __init__(self, title: str, about: str, height: int) -> None:
        self.title = title
        self.about = about
        self.height = height
        self.rows: list[Row] = []
        self.verdicts: list[Verdict] = []
        self.state: State = "waiting"
        self.brief = about
        self.latest: tuple[Row, ...] = ()

    def show(self, at: int, *rows: Row) -> None:
        """Replace the rows from line `at` on; the rows above and below stay."""
        self.latest = rows
        empty = [Row("", "")] * (at + len(rows) - len(self.rows))
        self.rows = [*self.rows, *empty]
        self.rows[at : at + len(rows)] = rows

    def judge(self, promise: str, measured: str, *, held: bool) -> None:
        """Add a promise with its measured value."""
        self.verdicts.append(Verdict(promise, measured, held))

    def finish(self) -> None:
        """Mark the scene as over: held when every promise held, and there was one."""
        held = bool(self.verdicts) and all(verdict.held for verdict in self.verdicts)
        self.state = "held" if held else "broken"


class Board:
    """All cards, in the order of the scenes."""

    def __init__(self, *cards: Card) -> None:
        self.cards = list(cards)
        self.heading = "starting the server process …"
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for card in self.cards for verdict in card.verdicts]


def size(count: float) -> str:
    """Write a number of bytes: 64.0 MB, 200 MB, 1.61 GB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - the step between two units
            return f"{count:.{0 if unit == 'B' or count >= 100 else 1}f} {unit}"  # noqa: PLR2004 - three digits say enough
        count /= 1000
    return f"{count:.2f} GB"


def number(count: float) -> str:
    """Write a number of items: 1,240."""
    return f"{count:,.0f}"


def ms(ns: float) -> str:
    """Write nanoseconds in milliseconds, with two decimals below 10."""
    value = ns / 1e6
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"  # noqa: PLR2004 - where hundredths stop to matter


def percentile(values: Sequence[int], share: float) -> int:
    """Return the value below which `share` of the values are; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0
