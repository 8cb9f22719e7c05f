"""The demo for pipes and logs: one line at a time, with a word beside every mark. It never moves the cursor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from penstock.demo._board import Board, Card, Verdict

WORDS: Final = {True: "✓ held  ", False: "✗ BROKEN"}


class PlainScreen:
    """Prints the changes since the previous `draw`."""

    every_s = 1.0

    def __init__(self) -> None:
        self._began: set[int] = set()
        self._over: set[int] = set()
        self._last = ""
        self._heading = ""
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a log in an old encoding still gets the text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the log as it is."""

    def draw(self, board: Board) -> None:
        """Print the scenes that began or ended, and the progress of those that run."""
        if board.heading != self._heading:
            self._heading = board.heading
            _say(f"penstock demo: {board.heading}")
        for place, card in enumerate(board.cards):
            self._draw_card(board, place, card)

    def _draw_card(self, board: Board, place: int, card: Card) -> None:
        """Print the beginning, the progress or the result of one scene."""
        if card.state == "waiting" or place in self._over:
            return
        if place not in self._began:
            self._began.add(place)
            _say(f"[{board.elapsed_s:5.1f} s] {card.title}: {card.about}")
        if card.state == "running":
            self._progress(board, card)
            return
        self._over.add(place)
        for row in card.rows:
            _say(f"{'':9} {row.label:>13}  {row.value}")

    def _progress(self, board: Board, card: Card) -> None:
        """Print the progress of a scene. The first scene runs beside all others, and is printed only while it is alone."""
        if card is board.cards[0] and any(other.state == "running" for other in board.cards[1:]):
            return
        line = " | ".join(f"{row.label} {row.value}" for row in card.latest)
        if line and line != self._last:
            self._last = line
            _say(f"[{board.elapsed_s:5.1f} s]   {line}")

    def summarize(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Print each promise with its measured value."""
        _say("")
        wide = max(len(verdict.promise) for verdict in verdicts)
        for verdict in verdicts:
            _say(f"{WORDS[verdict.held]} {verdict.promise:<{wide}}  {verdict.measured}")
        _say(closing(verdicts, seconds))


def closing(verdicts: Sequence[Verdict], seconds: float) -> str:
    """Return one sentence with the result."""
    held = sum(verdict.held for verdict in verdicts)
    return f"{held} of {len(verdicts)} promises held, in {seconds:.1f} s"


def _say(line: str) -> None:
    print(line.rstrip(), flush=True)
