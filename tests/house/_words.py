"""The English of the source, counted: words of docstrings, phrases of all text, and the share of prose."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.house._source import FUNCTION, PACKAGE, code_lines, docstring_lines, modules, nodes, short

WORD = re.compile(r"[A-Za-z]+")
WORDS = {
    "what": re.compile(r"\b(what|whatever)\b", re.IGNORECASE),
    "who": re.compile(r"\b(who|whoever|whom)\b", re.IGNORECASE),
    "nobody": re.compile(r"\b((no|some|any|every)(body|one)|no one)\b", re.IGNORECASE),
}
#: "is no longer" says something else.
IS_NO = re.compile(r"\b[Ii]s no (?!longer\b)[A-Za-z`'\"{]")


class Counts(NamedTuple):
    """The words of some docstrings, and the places (file:line) of each counted word."""

    words: int
    places: dict[str, list[str]]

    def per_thousand(self, word: str) -> float:
        return 1000 * len(self.places[word]) / max(self.words, 1)


def count(paths: Iterable[Path]) -> Counts:
    """Count the words of the docstrings of these files."""
    total = 0
    places: dict[str, list[str]] = {word: [] for word in WORDS}
    for path in paths:
        for line, text in docstrings(path):
            total += len(WORD.findall(text))
            for word, pattern in WORDS.items():
                places[word] += [f"{short(path)}:{line + text.count(chr(10), 0, at.start())}" for at in pattern.finditer(text)]
    return Counts(total, places)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Iterate over the docstrings of a file, each with the number of its first line."""
    for node in nodes(path):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTION)):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield node.body[0].lineno, text


def places_of(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    """Return the places of a phrase in comments and strings: docstrings, messages, help texts."""
    return [
        f"{short(path)}:{line}: {text.strip()}"
        for path in paths
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(text) and line in _prose_lines(path)
    ]


@cache
def _prose_lines(path: Path) -> frozenset[int]:
    """Return the lines with a comment or a part of a string."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return frozenset(
        line
        for token in tokens
        if "STRING" in tokenize.tok_name[token.type] or token.type == tokenize.COMMENT
        for line in range(token.start[0], token.end[0] + 1)
    )


@cache
def comment_lines(path: Path) -> frozenset[int]:
    """Return the lines that hold a comment and no code."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return frozenset(token.start[0] for token in tokens if token.type == tokenize.COMMENT) - code_lines(path)


def prose_share(paths: Iterable[Path]) -> float:
    """Return the share of the lines, in percent, that are docstrings or comments."""
    prose = lines = 0
    for path in paths:
        prose += len(docstring_lines(path) | comment_lines(path))
        lines += len(path.read_text(encoding="utf-8").splitlines())
    return 100 * prose / max(lines, 1)


def by_room(package: Path = PACKAGE) -> dict[str, list[Path]]:
    """Return the files of each room: a folder with the folders in it, or a file of the package itself."""
    rooms: dict[str, list[Path]] = defaultdict(list)
    for path in modules(package):
        inner = path.relative_to(package).parts
        rooms[inner[0] if len(inner) > 1 else f"({path.stem})"].append(path)
    return dict(rooms)
