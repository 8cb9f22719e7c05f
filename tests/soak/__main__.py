"""`make soak`: play seeded programs for as long as one likes, and show what they met. A fault is shrunk and printed.

::

    make soak                                # for ten minutes, on all processors
    make soak ARGS="--cuts 10000"            # until so many cuts have fallen
    make soak ARGS="--minutes 600 --first 1000000"
    make soak ARGS="--seed 123"              # play one program, and shrink it when it fails
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from typing import Final

from tests.soak.play import Played, play, play_some
from tests.soak.program import program
from tests.soak.report import Total
from tests.soak.shrink import kind_of, shrink

#: Programs that a process plays before it says how they went.
BATCH: Final = 10
#: Faults that are shrunk and shown; more of them are only counted.
SHOWN_MAX: Final = 5
SHRINK_S: Final = 60.0
PROGRESS_S: Final = 10.0


class Soak:
    """Plays programs in processes of their own until enough were played."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._total = Total()
        self._ends_at = time.monotonic() + given.minutes * 60
        self._told_at = 0.0
        self._shown = 0

    def run(self) -> int:
        """Play, and return the exit code."""
        given, total = self._given, self._total
        firsts = count(given.first, BATCH)
        with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
            playing: set[Future[list[tuple[int, Played]]]] = set()
            while playing or not self._enough(0):
                while len(playing) < 2 * given.jobs and not self._enough(len(playing) * BATCH):
                    first = next(firsts)
                    playing.add(pool.submit(play_some, first, first + BATCH))
                done, playing = wait(playing, return_when=FIRST_COMPLETED)
                for batch in done:
                    self._take(batch.result())
        print(f"\n{total.table()}\nin {time.monotonic() - total.began:.0f} s, with {given.jobs} processes")
        return 1 if total.faults else 0

    def _enough(self, playing: int) -> bool:
        given, total = self._given, self._total
        if given.cuts:
            return total.cuts >= given.cuts
        if given.programs:
            return total.programs + playing >= given.programs
        return time.monotonic() > self._ends_at

    def _take(self, batch: list[tuple[int, Played]]) -> None:
        for seed, played in batch:
            self._total.add(played)
            if played.wrongs:
                self._shown += 1
                print(f"\nseed {seed}: {played.wrongs[0]}")
                if self._shown <= SHOWN_MAX:
                    print(shrunken(seed))
        lively = sys.stdout.isatty()
        if lively:
            print(f"\r\033[K{self._total.line()}", end="", flush=True)
        elif time.monotonic() - self._told_at > PROGRESS_S:
            self._told_at = time.monotonic()
            print(self._total.line(), flush=True)


def shrunken(seed: int) -> str:
    """Return the smallest program that fails as that of the seed does, as text, with what is wrong in it."""
    whole = program(seed)
    kind = kind_of(play(whole).wrongs)
    if not kind:
        return "it did not fail again"
    small = shrink(whole, lambda one: kind_of(play(one).wrongs) == kind, for_s=SHRINK_S)
    wrongs = "\n".join(f"  {wrong}" for wrong in play(small).wrongs[:5])
    return f"shrunk from {len(whole.actions)} actions to {len(small.actions)}:\n{small.text()}\n{wrongs}"


def one(seed: int) -> int:
    """Play the program of one seed; return the exit code."""
    played = play(program(seed))
    print(program(seed).text())
    print(f"{played.cuts} cuts, {dict(played.moments)}; {dict(played.outcomes)}")
    if played.wrongs:
        print("\n".join(played.wrongs), shrunken(seed), sep="\n")
    return 1 if played.wrongs else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description="Play seeded programs of flows and faults.")
    parser.add_argument("--seed", type=int, help="play the program of this seed alone")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--programs", type=int, default=0, help="play so many, however long it takes")
    parser.add_argument("--cuts", type=int, default=0, help="play until so many cuts have fallen, however long it takes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    return Soak(given).run() if given.seed is None else one(given.seed)


if __name__ == "__main__":
    sys.exit(main())
