"""A class as a service: its public async methods, their kinds and their types. This module never calls anything.

The type hints are the schema. A method is *unary* by default; a parameter annotated `AsyncIterator[T]` makes its
requests a stream, a return type `AsyncIterator[T]` its responses.
"""

from __future__ import annotations

import collections.abc
import heapq
import inspect
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from inspect import getattr_static
from typing import Any, Final, NamedTuple, cast, get_args, get_origin, get_type_hints

from penstock.codec import check_type, is_extension
from penstock.protocol import CallKind
from penstock.service._arguments import Arguments, Parameter
from penstock.streams import Source

#: Annotations that mean "a stream of".
_STREAMS: Final = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
#: The place of a request stream that is taken by name only: after every other argument.
_BY_NAME: Final = 1 << 30
#: What a wrong name is compared with, and how long it may be: a guess must not cost a peer's mistake more than a millisecond.
COMPARED_MAX: Final = 64
COMPARED_CHARACTERS: Final = 64
LISTED_MAX: Final = 10
#: Names of the module: on Python 3.11 a look-up in the class takes longer than the test.
_UNARY: Final = CallKind.UNARY
_CLIENT_STREAMING: Final = CallKind.CLIENT_STREAMING
_SERVER_STREAMING: Final = CallKind.SERVER_STREAMING


class Method(NamedTuple):
    """One method of a service."""

    target: str
    name: str
    kind: CallKind
    arguments: Arguments
    request: Any
    response: Any
    awaited: bool
    doc: str

    @property
    def streams_requests(self) -> bool:
        return bool(self.kind & _CLIENT_STREAMING)

    @property
    def streams_responses(self) -> bool:
        return bool(self.kind & _SERVER_STREAMING)


class Service(NamedTuple):
    """A class, as others see it."""

    name: str
    methods: Mapping[str, Method]
    doc: str


def service_of(cls: type[Any]) -> Service:
    """Read a class. Raises `TypeError`, naming method and parameter, for a type that cannot travel."""
    if not isinstance(cls, type):
        raise TypeError(f"{cls!r} is no class; a stub is made from the class of a service: peer.service({type(cls).__name__})")
    return _read(cast("Hashable", cls))


@lru_cache(maxsize=1024)
def _read(cls: Any) -> Service:
    name = getattr(cls, "service_name", None) or cls.__name__
    hidden = getattr(cls, "_penstock_hidden", None)
    methods = {
        attribute: _method(cls, name, attribute, function)
        for attribute, function in _members(cls).items()
        if not attribute.startswith("_") and attribute not in (hidden or ()) and _is_method(function)
    }
    if not methods and hidden is None:
        raise TypeError(f"{cls.__qualname__} has no public async method, so there is nothing to call")
    return Service(name, methods, inspect.getdoc(cls) or "")


def suggest(name: str, known: Sequence[str]) -> str:
    """Say what may have been meant."""
    if not known:
        return "nothing is served here"
    likely = heapq.nsmallest(COMPARED_MAX, known, key=lambda one: (one[:1] != name[:1], abs(len(one) - len(name))))
    import difflib  # only the text of an error needs it

    near = difflib.get_close_matches(name, likely, n=1, cutoff=0.5) if len(name) <= COMPARED_CHARACTERS else []
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known are: {', '.join(heapq.nsmallest(LISTED_MAX, known))}"


def _members(cls: type) -> dict[str, Any]:
    """Return the attributes of a class and its bases in the order of their definition."""
    return {name: getattr_static(cls, name) for base in reversed(cls.__mro__) for name in vars(base)}


def _is_method(member: object) -> bool:
    if not inspect.isfunction(member):
        return False
    if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
        return True
    try:
        return _stream_of(get_type_hints(member).get("return")) is not None
    except (NameError, TypeError):  # a plain method's hints are its own affair
        return False


def _method(cls: type, service: str, name: str, function: Any) -> Method:
    where = f"{cls.__qualname__}.{name}"
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{where}: a type hint that cannot be found: {error}") from error
    parameters, request, stream = _parameters(where, function, hints)
    returns = hints.get("return", Any)
    response = _stream_of(returns)
    streams = response is not None or inspect.isasyncgenfunction(function)
    response = (response if response is not None else Any) if streams else returns
    check_type(response, f"{where}: its result")
    kind = (_CLIENT_STREAMING if stream is not None else _UNARY) | (_SERVER_STREAMING if streams else _UNARY)
    awaited = inspect.iscoroutinefunction(function)
    arguments = Arguments(f"{service}/{name}", parameters, stream)
    return Method(f"{service}/{name}", name, kind, arguments, request, response, awaited, inspect.getdoc(function) or "")


def _parameters(where: str, function: Any, hints: Mapping[str, Any]) -> tuple[list[Parameter], Any, tuple[int, str] | None]:
    """Return the parameters that travel in `OPEN`, the item type of the request stream, and its place and name."""
    found: list[Parameter] = []
    request: Any = None
    stream: tuple[int, str] | None = None
    for index, parameter in enumerate(list(inspect.signature(function).parameters.values())[1:]):
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise TypeError(f"{where}: parameter `{parameter}` has no fixed shape, so it cannot travel")
        hint = hints.get(parameter.name, Any)
        items = _stream_of(hint)
        if items is None:
            check_type(hint, f"{where}: parameter `{parameter.name}`")
            keyword = parameter.kind is parameter.KEYWORD_ONLY
            found.append(Parameter(parameter.name, hint, parameter.default, keyword))
            continue
        if stream is not None:
            raise TypeError(f"{where}: parameter `{parameter.name}` is a second stream; a call carries one each way")
        check_type(items, f"{where}: the items of parameter `{parameter.name}`")
        request, stream = items, (_BY_NAME if parameter.kind is parameter.KEYWORD_ONLY else index, parameter.name)
    return found, request, stream


def _stream_of(hint: Any) -> Any:
    """Return the item type of a stream annotation, None for anything else."""
    origin = get_origin(hint) or hint
    if not isinstance(origin, type) or is_extension(origin) or not (origin in _STREAMS or issubclass(origin, Source)):
        return None
    arguments = get_args(hint)
    return arguments[0] if arguments else Any
