"""What can be imported: listed, sorted, explained, few."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

import penstock
from penstock import errors
from tests.house._exports import exported_for_one, unused
from tests.house._source import PACKAGE, ROOT, modules, tree

NAMES = getattr(penstock, "__all__", [])
NAMES_MAX = 75  # 70; `asgi`; `idempotent`, which a method says of itself; `retained`, and the two classes that it gives
FOLDERS = sorted(
    ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    for path in modules()
    if path.name == "__init__.py" and path.parent.name != "_util"
)

# DESIGN: names that programs outside this repository rely on.
PROMISED = [
    "EndOfStream",
    "ConnectionLost",
    "PenstockError",
    "Settings",
    "Sink",
    "Source",
    "StatusError",
    "Stream",
    "StreamCancelled",
    "Struct",
    "TLS",
    "WouldBlock",
    "connect",
    "context",
    "options",
    "pipe",
    "serve",
]


def _in_the_order_of_ruff(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_lists_its_public_names_in_order(folder):
    names = getattr(importlib.import_module(folder), "__all__", None)
    assert names is not None, f"{folder} has no __all__"
    assert list(names) == sorted(names, key=_in_the_order_of_ruff)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_listed_name_exists(folder):
    module = importlib.import_module(folder)
    assert not [name for name in module.__all__ if not hasattr(module, name)]


def test_the_top_level_is_small():
    assert 0 < len(NAMES) <= NAMES_MAX


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_name_is_there(name):
    assert name in NAMES


def test_an_error_at_the_top_level_is_the_one_of_the_tree():
    tree_of_errors = {
        name: value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert not [name for name in NAMES if name in tree_of_errors and getattr(penstock, name) is not tree_of_errors[name]]


def test_every_error_of_the_tree_is_explained():
    assert not [name for name, value in vars(errors).items() if inspect.isclass(value) and not (value.__doc__ or "").strip()]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_at_the_top_level_is_explained(name):
    value = getattr(penstock, name)
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        assert (value.__doc__ or "").strip(), f"penstock.{name} has no docstring"


@pytest.mark.parametrize("name", NAMES)
def test_every_public_method_at_the_top_level_is_explained(name):
    value = getattr(penstock, name)
    if not inspect.isclass(value) or not value.__module__.startswith("penstock"):
        return
    own = {key: member for key, member in vars(value).items() if not key.startswith("_")}
    silent = [key for key, member in own.items() if _takes_a_docstring(member) and not inspect.getdoc(getattr(value, key))]
    assert not silent, f"penstock.{name}: {silent}"


def _takes_a_docstring(member: object) -> bool:
    return inspect.isroutine(member) or isinstance(member, (property, classmethod, staticmethod))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_begins_with_its_job(path):
    first = (inspect.cleandoc(getattr(tree(path).body[0].value, "value", "")) if _has_docstring(path) else "").split("\n")[0]
    assert first.endswith("."), "the first line of a module says its job and its one forbidden thing"


def _has_docstring(path) -> bool:
    body = tree(path).body
    return bool(body) and isinstance(getattr(getattr(body[0], "value", None), "value", None), str)


def test_an_exported_name_is_used_outside_of_its_folder():
    assert unused() == []


# ── names for one neighbour ───────────────────────────────────────────────────────────────────────────────────────────────────

#: An arrow of more names than this stands in ARCHITECTURE.md, with what they are for.
NARROW = 2
#: All such names together. A ratchet: lower it with the source.
# `leave_call` came with retained streams: their writers outlive the calls that begin them. Eight came with retained streams
# over HTTP: `web` has the rules of an open protocol, and `retention` keeps the one stream that both show. Four came with
# signalrpc: a WebSocket of texts, a listener for its relay and its size, and which pages may use it.
# Seven came with the tables of the console: `node` shows what sessions, actors and readers of `web` are.
FOR_ONE_MAX = 134


def _arrows_of_the_page() -> dict[tuple[str, str], int]:
    """The table of ARCHITECTURE.md: how many names a room has for one other room alone."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = page.partition("## What a room has for one other room")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` → `(\w+)` \| (\d+) \| \S", section, re.MULTILINE)
    return {(room, guest): int(count) for room, guest, count in rows}


def test_what_a_room_has_for_one_other_room_is_listed_and_grows_no_wider():
    widths = {(room, guest): len(names) for room, guests in exported_for_one().items() for guest, names in guests.items()}
    assert {arrow: width for arrow, width in widths.items() if width > NARROW} == _arrows_of_the_page()
    assert sum(widths.values()) <= FOR_ONE_MAX
