"""Names say what a thing is; what a reader should not meet is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house._source import PACKAGE, ROOT, modules, nodes, short, where

EMPTY_WORDS = {"common", "helper", "helpers", "manager", "misc", "stuff", "util", "utils"}
UNFINISHED = re.compile(r"#.*\b(TODO|FIXME|XXX)\b(?P<reason>.*)", re.IGNORECASE)
REASON = re.compile(r"\W*\w+(\W+\w+){3,}")
PYTHON = [path for folder in ("src", "tests", "benchmarks", "examples") for path in (ROOT / folder).rglob("*.py")]
OURS = [path for path in PYTHON if not {".peers", "out"} & set(path.parts)]


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+|[A-Z][a-z]*", name.replace("_", " "))) | set(name.lower().split("_"))


def test_no_module_has_an_empty_name():
    named = [path for path in modules() if path.parent.name != "_util"]
    assert not [short(path) for path in named if _words(path.stem) & EMPTY_WORDS]


def test_no_class_has_an_empty_name():
    classes = [(path, node) for path in modules() for node in nodes(path) if isinstance(node, ast.ClassDef)]
    assert not [where(path, node) for path, node in classes if {word.lower() for word in _words(node.name)} & EMPTY_WORDS]


def test_module_names_are_lower_case_words():
    parts = {part for path in modules() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not [part for part in parts if not re.fullmatch(r"__\w+__|_?[a-z][a-z0-9]*(_[a-z0-9]+)*", part)]


def test_what_is_unfinished_gives_its_reason():
    lines = [(path, number, line) for path in OURS for number, line in _lines(path)]
    found = [(path, number, UNFINISHED.search(line)) for path, number, line in lines]
    bare = [f"{short(path)}:{number}" for path, number, match in found if match and not REASON.match(match["reason"])]
    assert not bare


#: Words with one meaning in the source, and the types of the parameters that have it: a turn is one of the event loop, a kind
#: is one of calls or of events, a guard is the interceptor that asks the other side for its proof.
ONE_MEANING = {"turn": set(), "kind": {"CallKind", "Kind", "str"}, "guard": {"Interceptor | None"}}


def test_a_word_of_the_house_names_one_thing():
    found = [
        where(path, node)
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.arg) and node.arg in ONE_MEANING
        if node.annotation is not None and ast.unparse(node.annotation) not in ONE_MEANING[node.arg]
    ]
    assert not found


def test_only_the_command_line_prints():
    quiet = [path for path in modules() if path.relative_to(PACKAGE).parts[0] not in {"cli", "demo"}]
    assert not [where(path, node) for path in quiet for node in nodes(path) if _calls(node, "print")]


def test_every_except_names_what_it_catches():
    handlers = [(path, node) for path in modules() for node in nodes(path) if isinstance(node, ast.ExceptHandler)]
    assert not [where(path, node) for path, node in handlers if node.type is None]


def test_every_task_has_an_owner():
    loose = [
        where(path, node)
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.Expr) and (_calls(node.value, "create_task") or _calls(node.value, "ensure_future"))
    ]
    assert not [place for place in loose if place not in _task_groups()]


def _task_groups() -> set[str]:
    """Calls on a name that an `async with TaskGroup() as name` gave: the group owns the task."""
    return {
        where(path, node)
        for path in modules()
        for group in nodes(path)
        if isinstance(group, ast.AsyncWith) and any("TaskGroup" in ast.unparse(item.context_expr) for item in group.items)
        for node in ast.walk(group)
        if isinstance(node, ast.Expr)
    }


def test_unit_tests_do_not_sleep():
    timed = {"interop", "house", "cli", "demo", "examples", "benchmarks"}  # other processes live on the real clock
    units = [path for path in (ROOT / "tests").rglob("test_*.py") if not timed & set(path.relative_to(ROOT).parts)]
    assert not [where(path, node) for path in units for node in nodes(path) if _sleeps(node)]


def _sleeps(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "time.sleep":
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)


def _calls(node: ast.AST, name: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return getattr(node.func, "id", getattr(node.func, "attr", None)) == name


def _lines(path: Path) -> list[tuple[int, str]]:
    return list(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
