"""What `import penstock` costs: the standard library and msgspec, nothing optional."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES_MAX = 300  # asyncio alone brings 136, Penstock's own files 130
OPTIONAL = {"backports", "click", "cryptography", "prompt_toolkit", "psutil", "rich", "uvloop"}
#: Packages that msgspec imports where they are installed, as beside the tests.
NOT_OURS = {"typing_extensions"}
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
    assert len(imported - NOT_OURS) <= MODULES_MAX


def test_the_command_line_starts_without_the_optional_packages():
    started = _modules_after("import penstock.cli")
    assert not (OPTIONAL - {"click"}) & {name.partition(".")[0] for name in started}


@pytest.mark.parametrize("module", ["_actors", "_channel", "_messages", "_top"])
def test_a_command_that_only_talks_to_a_node_imports_no_database(module):
    assert "sqlite3" not in _modules_after(f"import penstock.cli._node.{module}")
