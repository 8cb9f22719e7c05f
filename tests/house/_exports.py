"""The names that rooms export, and who uses them: other rooms, tests, programs, and users of the package."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.house._graph import definition, uses
from tests.house._source import PACKAGE, modules, tree

Definition = tuple[Path, str]


@cache
def exported(package: Path = PACKAGE) -> dict[tuple[str, str], Definition]:
    """Return the definition of each name in the `__all__` of a folder, by (module, name)."""
    found: dict[tuple[str, str], Definition] = {}
    for path in modules(package):
        if path.name == "__init__.py":
            module = ".".join(path.parent.relative_to(package.parent).parts)
            for name in _listed(path):
                origin = definition(module, name, package)
                if origin is not None:
                    found[module, name] = origin
    return found


def _listed(path: Path) -> list[str]:
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "__all__" for to in node.targets):
            return list(ast.literal_eval(node.value))
    return []


@cache
def public(package: Path = PACKAGE) -> frozenset[Definition]:
    """Return the names for users: those of the package itself, of its lab, of the clients of a server, and its command."""
    rooms = (package.name, f"{package.name}.testing", f"{package.name}.auth")
    command = definition(f"{package.name}.cli", "main", package)
    names = {origin for (module, _), origin in exported(package).items() if module in rooms}
    return frozenset(names | ({command} if command else set()))


@cache
def users(package: Path = PACKAGE) -> dict[Definition, set[Path]]:
    """Return the files that import each definition: source, tests, benchmarks, examples. A re-export is not a use."""
    found: dict[Definition, set[Path]] = defaultdict(set)
    for path in [*(path for path in modules(package) if path.name != "__init__.py"), *_programs(package)]:
        for origin in uses(path, package):
            found[origin].add(path)
    return found


def _programs(package: Path) -> list[Path]:
    """Return the files beside the source that name the package."""
    root = package.parents[1]
    paths = [path for folder in ("tests", "benchmarks", "examples") for path in (root / folder).rglob("*.py")]
    ours = [path for path in paths if not {".peers", "out"} & set(path.parts)]
    return [path for path in ours if package.name in path.read_text(encoding="utf-8")]


def unused(package: Path = PACKAGE) -> list[str]:
    """Return the exported names that neither a file outside of their folder nor a user of the package needs."""
    needed, used = public(package), users(package)
    return sorted(
        f"{module}.{name}"
        for (module, name), origin in exported(package).items()
        if origin not in needed and not _outside(used[origin], package.parent.joinpath(*module.split(".")))
    )


def _outside(paths: set[Path], folder: Path) -> list[Path]:
    return [path for path in paths if not path.is_relative_to(folder)]


def exported_for_one(package: Path = PACKAGE) -> dict[str, dict[str, list[str]]]:
    """Return, by room, the names that are there for one other room alone, by that room: it uses them, and no user may."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for (module, name), origin in exported(package).items():
        if module == package.name or origin in public(package):
            continue
        room = module.split(".")[1]
        inside = [path for path in users(package)[origin] if path.is_relative_to(package)]
        guests = {path.relative_to(package).parts[0] for path in inside} - {room}
        if len(guests) == 1:
            found[room][guests.pop()].add(name)
    return {room: {guest: sorted(names) for guest, names in guests.items()} for room, guests in sorted(found.items())}
