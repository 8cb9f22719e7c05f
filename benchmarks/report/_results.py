"""RESULTS.md and results.json. Machine names, user names and paths never get in."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._interpreters import Interpreter
from benchmarks.figures import Outcome, Row
from benchmarks.report._chart import draw

_HEAD = """\
# Results

Written by `python -m benchmarks{options}`; how to read it and what is fair about it: [README.md](README.md). Ratios are
medians over {rounds} rounds, each taken between runs of the same minute. All rounds are in `results.json`. CPU times
are the steadier figures: on another machine, or one with other work, compare those.

{machine}

![items per second, log scale](chart.svg)

"""
_COLUMNS = ("figure", "event loop", "target", "measured", "peer", "ratio", "", "CPU an item, driver + server; the peer's")
_MARKS = {"met": "met", "missed": "**missed**", "noted": "", "not measured": "not measured"}


@dataclass(frozen=True)
class Results:
    """One run of the benchmarks."""

    outcomes: dict[str, Outcome]
    interpreters: dict[str, Interpreter]
    rounds: int
    options: str
    took_s: float
    load_before: float


def write(results: Results, folder: Path) -> None:
    """Write RESULTS.md, results.json and chart.svg into `folder`."""
    (folder / "RESULTS.md").write_text(_markdown(results))
    (folder / "results.json").write_text(json.dumps(_record(results), indent=1) + "\n")
    (folder / "chart.svg").write_text(draw(results.outcomes))


def _machine(load_before: float) -> dict[str, object]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _record(results: Results) -> dict[str, object]:
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(results.took_s),
        "rounds": results.rounds,
        "machine": _machine(results.load_before),
        "versions": {name: {"python": it.version} | it.named() for name, it in results.interpreters.items()},
        "figures": {name: asdict(outcome) for name, outcome in results.outcomes.items()},
    }


def _markdown(results: Results) -> str:
    rows = [row for outcome in results.outcomes.values() for row in outcome.rows]
    head = _HEAD.format(options=results.options, rounds=results.rounds, machine=_sentence(results))
    table = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *map(_row, rows)]
    notes = sorted({row.note for row in rows if row.verdict == "not measured"})
    absent = ["", "Not measured:", "", *(f"- {note}" for note in notes)] if notes else []
    return head + "\n".join([*table, *absent]) + "\n"


def _sentence(results: Results) -> str:
    machine = _machine(results.load_before)
    versions = "; ".join(
        f"{it.label}: " + ", ".join(f"{name} {number}" for name, number in it.named().items())
        for it in {it.python: it for it in results.interpreters.values()}.values()
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"load {machine['load_before']} before and {machine['load_after']} after, in {results.took_s:.0f} s. {versions}."
    )


def _row(row: Row) -> str:
    return _line([row.figure, row.loop, row.target, row.ours, row.peer, row.ratio, _MARKS[row.verdict], row.cpu])


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
