"""The source as the house tests read it: files, trees, functions. It never imports what it reads."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "penstock"

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


@cache
def modules(package: Path = PACKAGE) -> tuple[Path, ...]:
    """Return the files of a package: this one, or another working copy that is measured beside it."""
    return tuple(sorted(package.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every node of a file's tree."""
    return tuple(ast.walk(tree(path)))


def short(path: Path) -> str:
    """Return a path from the root of its working copy."""
    base = path.parents[path.parts[::-1].index("src")] if not path.is_relative_to(ROOT) and "src" in path.parts else ROOT
    return path.relative_to(base).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in nodes(path) if isinstance(node, FUNCTION))


def where(path: Path, node: ast.AST) -> str:
    name = getattr(node, "name", type(node).__name__)
    return f"{short(path)}:{getattr(node, 'lineno', 0)} {name}"


@cache
def code_lines(path: Path) -> frozenset[int]:
    """The numbers of the lines that hold code: no blank line, comment or docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    lines = {line for token in tokens if token.type not in _NOT_CODE for line in range(token.start[0], token.end[0] + 1)}
    return frozenset(lines - docstring_lines(path))


def docstring_lines(path: Path) -> set[int]:
    owners = (node for node in nodes(path) if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTION)))
    texts = [owner.body[0] for owner in owners if ast.get_docstring(owner, clean=False) is not None]
    return {line for text in texts for line in range(text.lineno, (text.end_lineno or text.lineno) + 1)}


def length(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines of code the body of a function has, with the functions inside it."""
    first, last = node.body[0].lineno, node.end_lineno or node.lineno
    return sum(first <= line <= last for line in code_lines(path))


def imports(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Every absolute module name that a file imports, wherever in the file, and relative ones made absolute."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _absolute(path, node), node
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            yield from ((name.value, node) for name in node.args[:1] if isinstance(name, ast.Constant))


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    folder = path.parent.relative_to(PACKAGE.parent).parts
    above = folder[: len(folder) - node.level + 1]
    return ".".join((*above, *filter(None, [node.module])))
