"""A gateway that sends tokens to browsers, beside FastAPI with sse-starlette. Which contenders; how is in `_rounds.py`."""

from __future__ import annotations

from benchmarks._rounds import Bench, Contender
from benchmarks.figures._abc import Goal, Outcome, compare

#: More events than either gateway can send: what is compared is a busy processor.
_READERS, _GAP_S = 100, 0.001


def gateway(bench: Bench) -> Outcome:
    """A hundred readers follow tokens that come one by one, as server-sent events."""
    arguments = {"readers": _READERS, "gap_s": _GAP_S}
    contenders = [
        Contender("penstock", "events-penstock", "follow", arguments=arguments),
        Contender("FastAPI, sse-starlette", "events-fastapi", "follow", arguments=arguments),
    ]
    goals = [Goal("penstock", "FastAPI, sse-starlette", 5)]
    return compare(bench, "server-sent events to 100 readers", contenders, goals)
