"""A stream of tokens can be stopped, and its producer knows."""

from __future__ import annotations

import re

import pytest

from tests.examples._programs import PROGRAM_SECONDS_MAX, run, running

pytestmark = pytest.mark.processes

# What the model had on its way when the reader stopped: on a busy machine a token or two more.
AHEAD_MAX = 10


def _stopped_at(printed: str) -> int:
    return int(re.search(r"\[model\] finally: stopped at token (\d+)", printed)[1])


def test_leaving_the_loop_runs_the_finally_of_the_model():
    printed = run("tokens.py", "--stop-after", "5")
    assert len(printed.splitlines()[0].split()) == 5
    assert 5 <= _stopped_at(printed) <= 5 + AHEAD_MAX


def test_the_same_prompt_brings_the_same_tokens():
    first, second = (run("tokens.py", "Why is water wet?", "--stop-after", "3").splitlines()[0] for _ in range(2))
    assert first == second


def test_enter_stops_the_stream_with_an_outcome_of_its_own():
    with running("tokens.py") as program:
        printed = program.stdout.read(1)
        rest, complaints = program.communicate("\n", timeout=PROGRAM_SECONDS_MAX)
    printed += rest
    assert (program.returncode, complaints) == (0, "")
    received = int(re.search(r"\[you\] pressed Enter after (\d+) tokens", printed)[1])
    assert received >= 1
    assert received <= _stopped_at(printed) <= received + AHEAD_MAX
