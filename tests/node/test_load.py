"""Loading classes: by module, by file, anew when a file has changed, never somebody else's of the same name."""

from __future__ import annotations

import importlib
import pickle
import random
import sys
import typing

import pytest

import penstock
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


def test_what_is_imported_beside_a_file_is_that_of_its_folder(tmp_path):
    """FAULTS F5: at the top, inside a function that runs later, and through another module."""
    worker = (
        "import helper\nclass Worker:\n    of = helper.OF\n    def late(self):\n        import later\n        return later.OF"
    )
    folders = []
    for name in ("one", "two", "three"):
        of = f"OF = {name!r}"
        folders.append(folder_with(tmp_path, name, worker=worker, helper="from deeper import OF", deeper=of, later=of))
    workers = [load("worker.py:Worker", search(folder)) for folder in folders]
    assert [worker.of for worker in workers] == ["one", "two", "three"]
    assert [worker().late() for worker in reversed(workers)] == ["three", "two", "one"]


@pytest.mark.parametrize("init", [True, False])
def test_packages_of_two_folders_are_two_packages(tmp_path, init):
    """FAULTS F5: with every form of import, in packages with and without an ``__init__.py``."""
    for name in ("one", "two"):
        package = tmp_path / name / "shared_name"
        package.mkdir(parents=True)
        if init:
            (package / "__init__.py").write_text("")
        (package / "parts.py").write_text(f"OF = {name!r}")
        (package / "more.py").write_text(f"OF = {name!r}")
        (tmp_path / name / "aside.py").write_text(f"OF = {name!r}")
        (package / "workers.py").write_text(
            "import aside\nimport shared_name.parts\nimport shared_name.more as more\nfrom . import parts\n"
            "from shared_name import parts as again\nfrom .more import OF\n"
            "class Worker: of = {aside.OF, shared_name.parts.OF, more.OF, parts.OF, again.OF, OF}"
        )
    for name in ("one", "two", "one"):
        assert load("shared_name.workers:Worker", search(tmp_path / name)).of == {name}


def test_a_folder_does_not_get_the_module_of_another(tmp_path):
    one = folder_with(tmp_path, "one", worker="import only_here\nclass Worker: pass", only_here="")
    two = folder_with(tmp_path, "two", worker="import only_here\nclass Worker: pass")
    load("worker:Worker", search(one))
    with pytest.raises(Unloadable, match="No module named 'only_here'"):
        load("worker:Worker", search(two))


def test_an_edited_module_beside_a_file_is_run_again(tmp_path):
    """FAULTS F5: also when it was edited within a second, to the same length; classes that exist keep theirs."""
    folder = folder_with(
        tmp_path, "one", edited="import helps\nclass Worker:\n    def value(self): return helps.VALUE", helps="VALUE = 1"
    )
    first = load("edited.py:Worker", search(folder))
    for value in (2, 3):
        (folder / "helps.py").write_text(f"VALUE = {value}")
        assert load("edited.py:Worker", search(folder))().value() == value
        assert load("edited.py:Worker", search(folder)) is load("edited.py:Worker", search(folder))
    assert first().value() == 1
    (folder / "helps.py").write_text("VALUE = (")
    with pytest.raises(Unloadable, match="SyntaxError"):
        load("edited.py:Worker", search(folder))
    (folder / "helps.py").write_text("VALUE = 4")
    assert load("edited.py:Worker", search(folder))().value() == 4


def test_a_file_of_a_folder_never_stands_for_the_standard_library_or_penstock(tmp_path):
    folder = folder_with(
        tmp_path,
        "one",
        random="raise OSError",
        penstock="raise OSError",
        tame="import random, penstock\nclass Worker: modules = random, penstock",
    )
    assert load("tame:Worker", search(folder)).modules == (random, penstock)
    assert sys.modules["random"] is random


def test_a_module_that_the_program_has_imported_itself_is_that_one(tmp_path, monkeypatch):
    folder = folder_with(tmp_path, "one", ours="class Worker: pass", theirs="from ours import Worker")
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module("ours")
    assert load("ours:Worker", search(folder)) is module.Worker
    assert load("theirs:Worker", search(folder)) is module.Worker


def test_a_file_may_have_any_name(tmp_path):
    folder = folder_with(tmp_path, "one", **{"my-worker": "class Worker: pass", "worker.v2": "class Worker: pass"})
    assert load("my-worker.py:Worker", search(folder)).__module__ == "my-worker"
    assert load("worker.v2.py:Worker", search(folder)).__module__ == "worker_v2"


def test_classes_of_every_folder_can_be_looked_up_by_their_module(tmp_path):
    text = (
        "from __future__ import annotations\nimport dataclasses\n@dataclasses.dataclass\nclass Part: of: int\n"
        "@dataclasses.dataclass\nclass Worker: part: Part"
    )
    for name in ("one", "two"):
        worker = load("typed_one:Worker", search(folder_with(tmp_path, name, typed_one=text)))
        assert typing.get_type_hints(worker)["part"] is vars(sys.modules[worker.__module__])["Part"]
        assert pickle.loads(pickle.dumps(worker)) is worker


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
