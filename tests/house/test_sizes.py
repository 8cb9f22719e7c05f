"""Sizes, as a ratchet: these numbers go down, never up."""

from __future__ import annotations

import ast
import statistics

import pytest

from tests.house._source import FUNCTION, PACKAGE, functions, length, modules, short, tree, where

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 50
FUNCTION_LINES_MEDIAN = 7
FUNCTION_LINES_NINE_OF_TEN = 20
FILES_IN_A_FOLDER_MAX = 12
METHODS_IN_A_CLASS_MAX = 15
NESTING_MAX = 3
POSITIONAL_PARAMETERS_MAX = 5

# What is over a limit, how far, and why it stays in one piece.
CROWDED = {
    "src/penstock/remote": 13,  # both ends of a lane, the refs, and the wire between them
    "src/penstock/protocol": 18,  # a ledger, a file: eight ledgers, and what they have in common
}
MANY_SIDED = {
    "Actor": 22,  # what it knows of itself, what it can do, the hooks
    "ActorSystem": 17,  # spawn, find, stop, reach others
    "Cell": 16,  # taking messages, and the one loop that runs them
    "Channel": 30,  # both sides of opening, sending, ending, and six steps for those who implement it
    "RemoteChannel": 20,  # those steps, and what happens to its stream
    "Connection": 32,  # the whole of the pure core from outside: a line or two each
    "Inbound": 24,  # a method for each frame type
    "Peer": 20,  # four ways to call, and a life
    "CallScope": 19,  # the tasks of a connection, its attachments, its life
    "SendHalf": 20,
    "ServerCall": 17,
    "Session": 35,  # what the link calls, what streams call, what events do
    "StreamHandle": 32,  # the verbs of a stream, of a callee, a caller and both: a line or two each
    "RemoteSource": 22,
    "RemoteSink": 17,
    "RemoteStream": 17,  # the endpoint of its stream, and what interceptors add
    "WireStream": 19,  # its two halves, and the order of what it sends
}
DEEP = {"_iterate": 4}  # the hot loop of a remote source: a call per item would cost more than the item

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


@pytest.fixture(scope="module")
def lengths() -> dict[str, int]:
    return {where(path, node): length(path, node) for path in modules() for node in functions(path)}


def test_no_file_is_longer_than_the_limit():
    lines = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {name: count for name, count in lines.items() if count > FILE_LINES_MAX}


def test_no_function_is_longer_than_the_limit(lengths):
    assert not {name: count for name, count in lengths.items() if count > FUNCTION_LINES_MAX}


def test_functions_are_short_as_a_rule(lengths):
    counts = sorted(lengths.values())
    assert statistics.median(counts) <= FUNCTION_LINES_MEDIAN
    assert counts[int(len(counts) * 0.9)] <= FUNCTION_LINES_NINE_OF_TEN


def test_no_folder_holds_more_files_than_a_reader_can_keep_in_mind():
    folders = {path.parent for path in modules()}
    counts = {short(folder): len(list(folder.glob("*.py"))) for folder in folders if folder != PACKAGE}
    assert not {name: count for name, count in counts.items() if count > CROWDED.get(name, FILES_IN_A_FOLDER_MAX)}


def test_no_class_has_too_many_methods():
    classes = [(path, node) for path in modules() for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    counts = {where(path, node): sum(isinstance(child, FUNCTION) for child in node.body) for path, node in classes}
    assert not {name: count for name, count in counts.items() if count > MANY_SIDED.get(_last(name), METHODS_IN_A_CLASS_MAX)}


def test_no_function_nests_deeper_than_the_limit():
    depths = {where(path, node): _depth(node) for path in modules() for node in functions(path)}
    assert not {name: depth for name, depth in depths.items() if depth > DEEP.get(_last(name), NESTING_MAX)}


def test_few_parameters_are_positional():
    counts = {where(path, node): _positional(node) for path in modules() for node in functions(path)}
    assert not {name: count for name, count in counts.items() if count > POSITIONAL_PARAMETERS_MAX}


def _depth(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTION, ast.Lambda, ast.ClassDef)):
            continue  # counted as a function of its own
        elif_ = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, _depth(child) + (isinstance(child, _BLOCKS) and not elif_))
    return deepest


def _positional(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return len([name for name in names if name not in {"self", "cls"}])


def _last(name: str) -> str:
    """Return the bare name of a place, "file:line name"."""
    return name.rpartition(" ")[2]
