"""Retained streams beside NATS JetStream. Which contenders and which targets; how is in `_rounds.py`."""

from __future__ import annotations

from typing import Any

from benchmarks._rounds import Bench, Contender
from benchmarks.figures._abc import Goal, Outcome, compare

_GAP_S = 0.002


def followed(bench: Bench) -> Outcome:
    """A stream is written in one process and read to its end in another one, at the same time."""
    return _beside(bench, "retained stream, written and read", "follow", "per_s", "more", {})


def append_to_reader(bench: Bench) -> Outcome:
    """Items come one by one: the time from the append to a reader in another process."""
    return _beside(bench, "retained stream, append to reader", "append_to_reader", "p50_us", "sooner", {"gap_s": _GAP_S})


def _beside(bench: Bench, title: str, work: str, key: str, sense: Any, arguments: dict[str, object]) -> Outcome:
    contenders = [
        Contender("penstock in memory", "retained-memory", work, arguments=arguments),
        Contender("JetStream in memory", "jetstream-memory", work, arguments=arguments),
        Contender("penstock in a file", "retained-file", work, arguments=arguments),
        Contender("JetStream in a file", "jetstream-file", work, arguments=arguments),
    ]
    goals = [
        Goal("penstock in memory", "JetStream in memory", 1, key, sense),
        Goal("penstock in a file", "JetStream in a file", 1, key, sense),
    ]
    return compare(bench, title, contenders, goals)
