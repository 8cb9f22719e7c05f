"""The names that stand twice: classes and constants with one name in two files."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.house._source import PACKAGE, modules, tree, where

#: A constant without an underscore: other files may import it. One letter is the variable of a type.
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")


def classes_twice(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Return the places of each class name that two files define at their top level."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules(package):
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(where(path, node))
    return {name: places for name, places in found.items() if len(places) > 1}


def constants_twice(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Return the places and the values of each constant that two files define."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules(package):
        for node in tree(path).body:
            for name in _constants(node):
                found[name].append(f"{where(path, node).rpartition(' ')[0]} {ast.unparse(node.value)}")
    return {name: places for name, places in found.items() if len(places) > 1}


def _constants(node: ast.stmt) -> Iterator[str]:
    targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
    if getattr(node, "value", None) is not None:
        yield from (target.id for target in targets if isinstance(target, ast.Name) and CONSTANT.fullmatch(target.id))
