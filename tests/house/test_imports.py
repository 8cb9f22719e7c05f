"""What `import penstock` costs: the standard library and msgspec, nothing optional."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Modules that Penstock imports besides its own and those that asyncio and msgspec bring, which each Python counts otherwise.
MODULES_MAX = 25
OPTIONAL = {"backports", "click", "cryptography", "prompt_toolkit", "psutil", "rich", "uvloop"}
HEAVY = {"email", "http", "multiprocessing", "sqlite3", "unittest", "urllib.request", "xml"}


def _modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def imported() -> set[str]:
    return _modules_after("import penstock")


def test_importing_penstock_imports_nothing_optional(imported):
    assert not OPTIONAL & {name.partition(".")[0] for name in imported}


def test_importing_penstock_imports_nothing_heavy(imported):
    assert not HEAVY & imported


def test_importing_penstock_imports_few_modules(imported):
    """FAULTS I1: on every Python, whatever its own asyncio imports."""
    brought = _modules_after("import asyncio, msgspec")
    added = {name for name in imported - brought if name.partition(".")[0] != "penstock"}
    assert len(added) <= MODULES_MAX, sorted(added)


def test_the_command_line_starts_without_the_optional_packages():
    started = _modules_after("import penstock.cli")
    assert not (OPTIONAL - {"click"}) & {name.partition(".")[0] for name in started}


@pytest.mark.parametrize("module", ["_actors", "_channel", "_messages", "_top"])
def test_a_command_that_only_talks_to_a_node_imports_no_database(module):
    assert "sqlite3" not in _modules_after(f"import penstock.cli._node.{module}")
