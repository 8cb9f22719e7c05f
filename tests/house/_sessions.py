"""How far the rooms above `session/` reach into a session: its connection, its writes, the numbers of its streams."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

from tests.house._source import PACKAGE, modules, nodes, short

CONNECTION = {"connection", "_connection"}
FLUSH = {"flush", "flush_soon", "flush_for"}
SESSION = {"session", "_session"}
#: What the objects are called that count for a stream. `wire` is the state of a stream in the protocol.
LEDGERS = {*CONNECTION, "budget", "grant", "limit", "wire", "half", "_half"}
OWNERS = {"protocol", "session"}


def into_connection(package: Path = PACKAGE) -> list[str]:
    """Return the places that read the connection of another object. An object's own connection is another one: SQLite's."""
    return _places(package, lambda node: _is_field_of_another(node, CONNECTION))


def flushes(package: Path = PACKAGE) -> list[str]:
    """Return the places that have a session write: a `StreamHandle` does it with each of its verbs."""
    return _places(package, _is_flush)


def _is_flush(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in FLUSH and _name(called.value) in SESSION


def into_wire(package: Path = PACKAGE) -> list[str]:
    """Return the places that take the wire stream out of its handle."""
    return _places(package, lambda node: _is_field_of_another(node, {"wire"}))


def written_ledgers(package: Path = PACKAGE) -> list[str]:
    """Return the places that assign to a number which belongs to the protocol."""
    return _places(package, lambda node: any(_is_ledger(target) for target in _written(node)))


def _is_ledger(target: ast.AST) -> bool:
    return isinstance(target, ast.Attribute) and _name(target.value) in LEDGERS


def _written(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return [one for target in node.targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [node.target] if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else []


def _places(package: Path, is_one: Callable[[ast.AST], bool]) -> list[str]:
    """Return the lines, outside of the rooms that own a connection, with such a node. A line counts once."""
    return [
        f"{short(path)}:{line}"
        for path in modules(package)
        if path.relative_to(package).parts[0] not in OWNERS
        for line in sorted({getattr(node, "lineno", 0) for node in nodes(path) if is_one(node)})
    ]


def _is_field_of_another(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in names and _name(node.value) != "self"


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))
