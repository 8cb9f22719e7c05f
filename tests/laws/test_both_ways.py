"""The differential test: programs made by seeds meet the same in one process and across two ends."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from penstock.testing import run
from tests.laws.programs import MEANT, Runner, Step, program
from tests.laws.ways import place

PROGRAMS = 300
#: Programs of one test: the tests share the processors.
TOGETHER = 25
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def _met(way: str, steps: list[Step], url: str | None = None) -> list[object]:
    async with place(way, url) as there, asyncio.timeout(10_000):
        return await Runner(there, "desk").run(steps)


@pytest.mark.parametrize("first", range(0, PROGRAMS, TOGETHER))
def test_a_program_meets_the_same_here_across_a_connection_and_through_a_bridge(first):
    for seed in range(first, first + TOGETHER):
        steps = program(seed)
        here = run(_met("here", steps))
        way = "bridge" if seed % 3 == 0 else "memory"
        assert run(_met(way, steps)) == here, f"program {seed}, {way}: {steps}"


async def test_a_program_that_needs_no_clock_meets_the_same_over_tcp():
    count = 0
    for seed in range(PROGRAMS):
        steps = program(seed)
        if any(step.timed for step in steps):
            continue
        count += 1
        here = await _met("here", steps)
        assert await _met("memory", steps, "tcp://127.0.0.1:0") == here, f"program {seed}: {steps}"
    assert count >= PROGRAMS / 3


@pytest.mark.parametrize("name", MEANT)
def test_a_difference_that_is_meant_is_told_to_users(name):
    page, words = MEANT[name]
    assert words in " ".join((ROOT / page).read_text("utf-8").split())
