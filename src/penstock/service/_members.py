"""Which members of a class can be called from elsewhere, and why the others cannot."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import partialmethod
from inspect import getattr_static
from typing import Any, Final, NamedTuple

from penstock.service._hints import awaited_type, hints_of, origin_of, stream_of

#: Methods by which the owner of an object ends it: no caller may.
_FOR_THE_OWNER: Final = frozenset({"aclose"})


class Member(NamedTuple):
    """One method that can be called from elsewhere.

    function: the function in its class, without `staticmethod` or `classmethod`. takes_self: whether its first parameter is the
    object or the class. awaited: whether a call returns something to await.
    """

    name: str
    function: Callable[..., Any]
    takes_self: bool
    awaited: bool


class LeftOut(NamedTuple):
    """A public attribute that cannot be called from elsewhere.

    reason: the end of a sentence that begins with its name. refused: whether its author surely meant it to be called, so that
    it must not be left out in silence.
    """

    reason: str
    refused: bool = False


def read_member(cls: Any, name: str) -> Member | LeftOut:
    """Read one public attribute of a class."""
    if name in _FOR_THE_OWNER:
        return LeftOut("it ends the object for its owner; a method for callers needs another name")
    member = getattr_static(origin_of(cls), name)
    function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
    if not inspect.isfunction(function):
        return _no_function(function)
    links = list(_links(function))
    if any(link.__globals__ is vars(contextlib) for link in links):
        return LeftOut("it makes a context manager, which cannot travel")
    awaited = next((a for a in map(_how_called, links) if a is not None), None)
    if awaited is None:
        awaited = _declared(cls, name, function)
    if awaited is None:
        return LeftOut("it is not async; write `async def`")
    return Member(name, function, not isinstance(member, staticmethod), awaited)


def members_of(cls: Any) -> list[str]:
    """Return the public names of a class and its bases in the order of their definition."""
    names = {name: None for base in reversed(origin_of(cls).__mro__) for name in vars(base)}
    return [name for name in names if not name.startswith("_")]


def _no_function(member: Any) -> LeftOut:
    """Return why an attribute that is not a function is left out."""
    inner = member.func if isinstance(member, partialmethod) else inspect.unwrap(member) if callable(member) else None
    if inner is not None and not isinstance(inner, type) and _how_called(inner) is not None:
        wrapper = type(member).__name__
        return LeftOut(
            f"it is an async method inside a {wrapper}, which cannot be served; write a plain `async def`", refused=True
        )
    return LeftOut("it is not a method")


def _links(function: Any) -> Iterator[Any]:
    """Iterate over a function and those that it wraps (`functools.wraps`), the outermost first."""
    while inspect.isfunction(function):
        yield function
        function = getattr(function, "__wrapped__", None)


def _how_called(function: Any) -> bool | None:
    """Whether a call returns something to await (True) or a stream (False); None when the function alone does not tell."""
    if inspect.iscoroutinefunction(function):
        return True
    return False if inspect.isasyncgenfunction(function) else None


def _declared(cls: Any, name: str, function: Any) -> bool | None:
    """Say the same for a plain function by its annotation."""
    try:
        returns = hints_of(cls, name, function).get("return")
    except (NameError, TypeError):  # only the hints of async methods have to be resolved
        return None
    if awaited_type(returns) is not None:
        return True
    return False if stream_of(returns) is not None else None
