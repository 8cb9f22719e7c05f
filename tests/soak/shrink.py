"""Shrink a program that fails: leave out actions, and make the rest simpler, as long as it fails in the same way.

Delta debugging (A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over the list of
actions, then a value at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.soak.program import Action, Program

#: Values that are simpler than others, by the word that they belong to. A flow of more items than that is as simple as it is.
SIMPLE: Final[dict[str, Any]] = {
    "pause_s": 0.0,
    "slow_s": 0.0,
    "size": 8,
    "buffer": None,
    "ending": "whole",
    "count": 1,
    "times": 1,
    "bytes": 0,
}
CALM: Final[dict[str, Any]] = {
    "latency_s": (0.0, 0.0),
    "split": 0.0,
    "coalesce": 0.0,
    "bandwidth_bytes_s": None,
    "loss": 0.0,
}
DEFAULTS: Final[dict[str, Any]] = {
    "window_items": 256,
    "window_bytes": 256 * 1024,
    "max_frame_bytes": 256 * 1024,
    "compression": "none",
}


def kind_of(wrongs: list[str]) -> str:
    """Return the kind of what went wrong first: its first word."""
    return wrongs[0].partition(":")[0] if wrongs else ""


def shrink(program: Program, fails: Callable[[Program], bool], *, for_s: float = 60.0) -> Program:
    """Return the smallest program found in `for_s` seconds that still fails."""
    ends_at = time.monotonic() + for_s

    def still(candidate: Program) -> bool:
        return time.monotonic() < ends_at and fails(candidate)

    program = _fewer(program, still)
    for candidate_of in (_calmer, _simpler):
        program = _step_by_step(program, candidate_of, still)
    return _fewer(program, still)


def _fewer(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Leave out actions: halves, then quarters, …"""
    actions, parts = list(program.actions), 2
    while len(actions) > 1 and parts <= len(actions):
        size = -(-len(actions) // parts)
        for begin in range(0, len(actions), size):
            candidate = program._replace(actions=tuple(actions[:begin] + actions[begin + size :]))
            if fails(candidate):
                actions, parts = list(candidate.actions), max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(actions), parts * 2)
    return program._replace(actions=tuple(actions))


def _step_by_step(
    program: Program, candidates: Callable[[Program], Iterator[Program]], fails: Callable[[Program], bool]
) -> Program:
    """Take each simpler program that still fails, until none does."""
    while (simpler := next((one for one in candidates(program) if fails(one)), None)) is not None:
        program = simpler
    return program


def _calmer(program: Program) -> Iterator[Program]:
    for name, value in CALM.items():
        if program.sky.get(name, value) != value:
            yield program._replace(sky={**program.sky, name: value})
    for name, value in DEFAULTS.items():
        if program.limits.get(name, value) != value:
            yield program._replace(limits={**program.limits, name: value})


def _simpler(program: Program) -> Iterator[Program]:
    for place, action in enumerate(program.actions):
        for name, value in SIMPLE.items():
            if name in action.given and action.given[name] != value and not (name == "count" and action.given[name] < value):
                changed = Action(action.name, action.at_s, {**action.given, name: value})
                yield program._replace(actions=(*program.actions[:place], changed, *program.actions[place + 1 :]))
