"""Loading classes: by module, by file, anew when a file has changed, never somebody else's of the same name."""

from __future__ import annotations

import sys

import pytest

from penstock.node import Search, Unloadable, load


@pytest.fixture(autouse=True)
def _as_before():
    """Forget what a test imported."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path


def search(folder):
    return Search(folder, lambda kind: kind.__name__ != "Hidden", "run")


def folder_with(tmp_path, name, **files):
    folder = tmp_path / name
    folder.mkdir()
    for file, text in files.items():
        (folder / f"{file}.py").write_text(text)
    return folder


def test_two_folders_may_each_have_a_module_of_one_name(tmp_path):
    one = folder_with(tmp_path, "one", worker="class Worker: of = 'one'")
    two = folder_with(tmp_path, "two", worker="class Worker: of = 'two'")
    assert [load("worker:Worker", search(folder)).of for folder in (one, two)] == ["one", "two"]
    assert [load("worker.py:Worker", search(folder)).of for folder in (one, two)] == ["one", "two"]


def test_a_file_is_run_once_and_again_when_it_has_changed(tmp_path):
    folder = folder_with(tmp_path, "one", changing="class Worker: version = 1")
    first = load("changing.py:Worker", search(folder))
    assert load("changing.py:Worker", search(folder)) is first
    (folder / "changing.py").write_text("class Worker: version = 2")
    assert load("changing.py:Worker", search(folder)).version == 2
    assert first.version == 1


def test_a_change_that_cannot_be_imported_leaves_what_runs_alone(tmp_path):
    folder = folder_with(tmp_path, "one", breaking="class Worker: version = 1")
    first = load("breaking.py:Worker", search(folder))
    (folder / "breaking.py").write_text("class Worker(: version = 2")
    with pytest.raises(Unloadable, match="SyntaxError"):
        load("breaking.py:Worker", search(folder))
    assert sys.modules[first.__module__].Worker is first


def test_what_lies_beside_a_file_can_be_imported_by_it(tmp_path):
    folder = folder_with(
        tmp_path, "one", beside_it="VALUE = 5", using="import beside_it\nclass Worker: value = beside_it.VALUE"
    )
    assert load("using.py:Worker", search(folder)).value == 5


def test_a_package_of_another_folder_is_not_taken_for_the_one_here(tmp_path):
    for name in ("one", "two"):
        package = tmp_path / name / "shared_name"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "workers.py").write_text(f"class Worker: of = {name!r}")
    assert load("shared_name.workers:Worker", search(tmp_path / "one")).of == "one"
    with pytest.raises(Unloadable, match=r"one process cannot load 'shared_name' from .*two as well: rename one"):
        load("shared_name.workers:Worker", search(tmp_path / "two"))


def test_what_raises_while_it_is_imported_is_shown_without_our_frames(tmp_path):
    folder = folder_with(tmp_path, "one", raising="def load():\n    return 1 / 0\n\nload()\n")
    with pytest.raises(Unloadable, match="could not be imported: ZeroDivisionError: division by zero") as error:
        load("raising:Worker", search(folder))
    assert 'raising.py", line 2, in load' in error.value.details["traceback"]
    assert "_load.py" not in error.value.details["traceback"]


def test_an_import_that_ends_the_program_is_told_instead(tmp_path):
    folder = folder_with(tmp_path, "one", leaving="import sys\nsys.exit(3)")
    with pytest.raises(Unloadable, match="it ended the program"):
        load("leaving.py:Worker", search(folder))


def test_only_classes_that_would_do_are_proposed(tmp_path):
    folder = folder_with(tmp_path, "one", listing="class Hidden: pass\nclass Shown: pass")
    with pytest.raises(Unloadable, match=r"say which one to run: listing:Shown$"):
        load("listing", search(folder))


def test_a_part_of_a_class_can_be_named(tmp_path):
    folder = folder_with(tmp_path, "one", nested="class Outer:\n    class Inner: pass")
    assert load("nested:Outer.Inner", search(folder)).__name__ == "Inner"
