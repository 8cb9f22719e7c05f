"""Write vectors/ and the made parts of PROTOCOL.md anew: `python -m tests.protocol.make_vectors`. It reads no old vectors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from penstock.protocol._states import CALLEE, CALLER, Table, step_name
from tests.protocol import bad_inputs, vectors_frames, vectors_sessions
from tests.protocol.page import PAGE, ROOT, made_anew

VECTORS: Final = ROOT / "vectors"
_RUN: Final = re.compile(rb"(.)\1{63,}", re.DOTALL)


def _states(table: Table) -> dict[str, dict[str, str]]:
    return {
        state: {step_name(kind, flags): following for (kind, flags), following in steps.items()}
        for state, steps in table.items()
    }


def _runs(data: bytes) -> list[Any]:
    """Write bytes as parts: hex, or one byte that is there many times."""
    parts: list[Any] = []
    at = 0
    for run in _RUN.finditer(data):
        parts += [data[at : run.start()].hex(), {"repeat": run[1].hex(), "times": len(run[0])}]
        at = run.end()
    return [part for part in (*parts, data[at:].hex()) if part]


def _bad(case: bad_inputs.Bad) -> dict[str, Any]:
    before = [{what: _runs(given) if isinstance(given, bytes) else given} for what, given in case.before]
    outcome: dict[str, Any] = {"ignored": True}
    if case.rule is not None:
        outcome = {"rule": case.rule}
    elif case.status is not None:
        outcome = {"status": case.status}
    return {
        "name": case.name,
        "receiver": case.role,
        "greeted": case.greeted,
        "before": before,
        "data": _runs(case.data),
        "outcome": outcome,
    }


def vectors() -> dict[str, Any]:
    """Make the content of every file."""
    made: dict[str, Any] = {
        "frames.json": vectors_frames.frames(),
        "fragments.json": vectors_frames.fragments(),
        "compression.json": vectors_frames.compression(),
        "values.json": vectors_frames.values(),
        "proof.json": vectors_frames.proof(),
        "states.json": {"caller": _states(CALLER), "callee": _states(CALLEE)},
        "bad_inputs.json": {"limits": bad_inputs.LIMITS, "cases": [_bad(case) for case in bad_inputs.CASES]},
    }
    for name, play in vectors_sessions.SESSIONS.items():
        made[f"sessions/{name}.json"] = {"limits": vectors_sessions.LIMITS, "steps": play().steps}
    return made


def written(content: Any) -> str:
    """Write a file's content as text."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main(folder: Path = VECTORS) -> None:
    for name, content in vectors().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(content), encoding="utf-8")
    PAGE.write_text(made_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
