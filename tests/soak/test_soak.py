"""Seeded programs of flows and faults: a fixed set and a fresh one. `make soak` plays more, for as long as one likes."""

from __future__ import annotations

import logging
import random

import pytest

from tests.soak.__main__ import shrunken
from tests.soak.play import play
from tests.soak.program import Program, program
from tests.soak.shrink import kind_of, shrink

FIXED, FRESH, TOGETHER = 20, 10, 10
#: The programs of this run that no other run has played; a failure names its seed.
FRESH_FIRST = random.SystemRandom().randrange(10**6, 10**9)


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def check(seed: int) -> None:
    played = play(program(seed))
    assert not played.wrongs, f"make soak ARGS='--seed {seed}': {played.wrongs}\n{shrunken(seed)}"


@pytest.mark.parametrize("first", range(0, FIXED, TOGETHER))
def test_the_fixed_programs_meet_what_they_must(first):
    for seed in range(first, first + TOGETHER):
        check(seed)


@pytest.mark.parametrize("part", range(0, FRESH, TOGETHER))
def test_programs_that_were_never_played_meet_what_they_must(part):
    for seed in range(FRESH_FIRST + part, FRESH_FIRST + part + TOGETHER):
        check(seed)


def test_a_program_is_played_the_same_way_again():
    for seed in range(100, 105):
        assert play(program(seed)) == play(program(seed))


def test_the_text_of_a_program_is_the_program():
    whole = program(1)
    seed, sky, limits, *actions = whole.text().splitlines()
    values = eval("".join(actions).removeprefix("actions "))
    assert [tuple(action) for action in whole.actions] == values
    assert (seed, sky, limits) == ("seed 1", f"sky {whole.sky}", f"limits {whole.limits}")


def test_shrinking_finds_the_two_actions_that_matter():
    whole = next(one for one in map(program, range(100)) if len(one.actions) > 8)
    culprits = {whole.actions[2].name, whole.actions[-2].name}
    asked = []

    def fails(one: Program) -> bool:
        asked.append(one)
        return culprits <= {action.name for action in one.actions}

    small = shrink(whole, fails)
    assert {action.name for action in small.actions} == culprits
    assert len(small.actions) == len(culprits)
    assert small.sky["split"] == small.sky["loss"] == 0.0
    assert len(asked) < 200


def test_a_fault_is_named_by_its_first_word():
    assert kind_of(["lost: item 3 where 2 is next", "hung: x"]) == "lost"
    assert kind_of([]) == ""
