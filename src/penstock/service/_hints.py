"""Type hints as a class means them: resolved, with its own types in the place of aliases and type variables."""

from __future__ import annotations

import collections.abc
import sys
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

from penstock.codec import is_extension
from penstock.streams import KeptEncoded, Source

#: Annotations that mean "a stream of".
_STREAMS: Final = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
#: `typing.TypeAliasType`, which Python 3.11 does not have: the class of ``type Prices = AsyncIterator[float]``.
_ALIAS: Final = getattr(sys.modules["typing"], "TypeAliasType", ())
#: Annotations of a plain method that is called as an async one.
_AWAITED: Final = (collections.abc.Awaitable, collections.abc.Coroutine)


def origin_of(cls: Any) -> type[Any]:
    """Return the class itself for a class with arguments, ``Store[User]``."""
    return cast("type[Any]", get_origin(cls) or cls)


def class_of(service: object) -> Any:
    """Return the class of an object, with its arguments when it was made by ``Store[User]()``."""
    made_by = getattr(service, "__dict__", {}).get("__orig_class__")
    return type(service) if made_by is None or get_origin(made_by) is not type(service) else made_by


def hints_of(cls: Any, name: str, function: Callable[..., Any] | None = None) -> dict[str, Any]:
    """Return the type hints of a method, as they read in `cls`: by the name of the parameter, and "return".

    cls: a class, or one with arguments. name: the method, which may be inherited: a type variable of the base becomes the
    type that `cls` gives it. function: the function to read; by default the attribute of that name.

    Raises `NameError` for a hint that cannot be resolved, `TypeError` for one that is not a type, or an alias of itself.
    """
    owner = next((base for base in origin_of(cls).__mro__ if name in vars(base)), origin_of(cls))
    function = getattr(owner, name) if function is None else function
    own_names = {each.__name__: each for whole in (owner, function) for each in getattr(whole, "__type_params__", ())}
    try:
        hints = get_type_hints(function, localns=own_names, include_extras=True)
    except NameError:  # as Python reads it where it stands: a class inside the class
        hints = get_type_hints(function, localns={**vars(owner), **own_names}, include_extras=True)
    known = _arguments_of(cls).get(owner, {})
    try:
        return {parameter: substituted(hint, known) for parameter, hint in hints.items()}
    except RecursionError:
        raise TypeError(f"{origin_of(cls).__qualname__}.{name}: a type alias in its hints stands for itself") from None


def substituted(hint: Any, known: Mapping[Any, Any]) -> Any:
    """Return a hint with the type variables in `known` replaced, at any depth, and an alias replaced by its value."""
    alias: Any = get_origin(hint) or hint
    if isinstance(alias, _ALIAS):
        given = {one: substituted(each, known) for one, each in zip(alias.__type_params__, get_args(hint), strict=False)}
        return substituted(alias.__value__, given)
    if isinstance(hint, TypeVar):
        return known.get(hint, hint)
    return (
        hint[tuple(known.get(one, one) for one in _variables(hint))] if any(one in known for one in _variables(hint)) else hint
    )


def stream_of(hint: Any) -> Any:
    """Return the item type of an annotation that means a stream; None for any other annotation."""
    hint = _bare(hint)
    origin = get_origin(hint) or hint
    if (
        not isinstance(origin, type)
        or is_extension(origin)
        or not (origin in _STREAMS or issubclass(origin, Source | KeptEncoded))
    ):
        return None
    return _argument(hint, 0)


def awaited_type(hint: Any) -> Any:
    """Return the type that awaiting gives for ``Awaitable[T]`` or ``Coroutine[..., T]``; None for any other annotation."""
    hint = _bare(hint)
    awaits = (get_origin(hint) or hint) in _AWAITED
    return _argument(hint, -1) if awaits else None


def _argument(hint: Any, at: int) -> Any:
    """Return an argument of a hint, `Any` without arguments; never None, which is the one of ``AsyncIterator[None]``."""
    arguments = get_args(hint) or (Any,)
    return NoneType if arguments[at] is None else arguments[at]


def _bare(hint: Any) -> Any:
    """Return a hint without the remarks of ``Annotated``."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def open_in(hint: Any) -> TypeVar | None:
    """Return a type variable that a hint leaves open; None when its types are all known."""
    return hint if isinstance(hint, TypeVar) else next(iter(_variables(hint)), None)


def _variables(hint: Any) -> tuple[Any, ...]:
    """Return the type variables in a hint. A generic class without arguments has none."""
    is_class = isinstance(hint, type) and get_origin(hint) is None
    return () if is_class else getattr(hint, "__parameters__", ())


def _arguments_of(cls: Any) -> dict[type, dict[Any, Any]]:
    """Return the types that a class gives to the type variables of its bases, by base."""
    found: dict[type, dict[Any, Any]] = {}
    for base, given in _bases(cls, {}):
        found.setdefault(base, {}).update(given)
    return found


def _bases(cls: Any, known: Mapping[Any, Any]) -> Iterator[tuple[type, dict[Any, Any]]]:
    """Iterate over a class and its bases, each with the types of its type variables."""
    origin = origin_of(cls)
    variables = getattr(origin, "__parameters__", ())
    if get_args(cls):
        given = {one: substituted(argument, known) for one, argument in zip(variables, get_args(cls), strict=False)}
    else:  # a type variable may have a default from Python 3.13: class Store[T = int]
        given = {one: one.__default__ for one in variables if getattr(one, "has_default", bool)()}
    yield origin, given
    for base in vars(origin).get("__orig_bases__", origin.__bases__):
        if get_origin(base) not in {Generic, Protocol}:
            yield from _bases(base, given)
