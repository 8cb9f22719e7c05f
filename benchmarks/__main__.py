"""`python -m benchmarks`: run every figure and write the results. It needs no package: the sides have theirs.

::

    python -m benchmarks                 all of it, under five minutes; writes RESULTS.md, results.json, chart.svg
    python -m benchmarks --quick         one short round on plain asyncio, under a minute; writes to benchmarks/.quick/
    python -m benchmarks --only unary    one figure (may be repeated); writes to benchmarks/.quick/
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks._interpreters import Interpreter, find_interpreters
from benchmarks._progress import Progress
from benchmarks._rounds import Bench
from benchmarks.figures import FIGURES
from benchmarks.report import Results, write

_HERE = Path(__file__).resolve().parent
_ROUNDS, _SECONDS = 3, 0.8
_QUICK_ROUNDS, _QUICK_SECONDS = 1, 0.25


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Penstock beside its peers, in turns.")
    parser.add_argument("--quick", action="store_true", help="one short round on plain asyncio")
    parser.add_argument("--only", action="append", choices=list(FIGURES), help="this figure only; may be repeated")
    parser.add_argument("--loop", action="append", choices=["asyncio", "uvloop"], help="this event loop only")
    return parser.parse_args()


def _loops(arguments: argparse.Namespace, interpreters: dict[str, Interpreter]) -> tuple[str, ...]:
    if arguments.loop:
        return tuple(arguments.loop)
    everywhere = all("uvloop" in interpreter.packages for interpreter in interpreters.values())
    return ("asyncio", "uvloop") if everywhere and not arguments.quick else ("asyncio",)


def _bench(arguments: argparse.Namespace, progress: Progress) -> Bench:
    interpreters = find_interpreters(progress.say)
    rounds, seconds = (_QUICK_ROUNDS, _QUICK_SECONDS) if arguments.quick else (_ROUNDS, _SECONDS)
    return Bench(interpreters, _loops(arguments, interpreters), rounds, seconds, progress)


def _folder(arguments: argparse.Namespace) -> Path:
    if not (arguments.quick or arguments.only or arguments.loop):
        return _HERE
    folder = _HERE / ".quick"
    folder.mkdir(exist_ok=True)
    return folder


def _main() -> None:
    arguments = _arguments()
    progress, load_before = Progress(), os.getloadavg()[0]
    bench = _bench(arguments, progress)
    wanted = arguments.only or FIGURES
    outcomes = {name: figure(bench) for name, figure in FIGURES.items() if name in wanted}
    options = " --quick" if arguments.quick else ""
    results = Results(outcomes, dict(bench.interpreters), bench.rounds, options, progress.elapsed_s(), load_before)
    folder = _folder(arguments)
    write(results, folder)
    progress.say(f"wrote {folder.relative_to(_HERE.parent)}/RESULTS.md, results.json and chart.svg")


if __name__ == "__main__":
    _main()
