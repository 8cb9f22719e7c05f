"""Print the figures of the house: `python -m tests.house.figures [PATH]`. PATH is another working copy, to compare with.

The figures are about the source: circles of imports, the reach into sessions, names, words and sizes. CONTRIBUTING.md has the
limits, `tests/house/` checks them.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.house._exports import exported_for_one, unused
from tests.house._graph import circles, file_graph
from tests.house._sessions import flushes, into_connection, into_wire, written_ledgers
from tests.house._source import FUNCTION, ROOT, functions, length, modules, nodes, short
from tests.house._twice import classes_twice, constants_twice
from tests.house._words import IS_NO, WORDS, by_room, count, places_of, prose_share

#: The names by which other objects hold a `Cell`.
CELLS = {"cell", "_cell", "parent", "child"}
CHANGES = {"add", "append", "clear", "discard", "extend", "pop", "remove", "update"}


def figures(package: Path) -> dict[str, str]:
    """Return each figure of a package by its name."""
    found = circles(file_graph(package))
    lengths = sorted(length(path, node) for path in modules(package) for node in functions(path))
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules(package)]
    words = count(modules(package))
    return {
        "files": f"{len(files)}",
        "circles of imports": f"{len(found)}",
        "  their files": " ".join(f"{len(circle)}" for circle in found),
        "lines that reach into a connection": f"{len(into_connection(package))}",
        "lines that have a session write": f"{len(flushes(package))}",
        "lines that take the wire stream": f"{len(into_wire(package))}",
        "lines that write a number of the wire": f"{len(written_ledgers(package))}",
        "ways to go inside interceptors": f"{len(_ways_inside(package))}",
        "fields of a Cell that two files write": f"{len(_shared_fields(package))}",
        "class names twice": f"{len(classes_twice(package))}",
        "constants twice": f"{len(constants_twice(package))}",
        "exported, not used": f"{len(unused(package))}",
        "exported for one other room": f"{sum(_for_one(package).values())}",
        **{f"{word!r} in 1,000 words": f"{words.per_thousand(word):.1f}" for word in WORDS},
        "lines with 'is no'": f"{len(places_of(IS_NO, modules(package)))}",
        "docstring and comment lines": f"{prose_share(modules(package)):.1f} %",
        "functions": f"{len(lengths)}",
        "  lines: median, nine of ten, longest": f"{_at(lengths, 0.5)}, {_at(lengths, 0.9)}, {lengths[-1]}",
        "longest file": f"{max(files)}",
        "median file": f"{statistics.median(files):g}",
    }


def _at(numbers: list[int], share: float) -> int:
    return numbers[int(len(numbers) * share)]


def _ways_inside(package: Path) -> list[str]:
    """Return the functions that enter interceptors themselves, with an exit stack, rather than by `intercepted`."""
    return [
        f"{path.name}:{node.name}"
        for path in modules(package)
        for node in nodes(path)
        if isinstance(node, FUNCTION) and node.name != "enter_all" and _enters_all(node)
    ]


def _enters_all(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    called = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    around = [node.iter for node in ast.walk(function) if isinstance(node, (ast.For, ast.AsyncFor))]
    loops = any("interceptors" in ast.unparse(one) for one in around)
    return "enter_all" in called or (loops and any(name.endswith("enter_async_context") for name in called))


def _shared_fields(package: Path) -> dict[str, set[str]]:
    """Return the fields of a cell that two files or more write, and the files: assigned, or changed in place."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in modules(package):
        holders = {*CELLS, "self"} if path.name == "_cell.py" else CELLS
        for field in filter(None, map(_written_field, nodes(path))):
            if _name(field.value) in holders:
                found[field.attr].add(short(path))
    return {name: files for name, files in found.items() if len(files) > 1}


def _written_field(node: ast.AST) -> ast.Attribute | None:
    """Return the field that a node writes: `cell.state = …`, `cell.ports[name] = …`, `cell.watchers.clear()`."""
    changed: ast.AST | None = None
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
        changed = node
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
        changed = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
        changed = node.func.value
    return changed if isinstance(changed, ast.Attribute) else None


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _for_one(package: Path) -> dict[str, int]:
    return {room: sum(map(len, guests.values())) for room, guests in exported_for_one(package).items()}


def _print_rooms(package: Path) -> None:
    """Print a line a room: its files and lines, its words, its prose, the names that it has for one other room."""
    for_one = _for_one(package)
    print(f"{'room':14}{'files':>6}{'lines':>7}", *(f"{word:>8}" for word in WORDS), f"{'is no':>6}{'prose':>8}{'for one':>8}")
    for room, paths in by_room(package).items():
        words = count(paths)
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
        rates = [f"{words.per_thousand(word):8.1f}" for word in WORDS]
        rest = f"{len(places_of(IS_NO, paths)):6}{prose_share(paths):7.1f}%{for_one.get(room, 0):8}"
        print(f"{room:14}{len(paths):6}{lines:7}", *rates, rest)


def _print_lists(package: Path) -> None:
    root = package.parents[1]
    for circle in circles(file_graph(package)):
        print(f"circle of {len(circle)}:", *(path.relative_to(root).as_posix() for path in circle))
    for room, guests in exported_for_one(package).items():
        print(f"{room} exports for one room:", *(f"{guest} ({', '.join(names)})" for guest, names in guests.items()))


def _print_table(copies: list[Path]) -> None:
    columns = [figures(copy / "src" / "penstock") for copy in copies]
    width = max(map(len, columns[-1]))
    print(" " * width, *(f"{copy.name:>14}" for copy in copies))
    for name in columns[-1]:
        print(f"{name:{width}}", *(f"{column[name]:>14}" for column in columns))


def main(others: list[str]) -> None:
    copies = [*map(Path, others), ROOT]
    _print_table(copies)
    steps: list[Callable[[Path], None]] = [_print_rooms, _print_lists]
    for copy in copies:
        print(f"\n{copy.name}")
        for step in steps:
            step(copy / "src" / "penstock")


if __name__ == "__main__":
    main(sys.argv[1:])
