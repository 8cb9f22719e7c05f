"""What the garbage collector may not look into holds nothing that could lead back to it."""

from __future__ import annotations

import ast
import importlib
import types
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from tests.house._source import PACKAGE, functions, modules, where

ATOMS = (bool, bytearray, bytes, float, int, str, type(None), msgspec.Raw)
CONTAINERS = (dict, list, tuple, Union, types.UnionType)


def test_a_struct_without_the_collector_holds_only_what_leads_nowhere():
    """FAULTS H1: an event held an error, whose traceback held the frame that held the event: the session stayed for ever."""
    wrong = [
        f"{struct.__module__}.{struct.__qualname__}.{name}: {kind}"
        for struct in _structs(msgspec.Struct)
        if not struct.__struct_config__.gc
        for name, kind in get_type_hints(struct, include_extras=True).items()
        if not _leads_nowhere(kind)
    ]
    assert not wrong, "leave out gc=False: this can be a part of a circle, which only the collector frees"


def test_a_struct_without_the_collector_is_not_made_of_values_of_any_type():
    """The program's own values would be such: a field that is annotated otherwise does not keep them out."""
    uncollected = {struct.__name__ for struct in _structs(msgspec.Struct) if not struct.__struct_config__.gc}
    wrong = [
        f"{where(path, call)} in {function.name}: {ast.unparse(value)}"
        for path in modules()
        for function in functions(path)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in uncollected
        for value in (*call.args, *(keyword.value for keyword in call.keywords))
        if _is_of_any_type(value, function)
    ]
    assert not wrong, "give this value to a struct with the collector, whose field says Any"


def _is_of_any_type(value: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether an argument is a cast to Any, or a parameter of its function that is annotated as Any."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "cast":
        return ast.unparse(value.args[0]).strip("'") == "Any"
    arguments = function.args
    parameters = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    kinds = {each.arg: each.annotation for each in parameters}
    kind = kinds.get(value.id) if isinstance(value, ast.Name) else None
    return kind is not None and ast.unparse(kind).strip("'") == "Any"


def _structs(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for path in modules():
        if path.name != "__main__.py":
            importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    left = [base]
    while left:
        found = left.pop()
        left += found.__subclasses__()
        if found.__module__.startswith("penstock"):
            yield found


def _leads_nowhere(kind: Any) -> bool:
    origin = get_origin(kind)
    if origin is Annotated:
        return _leads_nowhere(get_args(kind)[0])
    if origin in CONTAINERS:
        return all(_leads_nowhere(part) for part in get_args(kind) if part is not ...)
    if origin is Literal:
        return True
    if not isinstance(kind, type):
        return False
    return kind in ATOMS or issubclass(kind, Enum) or (issubclass(kind, msgspec.Struct) and not kind.__struct_config__.gc)
