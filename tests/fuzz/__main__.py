"""`make fuzz`: coverage-guided fuzzing by Atheris, a target after the other. What reaches new code is added to the corpus.

::

    make fuzz                                    # two minutes for each target
    make fuzz ARGS="machine --minutes 60"
    make fuzz ARGS="machine --again 04ff00"      # one input, in hexadecimal
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.fuzz.store import corpus, keep, stored
from tests.fuzz.targets import SEEDS, TARGETS

#: The longest input, in bytes, and the bytes of the stored corpus of one target: small enough for a repository.
INPUT_BYTES_MAX: Final = 2048
STORED_BYTES_MAX: Final = 24 * 1024
#: A single input that takes longer is a finding.
INPUT_S_MAX: Final = 10
MEMORY_MIB_MAX: Final = 2048
_PULSE: Final = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+) corp: (\d+).*exec/s: (\d+)")


def worker(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.worker", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def fuzz(target: str, minutes: float) -> bool:
    """Fuzz one target; return whether it held."""
    with tempfile.TemporaryDirectory() as folder:
        found, crashes = Path(folder) / "found", Path(folder) / "crashes"
        found.mkdir()
        crashes.mkdir()
        for number, data in enumerate(corpus(target)):
            (found / f"seed-{number}").write_bytes(data)
        limits = [f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S_MAX}", f"-rss_limit_mb={MEMORY_MIB_MAX}"]
        process = worker(target, str(found), f"-max_total_time={int(minutes * 60)}", f"-artifact_prefix={crashes}/", *limits)
        tail = _show(target, process)
        for crash in crashes.iterdir():
            kind = crash.name.partition("-")[0]
            print(f"\n{target}: FAULT ({kind}): make fuzz ARGS='{target} --again {crash.read_bytes().hex()}'")
            print("".join(tail[-40:]))
        if process.returncode == 0:
            _store(target, [path.read_bytes() for path in found.iterdir() if not path.name.startswith("seed-")])
        return process.returncode == 0


def _show(target: str, process: subprocess.Popen[str]) -> list[str]:
    """Show how a run goes on; return the last lines that it has said."""
    assert process.stderr is not None
    tail: list[str] = []
    began, told = time.monotonic(), 0.0
    for line in process.stderr:
        tail = [*tail[-200:], line]
        pulse = _PULSE.search(line)
        if pulse and time.monotonic() - told > 1:
            told = time.monotonic()
            runs, covered, features, inputs, rate = pulse.groups()
            text = f"{target}: {int(runs):,} inputs, {rate} a second, {covered} places, {features} features, corpus {inputs}"
            print(
                f"\r\033[K{text}, {told - began:.0f} s" if sys.stdout.isatty() else text,
                end="" if sys.stdout.isatty() else "\n",
            )
            sys.stdout.flush()
    process.wait()
    return tail


def _store(target: str, inputs: list[bytes]) -> None:
    """Keep the shortest inputs that have reached new code, as far as there is room; none that was stored is dropped."""
    kept, seeds = stored(target), set(SEEDS[target])
    size = sum(map(len, kept))
    for data in sorted(inputs, key=len):
        if data not in seeds and data not in kept and size + len(data) <= STORED_BYTES_MAX:
            kept.append(data)
            size += len(data)
    keep(target, kept)
    print(f"\n{target}: {len(kept)} inputs are stored, {size:,} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Coverage-guided fuzzing.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="all by default")
    parser.add_argument("--minutes", type=float, default=2.0, help="for each target")
    parser.add_argument("--again", help="run one target with one input, in hexadecimal")
    given = parser.parse_args()
    targets = given.targets or [*TARGETS]
    if given.again is not None:
        TARGETS[targets[0]](bytes.fromhex(given.again))
        print("it holds")
        return 0
    held = [fuzz(target, given.minutes) for target in targets]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
