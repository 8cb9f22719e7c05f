"""Every line of both lists has a test that exists, or a reason in writing."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.attack.violations import ALL
from tests.house._source import ROOT
from tests.protocol import bad_inputs
from tests.reliability.lines import BAD_INPUTS, FAULTS, Line

LINES = [*FAULTS, *BAD_INPUTS]
#: The faults that are also tried on real sockets.
ON_SOCKETS = {"1", "2", "4", "5", "6", "8", "14", "15", "16", "19", "24"}


@cache
def functions(path: str) -> set[str]:
    """Return the names of the tests in a file below `tests/`."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def exists(test: str) -> bool:
    kind, _, name = test.partition(": ")
    if kind == "bad input":
        return name in {bad.name for bad in bad_inputs.CASES}
    if kind == "violation":
        return name in {violation.name for violation in ALL}
    path, _, function = test.partition("::")
    return (ROOT / "tests" / path).is_file() and function in functions(path)


@pytest.mark.parametrize("line", LINES, ids=[line.what for line in LINES])
def test_every_line_has_tests_that_exist_or_a_reason(line: Line):
    named = [*line.tests, *line.sockets]
    assert named or line.why_not
    assert [test for test in named if not exists(test)] == []


def test_the_faults_for_real_sockets_have_one_there():
    assert {line.what.partition(" ")[0] for line in FAULTS if line.sockets} == ON_SOCKETS
    assert len(FAULTS) == 24
