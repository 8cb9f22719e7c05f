"""The instruments of the house tests find what they look for: each is shown a small package with the fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house._exports import exported_for_one, unused
from tests.house._graph import circles, file_graph
from tests.house._sessions import flushes, into_connection, into_wire, written_ledgers
from tests.house._source import modules, short
from tests.house._twice import classes_twice, constants_twice
from tests.house._words import IS_NO, count, places_of, prose_share
from tests.house.figures import figures


@pytest.fixture
def package(tmp_path):
    """Make a package of the given files, by path below it."""

    def make(**files: str) -> Path:
        root = tmp_path / "src" / "penstock"
        for name, text in files.items():
            path = root.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for folder in {path.parent for path in root.rglob("*.py")} | {root}:
            (folder / "__init__.py").touch()
        return root

    return make


def _init(package: Path, room: str, text: str) -> None:
    (package / room / "__init__.py").write_text(text, encoding="utf-8")


def _circles(package: Path) -> list[list[str]]:
    return [[short(path) for path in circle] for circle in circles(file_graph(package))]


def test_a_circle_through_an_init_and_a_type_import_is_found(package):
    root = package(
        a___x="from penstock.b import Y\nclass X: ...\n",
        b___y="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from penstock.a import X\nclass Y: ...\n",
        b___z="from penstock.a import X\n",
    )
    _init(root, "a", "from penstock.a._x import X\n")
    _init(root, "b", "from penstock.b._y import Y\nfrom penstock.b._z import X\n")
    assert _circles(root) == [["src/penstock/a/_x.py", "src/penstock/b/_y.py"]]


def test_a_circle_by_a_module_that_is_imported_whole_is_found(package):
    root = package(
        a___x="from penstock import b\nb.Y\n",
        b___y="def late():\n    import penstock.a\n    return penstock.a.X\nclass Y: ...\n",
    )
    _init(root, "a", "from penstock.a._x import X\n")
    _init(root, "b", "from penstock.b._y import Y\n")
    assert _circles(root) == [["src/penstock/a/_x.py", "src/penstock/b/_y.py"]]


def test_files_in_one_direction_are_no_circle(package):
    root = package(a___x="from penstock.a._y import Y\n", a___y="from penstock.a._z import Z\n", a___z="Z = Y = 1\n")
    assert not _circles(root)


@pytest.mark.parametrize(
    ("find", "line"),
    [
        (into_connection, "handle.session._connection.close()"),
        (into_connection, "taken = session.connection"),
        (flushes, "self.session.flush_soon()"),
        (flushes, "session.flush_for(1)"),
        (into_wire, "self.handle.wire.over"),
        (written_ledgers, "grant.items = 1"),
        (written_ledgers, "session.connection.budget.held_bytes -= size"),
        (written_ledgers, "first, wire.limit.items = 1, 2"),
    ],
)
def test_a_reach_into_a_session_is_found_outside_of_it(package, find, line):
    root = package(calls___x=f"def reach(self, session, handle, grant, wire, size):\n    {line}\n", session___y=f"{line}\n")
    assert find(root) == ["src/penstock/calls/_x.py:2"]


def test_an_object_may_have_a_connection_of_its_own(package):
    root = package(history___file="class File:\n    def close(self):\n        self._connection.close()\n        self.flush()\n")
    assert not into_connection(root) + flushes(root)


def test_a_name_that_stands_twice_is_found(package):
    root = package(
        a___x="class Once: ...\nclass Twice: ...\nLIMIT = 1\n_OWN = 1\n",
        b___y="class Twice: ...\nLIMIT: int = 2\n_OWN = 2\n",
    )
    assert classes_twice(root) == {"Twice": ["src/penstock/a/_x.py:2 Twice", "src/penstock/b/_y.py:1 Twice"]}
    assert constants_twice(root) == {"LIMIT": ["src/penstock/a/_x.py:3 1", "src/penstock/b/_y.py:2 2"]}


def test_exported_names_are_followed_to_their_users(package):
    root = package(
        a___x="class Idle: ...\nclass One: ...\nclass Both: ...\nclass Tested: ...\nclass Public: ...\n",
        b___y="from penstock.a import Both, One\n",
        c___z="from penstock import a\na.Both\n",
    )
    names = ["Both", "Idle", "One", "Public", "Tested"]
    _init(root, "a", f"from penstock.a._x import {', '.join(names)}\n__all__ = {names}\n")
    (root / "__init__.py").write_text("from penstock.a import Public\n__all__ = ['Public']\n", encoding="utf-8")
    (root.parents[1] / "tests").mkdir()
    (root.parents[1] / "tests" / "test_a.py").write_text("from penstock.a import Tested\n", encoding="utf-8")
    assert unused(root) == ["penstock.a.Idle"]
    assert exported_for_one(root) == {"a": {"b": ["One"]}}


WORDY = '''"""It says what

nobody asks, Whoever it is."""
# what is no comment
def f():
    """No one."""
    return "who is no stub"
'''


def test_words_are_counted_in_docstrings_with_their_lines(package):
    root = package(a___x=WORDY)
    counts = count(modules(root))
    assert counts.words == 10
    assert counts.places["what"] == ["src/penstock/a/_x.py:1"]
    assert counts.places["who"] == ["src/penstock/a/_x.py:3"]
    assert counts.places["nobody"] == ["src/penstock/a/_x.py:3", "src/penstock/a/_x.py:6"]
    assert counts.per_thousand("nobody") == 200
    assert [place.split(":")[1] for place in places_of(IS_NO, modules(root))] == ["4", "7"]
    assert prose_share(modules(root)) == pytest.approx(100 * 5 / 7)


def test_is_no_longer_is_english(package):
    root = package(a___x='"""It is no longer there."""\n# It is no stub.\nis_no_name = 1  # This is no\n')
    assert places_of(IS_NO, modules(root)) == ["src/penstock/a/_x.py:2: # It is no stub."]


def test_the_figures_of_a_copy_are_printed_by_name(package):
    root = package(a___x="def f():\n    return 1\n")
    found = figures(root)
    assert found["circles of imports"] == "0"
    assert found["longest file"] == "2"
