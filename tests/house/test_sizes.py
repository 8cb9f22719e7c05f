"""Sizes, as a ratchet: these numbers go down, never up."""

from __future__ import annotations

import ast
import statistics
from functools import cache

import pytest

from tests.house._source import FUNCTION, PACKAGE, functions, length, modules, nodes, short, where

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 44
FUNCTION_LINES_MEDIAN = 4
FUNCTION_LINES_NINE_OF_TEN = 13
FILES_IN_A_FOLDER_MAX = 12
METHODS_IN_A_CLASS_MAX = 15
NESTING_MAX = 3
POSITIONAL_PARAMETERS_MAX = 5

# What is over a limit, how far, and why it stays in one piece. The numbers are those of today: lower one when it falls, and
# take out the entry that is not needed any more.
CROWDED = {
    "src/penstock/protocol": 21,  # a ledger, a file: ten ledgers, the links, and what they have in common
}
MANY_SIDED = {
    "Actor": 22,  # what it knows of itself, what it can do, the hooks
    "ActorSystem": 17,  # spawn, find, stop, reach others
    "Cell": 16,  # taking messages, and the one loop that runs them
    "Channel": 23,  # its public verbs and attributes, and how Python uses them: no private step
    "RpcPeer": 23,  # the verbs of the original, and five events of its wire
    "RpcWire": 18,  # what the link calls, what the peer calls, and its life
    "PeerStreams": 26,  # the verbs of a peer, what frames do, what the connection does
    "WebSocketEnd": 20,  # seven steps of the link below, five of the session's link, hooks of the handshake: a line or two each
    "RemoteWire": 19,  # six steps of this side, nine events of its stream
    "Connection": 28,  # the whole of the pure core from outside: a line or two each
    "Inbound": 16,  # a method for each frame type of a stream
    "KeptStream": 23,  # what followers read, what the writer and notes and forks say, what the shelf asks: a line or two each
    "StreamInFile": 19,  # those of them that a file answers otherwise, and what its store asks
    "Retained": 24,  # the verbs of a sink, those of its followers, and how Python uses them
    "Peer": 24,  # five ways to call, and a life with its states, each of which a program may wait for
    "CallScope": 18,  # the tasks of a connection, its attachments, its life
    "Session": 34,  # what the link calls, what streams call, what events do
    "LastingSession": 27,  # the life of a session between its links, how far it has come, and its drain
    "SocketLink": 16,  # the eight of a link, and those of a protocol of asyncio
    "StreamHandle": 31,  # the verbs of a stream, of a callee, a caller and both: a line or two each
    "RemoteSource": 21,
    "RemoteSink": 17,
    "RemoteStream": 17,  # the endpoint of its stream, whether its server shuts down, and what interceptors add
    "WireStream": 18,  # its two halves, and the order of what it sends
}
LONG: dict[str, int] = {}
DEEP = {"_iterate": 4}  # the hot loop of a remote source: a call per item would cost more than the item

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


@cache
def _lengths() -> dict[str, int]:
    return {where(path, node): length(path, node) for path in modules() for node in functions(path)}


def _files() -> dict[str, int]:
    folders = {path.parent for path in modules()}
    return {short(folder): len(list(folder.glob("*.py"))) for folder in folders if folder != PACKAGE}


def _methods() -> dict[str, int]:
    classes = [(path, node) for path in modules() for node in nodes(path) if isinstance(node, ast.ClassDef)]
    return {where(path, node): sum(isinstance(child, FUNCTION) for child in node.body) for path, node in classes}


def _depths() -> dict[str, int]:
    return {where(path, node): _depth(node) for path in modules() for node in functions(path)}


def test_no_file_is_longer_than_the_limit():
    lines = {short(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {name: count for name, count in lines.items() if count > FILE_LINES_MAX}


def test_no_function_is_longer_than_the_limit():
    assert not {name: count for name, count in _lengths().items() if count > LONG.get(_last(name), FUNCTION_LINES_MAX)}


def test_functions_are_short_as_a_rule():
    counts = sorted(_lengths().values())
    assert statistics.median(counts) <= FUNCTION_LINES_MEDIAN
    assert counts[int(len(counts) * 0.9)] <= FUNCTION_LINES_NINE_OF_TEN


def test_no_folder_holds_more_files_than_a_reader_can_keep_in_mind():
    counts = _files()
    assert not {name: count for name, count in counts.items() if count > CROWDED.get(name, FILES_IN_A_FOLDER_MAX)}


def test_no_class_has_too_many_methods():
    counts = _methods()
    assert not {name: count for name, count in counts.items() if count > MANY_SIDED.get(_last(name), METHODS_IN_A_CLASS_MAX)}


def test_no_function_nests_deeper_than_the_limit():
    depths = _depths()
    assert not {name: depth for name, depth in depths.items() if depth > DEEP.get(_last(name), NESTING_MAX)}


@pytest.mark.parametrize(
    ("permits", "limit", "measured"),
    [
        (CROWDED, FILES_IN_A_FOLDER_MAX, _files),
        (MANY_SIDED, METHODS_IN_A_CLASS_MAX, _methods),
        (LONG, FUNCTION_LINES_MAX, _lengths),
        (DEEP, NESTING_MAX, _depths),
    ],
    ids=["CROWDED", "MANY_SIDED", "LONG", "DEEP"],
)
def test_no_permission_is_left_over(permits, limit, measured):
    largest: dict[str, int] = {}
    for name, count in measured().items():
        largest[_last(name)] = max(count, largest.get(_last(name), 0))
    assert {name: largest.get(name) for name in permits} == permits, "lower these numbers to those of today"
    assert not [name for name, count in permits.items() if count <= limit], "not over the limit: take it out"


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
