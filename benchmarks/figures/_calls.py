"""Small calls: how soon, how many, and beside what. Which peers and which targets; how is in `_rounds.py`."""

from __future__ import annotations

from benchmarks._rounds import Bench, Contender
from benchmarks.figures._abc import Goal, Outcome, compare

_WIDTH = 100


def unary(bench: Bench) -> Outcome:
    """One small call after the other: p50 and p99."""
    contenders = [
        Contender("penstock tcp", "penstock", "unary"),
        Contender("raw asyncio echo", "raw", "unary"),
        Contender("grpc.aio", "grpc", "unary"),
    ]
    goals = [
        Goal("penstock tcp", "raw asyncio echo", 1.6, "p50_us", "within"),
        Goal("penstock tcp", "grpc.aio", 4, "p50_us", "sooner"),
        Goal("penstock tcp", "raw asyncio echo", None, "p99_us", "within"),
        Goal("penstock tcp", "grpc.aio", None, "p99_us", "sooner"),
    ]
    return compare(bench, "unary, sequential", contenders, goals)


def in_flight(bench: Bench) -> Outcome:
    """A hundred small calls at a time."""
    width = {"width": _WIDTH}
    contenders = [
        Contender("penstock tcp", "penstock", "in_flight", arguments=width),
        Contender("grpc.aio", "grpc", "in_flight", arguments=width),
    ]
    return compare(bench, "unary, 100 in flight", contenders, [Goal("penstock tcp", "grpc.aio", 10)])


def beside_bulk(bench: Bench) -> Outcome:
    """Small calls beside a stream that takes all the connection gives."""
    contenders = [
        Contender("beside a bulk stream", "penstock", "unary_beside_bulk"),
        Contender("idle", "penstock", "unary"),
    ]
    goals = [
        Goal("beside a bulk stream", "idle", 3, "p99_us", "within"),
        Goal("beside a bulk stream", "idle", None, "p50_us", "within"),
    ]
    return compare(bench, "unary beside bulk", contenders, goals)
