"""Streams: how many items a second, beside the peers. Which peers and which targets; how is in `_rounds.py`."""

from __future__ import annotations

from dataclasses import replace

from benchmarks._rounds import Bench, Contender
from benchmarks.figures._abc import Goal, Outcome, Row, Verdict, compare, show

_CHUNK_BYTES = 64 * 1024
_QUIET_MACHINE_PER_S = 1e6


def _modern(bench: Bench) -> str:
    """Name the interpreter that Casty runs on."""
    return bench.interpreters["modern"].label if "modern" in bench.interpreters else "Python ≥ 3.12"


def pipe(bench: Bench) -> Outcome:
    """Bounded pipes in one process."""
    ours = f"penstock, {_modern(bench)}"
    contenders = [
        Contender("penstock", "penstock-pipe", "pipe", "none"),
        Contender("asyncio.Queue(100)", "queue", "pipe", "none"),
        Contender("penstock batches", "penstock-batches", "pipe", "none"),
        Contender("anyio", "anyio", "pipe", "none"),
        Contender(ours, "penstock-pipe", "pipe", "none", python="modern"),
        Contender("casty", "casty-local", "pipe", "none", python="modern"),
    ]
    goals = [
        Goal("penstock", "asyncio.Queue(100)", 2),
        Goal("penstock batches", "asyncio.Queue(100)"),
        Goal("penstock", "anyio", 10),
        Goal(ours, "casty", 3),
    ]
    return compare(replace(bench, seconds=bench.seconds / 2), "in-process pipe", contenders, goals)


def server_stream(bench: Bench) -> Outcome:
    """A 5-field struct from one process to another, over every transport that is here."""
    ours = f"penstock tcp, {_modern(bench)}"
    work = "server_stream"
    contenders = [
        Contender("penstock tcp", "penstock", work),
        Contender("grpc.aio", "grpc", work),
        Contender("penstock unix", "penstock", work, transport="unix"),
        Contender("penstock tls", "penstock", work, transport="tls"),
        Contender("penstock batches()", "penstock", "server_batches"),
        Contender("rsocket-py", "rsocket", work),
        Contender(ours, "penstock", work, python="modern"),
        Contender("casty", "casty", work, python="modern"),
    ]
    goals = [
        Goal("penstock tcp", "grpc.aio", 40),
        Goal("penstock unix", "grpc.aio"),
        Goal("penstock tls", "grpc.aio"),
        Goal("penstock batches()", "grpc.aio"),
        Goal("penstock tcp", "rsocket-py"),
        Goal(ours, "casty", 12),
    ]
    outcome = compare(bench, "server stream", contenders, goals)
    outcome.rows[1:1] = [row for loop in bench.loops for row in _absolute(outcome, loop)]
    return outcome


def _absolute(outcome: Outcome, loop: str) -> list[Row]:
    answers = outcome.rounds[loop]["answers"]
    assert isinstance(answers, dict)
    if "penstock tcp" not in answers:
        return []
    best = max(answer["per_s"] for answer in answers["penstock tcp"])
    verdict: Verdict = "met" if best >= _QUIET_MACHINE_PER_S else "missed"
    shown = f"{show(best, 'per_s')} at best"
    return [Row("server stream: penstock tcp", loop, "≥ 1 M/s on a quiet machine", shown, "—", "—", verdict)]


def client_stream(bench: Bench) -> Outcome:
    """The same struct the other way."""
    return _against_grpc(bench, "client stream", "client_stream", 30)


def bidirectional(bench: Bench) -> Outcome:
    """Every item there and back."""
    return _against_grpc(bench, "bidirectional stream", "bidirectional", 30)


def _against_grpc(bench: Bench, title: str, work: str, limit: float) -> Outcome:
    contenders = [Contender("penstock tcp", "penstock", work), Contender("grpc.aio", "grpc", work)]
    return compare(bench, title, contenders, [Goal("penstock tcp", "grpc.aio", limit)])


def chunks(bench: Bench) -> Outcome:
    """64 KiB of bytes an item: how much of the machine is left."""
    size = {"size": _CHUNK_BYTES}
    contenders = [
        Contender("penstock tcp", "penstock", "chunks", arguments=size),
        Contender("grpc.aio", "grpc", "chunks", arguments=size),
        Contender("raw asyncio", "raw", "chunks", arguments=size),
    ]
    goals = [Goal("penstock tcp", "grpc.aio", 1), Goal("penstock tcp", "raw asyncio", 0.6)]
    return compare(bench, "64 KiB items", contenders, goals)
