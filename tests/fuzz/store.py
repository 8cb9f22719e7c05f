"""The stored corpus: a text file for each target, an input in hexadecimal in each line."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.targets import SEEDS

FOLDER = Path(__file__).parent / "corpus"


def stored(target: str) -> list[bytes]:
    """Return the inputs that were found for a target, and kept."""
    path = FOLDER / f"{target}.hex"
    return [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()] if path.exists() else []


def corpus(target: str) -> list[bytes]:
    """Return all inputs that a target begins with."""
    return [*SEEDS[target], *stored(target)]


def keep(target: str, inputs: list[bytes]) -> None:
    """Store the inputs of a target, the shortest first."""
    FOLDER.mkdir(exist_ok=True)
    lines = [data.hex() + "\n" for data in sorted(set(inputs), key=lambda data: (len(data), data)) if data]
    (FOLDER / f"{target}.hex").write_text("".join(lines), encoding="ascii")
