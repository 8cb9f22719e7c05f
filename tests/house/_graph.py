"""The graph of imports between files: each imported name leads to the file that defines it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.house._source import PACKAGE, modules, nodes

Edges = dict[Path, frozenset[Path]]


@cache
def file_graph(package: Path = PACKAGE) -> Edges:
    """Return the files that each file imports from, with the imports for type checkers and those inside functions."""
    return {path: frozenset(target for target, _ in uses(path, package)) - {path} for path in modules(package)}


def circles(graph: Mapping[Path, frozenset[Path]]) -> list[list[Path]]:
    """Return the circles: sets of two files or more that all lead to each other, the largest first."""
    reached = {node: _reachable(node, graph) for node in graph}
    found = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph if node in reached[node]}
    return sorted((sorted(one) for one in found), key=lambda one: (-len(one), one))


def _reachable(start: Path, graph: Mapping[Path, frozenset[Path]]) -> set[Path]:
    """Return the files that a chain of one import or more leads to."""
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        following = graph[waiting.pop()] - reached
        reached |= following
        waiting += following
    return reached


def uses(path: Path, package: Path = PACKAGE) -> Iterator[tuple[Path, str]]:
    """Iterate over what a file imports from the package: the defining file and the name there."""
    for module, name in _imported(path, package):
        found = definition(module, name, package)
        if found is not None:
            yield found


def definition(module: str, name: str, package: Path = PACKAGE) -> tuple[Path, str] | None:
    """Return the file that defines `name` of `module`, through any number of `__init__`, and its name there.

    The name is empty for a whole module. None for something outside of the package.
    """
    while True:
        inner = _file_of(f"{module}.{name}", package) if name else None
        if inner is not None:
            return inner, ""
        path = _file_of(module, package)
        origin = _reexports(path, package).get(name) if path is not None and path.name == "__init__.py" else None
        if path is None or origin is None:
            return None if path is None else (path, name)
        module, name = origin


@cache
def _reexports(path: Path, package: Path) -> dict[str, tuple[str, str]]:
    """Return where an `__init__` has its names from: by name as it is known there, the module and the name in it."""
    return {
        alias.asname or alias.name: (_module_of(path, node, package), alias.name)
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _imported(path: Path, package: Path) -> Iterator[tuple[str, str]]:
    """Iterate over what a file imports as (module, name). A room imported whole counts by the names used of it."""
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            module = _module_of(path, node, package)
            for alias in node.names:
                yield from _whole_or_name(path, module, alias, package)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, used) for alias in node.names for used in _attributes(path, alias.asname or alias.name))


def _whole_or_name(path: Path, module: str, alias: ast.alias, package: Path) -> Iterator[tuple[str, str]]:
    inner = _file_of(f"{module}.{alias.name}", package)
    used = _attributes(path, alias.asname or alias.name) if inner is not None else set()
    if inner is None or path.name == "__init__.py" or not used:
        yield module, alias.name
    else:
        yield from ((f"{module}.{alias.name}", name) for name in used)


def _attributes(path: Path, name: str) -> set[str]:
    """Return the attributes that a file uses of a module that it knows as `name`."""
    return {node.attr for node in nodes(path) if isinstance(node, ast.Attribute) and _dotted(node.value) == name} or {""}


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _module_of(path: Path, node: ast.ImportFrom, package: Path) -> str:
    if not node.level:
        return node.module or ""
    folder = path.parent.relative_to(package.parent).parts if path.is_relative_to(package) else ()
    return ".".join((*folder[: len(folder) - node.level + 1], *filter(None, [node.module])))


@cache
def _file_of(module: str, package: Path) -> Path | None:
    """Return the file of a module of the package: its own, or the `__init__` of a folder."""
    path = package.parent.joinpath(*module.split("."))
    if module.partition(".")[0] != package.name:
        return None
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)
