"""Each field has an owner: the class that declares it is the one place that assigns it. Counted in `actors/`, as a ratchet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house._source import PACKAGE, modules, short, tree

ACTORS = PACKAGE / "actors"
FILES = [path for path in modules() if path.is_relative_to(ACTORS)]
#: The classes that make up a cell. Their fields are assigned by themselves alone.
CELL = {"Cell", "Lifecycle", "StopRequest", "Belongings", "MailboxQueue", "Failures"}

# Assignments from elsewhere that remain, by file and field. These numbers go down, never up.
FROM_ELSEWHERE = {
    "src/penstock/actors/_actor.py": {"_penstock_hidden": 1},  # of the class above
    "src/penstock/actors/_stub.py": {
        "__doc__": 1,
        "__name__": 1,
        "__qualname__": 1,
        "__dict__": 1,
    },  # of a function it makes
    "src/penstock/actors/cell/_asking.py": {"info": 1, "reply": 2},  # of the envelope that it sends
    "src/penstock/actors/cell/_cell.py": {"name": 1},  # of its own inline envelope
    "src/penstock/actors/cell/_lifecycle.py": {"_cell": 1},  # of the object that it makes
    "src/penstock/actors/local/_ref.py": {"info": 2, "reply": 1},  # of the envelope that it sends
    "src/penstock/actors/local/_stream.py": {"outcome": 1},  # of its own pipe
}


def _targets(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign | ast.Delete):
        yield from node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.AsyncFor):
        yield node.target
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _flat(part)
    else:
        yield target.value if isinstance(target, ast.Starred) else target


def _field(target: ast.expr) -> ast.Attribute | None:
    """Return the attribute that an assignment changes: the target itself, or the collection into which it assigns."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return target if isinstance(target, ast.Attribute) else None


def assigned(where: ast.AST) -> Iterator[ast.Attribute]:
    """All attributes that are assigned, deleted, or assigned into, somewhere in `where`."""
    for node in ast.walk(where):
        for target in _targets(node):
            yield from filter(None, map(_field, _flat(target)))


def _is_own(field: ast.Attribute) -> bool:
    return isinstance(field.value, ast.Name) and field.value.id in {"self", "cls"}


def _from_elsewhere(path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for field in assigned(tree(path)):
        if not _is_own(field):
            counts[field.attr] = counts.get(field.attr, 0) + 1
    return counts


def _classes() -> dict[str, tuple[Path, ast.ClassDef]]:
    nodes = ((path, node) for path in FILES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))
    return {node.name: (path, node) for path, node in nodes}


def _slots(name: str) -> set[str]:
    _path, node = _classes()[name]
    assignments = [part for part in node.body if isinstance(part, ast.Assign)]
    (slots,) = [part.value for part in assignments if ast.unparse(part.targets[0]) == "__slots__"]
    return set(ast.literal_eval(slots)) - {"__weakref__"}


def test_fields_of_other_objects_are_assigned_only_where_it_is_written():
    counts = {short(path): _from_elsewhere(path) for path in FILES}
    assert {name: fields for name, fields in counts.items() if fields} == FROM_ELSEWHERE


def test_no_field_of_a_cell_is_assigned_from_elsewhere():
    fields = set().union(*map(_slots, CELL))
    allowed = {"_cell"}  # a stop request has a cell, too; the other is the one of an `Actor`, which `Lifecycle.make` sets
    found = [
        f"{short(path)}:{field.lineno} {ast.unparse(field)}"
        for path in FILES
        for field in assigned(tree(path))
        if field.attr in fields - allowed and not _is_own(field) and not ast.unparse(field.value).endswith("envelope")
    ]
    assert not found


def test_a_field_of_a_cell_is_assigned_by_the_class_that_declares_it():
    owners = {field: name for name in ("Lifecycle", "Cell") for field in _slots(name)}
    strangers = [
        f"{name} assigns {field.attr} of {owners[field.attr]}"
        for name in ("Runner", "Lifecycle", "Cell")
        for field in assigned(_classes()[name][1])
        if _is_own(field) and owners.get(field.attr, name) != name
    ]
    assert not strangers


def test_the_count_sees_what_it_should():
    text = "a.b = 1; a.b[0] = 1; del a.b; a.b += 1; (x, a.b) = 1, 2\nfor a.b in []: pass\nself.c = 1; self.c[0] = 1; d = a.b"
    found = list(assigned(ast.parse(text)))
    assert [field.attr for field in found if not _is_own(field)] == ["b"] * 6
    assert len(found) == 8


# ── circles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _defined_in(path: Path, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> Path:
    """Return the file that defines a name, followed through the ``__init__`` of folders."""
    if path.name != "__init__.py" or (path, name) in seen:
        return path
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            source = _file_of(node.module or "")
            return path if source is None else _defined_in(source, name, seen | {(path, name)})
    return path


def _file_of(module: str) -> Path | None:
    base = PACKAGE.parent.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


def _imported(path: Path) -> set[Path]:
    """The files of `actors/` whose names a file uses, with those it imports for type checkers alone."""
    files: set[Path] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penstock.actors"):
            for alias in node.names:
                module = _file_of(f"{node.module}.{alias.name}")
                source = module or _defined_in(_file_of(node.module or "") or path, alias.name)
                files.add(source)
    return {file for file in files if file.is_relative_to(ACTORS) and file.name != "__init__.py"} - {path}


def _reachable(path: Path) -> set[Path]:
    todo, found = [path], set[Path]()
    while todo:
        for after in _imported(todo.pop()):
            if after not in found:
                found.add(after)
                todo.append(after)
    return found


def test_the_files_of_actors_import_each_other_in_no_circle_but_one():
    """Imports for type checkers count."""
    reachable = {path: _reachable(path) for path in FILES}
    circles = {
        frozenset({short(path), *(short(other) for other in reached if path in reachable[other])})
        for path, reached in reachable.items()
        if path in reached
    }
    assert circles <= {frozenset({"src/penstock/actors/_actor.py", "src/penstock/actors/_system.py"})}, circles
