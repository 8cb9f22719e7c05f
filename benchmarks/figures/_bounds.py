"""Bounds that the design promises in absolute figures: run-ahead, `break`, idle streams. No peer has part in them."""

from __future__ import annotations

from typing import Any

from benchmarks._processes import Pair, SideFailed
from benchmarks._rounds import Bench, Contender, open_pair
from benchmarks.figures._abc import Outcome, Row, Verdict, show

_BUFFER_SIZE = 16
_TRANSPORTS = ("memory", "tcp", "tls", "unix")
_KINDS = ("server", "client", "bidirectional")
_SIZES = {"8 B": 8, "1 KiB": 1024, "1 MiB": 1024 * 1024}
_BREAKS = 300
_BREAK_P99_US = 5000.0
_IDLE_STREAMS = 10_000
_IDLE_WARM_UP = 500
_IDLE_BYTES = 2048


def _lost(bench: Bench, outcome: Outcome, row: tuple[str, str, str], why: SideFailed) -> None:
    figure, loop, target = row
    _report(bench, outcome, Row(figure, loop, target, "—", "—", "—", "not measured", f"{figure}: {why}"))


def _report(bench: Bench, outcome: Outcome, row: Row) -> None:
    outcome.rows.append(row)
    bench.progress.say(f"{row.figure} · {row.loop} · {row.ours}: {row.verdict} {row.note}")


def run_ahead(bench: Bench) -> Outcome:
    """How far a producer is ahead of a consumer that stalled; each size of item, each kind of stream, each transport."""
    outcome = Outcome("run-ahead", "items")
    loop = bench.loops[0]
    for transport in _TRANSPORTS:
        try:
            with open_pair(bench, loop, Contender("", "penstock-stall", "run_ahead", transport)) as pair:
                _one_transport(bench, outcome, pair, transport)
        except SideFailed as why:
            _lost(bench, outcome, (f"run-ahead: {transport}", loop, f"= buffer_size ({_BUFFER_SIZE})"), why)
    return outcome


def _one_transport(bench: Bench, outcome: Outcome, pair: Pair, transport: str) -> None:
    for kind in _KINDS:
        for label, size in _SIZES.items():
            bench.progress.step(f"run-ahead · {transport} · {kind} · {label}")
            answer = pair.driver.ask("run_ahead", kind=kind, size=size)
            outcome.rounds[f"{transport} {kind} {label}"] = answer
        found = {label: outcome.rounds[f"{transport} {kind} {label}"] for label in _SIZES}
        _report(bench, outcome, _bound_row(bench.loops[0], f"run-ahead: {transport}, {kind} stream", found))


def _bound_row(loop: str, figure: str, found: dict[str, Any]) -> Row:
    most = {label: max(answer["ahead"] + answer["other"]) for label, answer in found.items()}
    exact = all(number == _BUFFER_SIZE for number in most.values())
    shown = ", ".join(f"{number} at {label}" for label, number in most.items())
    return Row(figure, loop, f"= buffer_size ({_BUFFER_SIZE})", shown, "—", "—", "met" if exact else "missed")


def leaving(bench: Bench) -> Outcome:
    """From `break` in one process to the producer's `finally` in another."""
    outcome = Outcome("break → finally", "µs")
    for loop in bench.loops:
        for producer, after in (("flowing", 50), ("quiet", 1)):
            figure = f"break → finally, {producer} producer"
            bench.progress.step(f"{figure} · {loop}")
            try:
                with open_pair(bench, loop, Contender("", "penstock-held", "breaks")) as pair:
                    pair.driver.ask("breaks", count=20, producer=producer, after=after)
                    answer = pair.driver.ask("breaks", count=_BREAKS, producer=producer, after=after)
            except SideFailed as why:
                _lost(bench, outcome, (figure, loop, "p99 < 5 ms"), why)
                continue
            outcome.rounds[f"{loop} {producer}"] = answer
            _report(bench, outcome, _break_row(loop, figure, answer))
    return outcome


def _break_row(loop: str, figure: str, answer: dict[str, float]) -> Row:
    verdict: Verdict = "met" if answer["p99_us"] < _BREAK_P99_US else "missed"
    shown = f"p50 {show(answer['p50_us'], 'p50_us')}, p99 {show(answer['p99_us'], 'p99_us')}"
    return Row(figure, loop, "p99 < 5 ms", shown, "—", "—", verdict, f"{_BREAKS} breaks")


def idle(bench: Bench) -> Outcome:
    """What an open stream costs while nothing happens: memory of both processes, 10,000 streams on one connection."""
    outcome = Outcome("idle stream", "bytes")
    loop = bench.loops[-1]
    figure, target = f"idle stream ({_IDLE_STREAMS:,} on one connection)", "≤ 2 KiB, each side"
    bench.progress.step(f"{figure} · {loop}")
    try:
        with open_pair(bench, loop, Contender("", "bare", "hold", "none")) as pair:
            bare = _hold(pair)["driver"]
        with open_pair(bench, loop, Contender("", "penstock-held", "hold")) as pair:
            answer = _hold(pair)
    except SideFailed as why:
        _lost(bench, outcome, (figure, loop, target), why)
        return outcome
    outcome.rounds[loop] = {**answer, "bare": bare}
    verdict: Verdict = "met" if max(answer["driver"], answer["server"]) <= _IDLE_BYTES else "missed"
    shown = f"caller {answer['driver']:,.0f} B, handler {answer['server']:,.0f} B"
    peer, ratio = f"bare task and generator {bare:,.0f} B", f"{answer['server'] / bare:.2f} ×"
    _report(bench, outcome, Row(figure, loop, target, shown, peer, ratio, verdict))
    return outcome


def _hold(pair: Pair) -> dict[str, float]:
    pair.driver.ask("hold", count=_IDLE_WARM_UP)
    before = _memory(pair, 0)
    opened = _IDLE_STREAMS - _IDLE_WARM_UP
    after = _memory(pair, opened)
    return {role: (after[role] - before[role]) / opened for role in before}


def _memory(pair: Pair, more: int) -> dict[str, int]:
    """Open `more` streams; then the bytes that each process holds."""
    held = {"driver": pair.driver.ask("hold", count=more)}
    return held | {"server": pair.server.ask("memory")} if pair.server else held
