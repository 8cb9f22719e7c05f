"""Read a class as a service: its public async methods, their kinds and their types.

The type hints are the schema. A method is *unary*, unless a parameter is annotated `AsyncIterator[T]`, which makes a stream of
its requests, or its return type is `AsyncIterator[T]`, which makes a stream of its responses.
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Hashable, Mapping
from functools import lru_cache
from inspect import getattr_static
from typing import Any, Final, NamedTuple, cast, get_args, get_origin, get_type_hints

from penstock.codec import check_type, is_extension
from penstock.errors import Unimplemented
from penstock.protocol import CallKind
from penstock.service._arguments import Arguments, Parameter
from penstock.service._suggest import unknown_method
from penstock.streams import Source

#: Annotations that mean "a stream of".
_STREAMS: Final = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
#: The place of a request stream that is taken by name only: after every other argument.
_BY_NAME: Final = 1 << 30
#: Names of the module: on Python 3.11 a look-up in the class takes longer than the test.
_UNARY: Final = CallKind.UNARY
_CLIENT_STREAMING: Final = CallKind.CLIENT_STREAMING
_SERVER_STREAMING: Final = CallKind.SERVER_STREAMING


class Method(NamedTuple):
    """One method of a service.

    target: how a peer calls it, "Service/method". arguments: the parameters that travel when the call is opened.
    request: the item type of the request stream, None without one. response: the type of the result, or the item type of the
    response stream. awaited: whether it is a coroutine function. doc: its docstring.
    """

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
        """Whether one of its parameters is a stream."""
        return bool(self.kind & _CLIENT_STREAMING)

    @property
    def streams_responses(self) -> bool:
        """Whether its result is a stream."""
        return bool(self.kind & _SERVER_STREAMING)


class Service(NamedTuple):
    """A class as its callers see it.

    name: its `service_name`, or else the name of the class. methods: by name, in the order of their definition, inherited ones
    first. doc: its docstring.
    """

    name: str
    methods: Mapping[str, Method]
    doc: str

    def method(self, name: str, of: str | None = None) -> Method:
        """Return the method called `name`. Raises `Unimplemented` with the nearest name, or a list of names.

        of: the address of an actor, for the text of the error.
        """
        method = self.methods.get(name)
        if method is None:
            owner = self.name if of is None else f"{of} ({self.name})"
            raise Unimplemented(unknown_method(name, owner, self.methods), started=False)
        return method


def service_of(cls: type[Any]) -> Service:
    """Read a class as a service: each public method that is async, or that returns an async iterator, can be called.

    A class is read once; later calls return the same `Service`. No object is made of it, and no method of it is called.

    Raises `TypeError`, with the method and the parameter in its text: for a type that cannot travel, a type hint that cannot be
    resolved, `*args` or `**kwargs`, and a second stream of requests. Also for an object in place of a class, and for a class
    without a method to call, unless it is an actor's.
    """
    if not isinstance(cls, type):
        raise TypeError(
            f"{cls!r} is not a class; a stub is made from the class of a service: peer.service({type(cls).__name__})"
        )
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


def _members(cls: type) -> dict[str, Any]:
    """Return the attributes of a class and its bases in the order of their definition."""
    return {name: getattr_static(cls, name) for base in reversed(cls.__mro__) for name in vars(base)}


def _is_method(member: object) -> bool:
    """Say whether an attribute of a class is a method that can be called from elsewhere: one that is async or streams."""
    if not inspect.isfunction(member):
        return False
    if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
        return True
    try:
        return _stream_of(get_type_hints(member).get("return")) is not None
    except (NameError, TypeError):  # only the hints of async methods have to be resolved
        return False


def _method(cls: type, service: str, name: str, function: Any) -> Method:
    """Read one method of a class. Raises `TypeError` for a type that cannot travel."""
    where = f"{cls.__qualname__}.{name}"
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"{where}: a type hint that cannot be resolved: {error}") from error
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
    parameters: list[Parameter] = []
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
            parameters.append(Parameter(parameter.name, hint, parameter.default, keyword))
            continue
        if stream is not None:
            raise TypeError(f"{where}: parameter `{parameter.name}` is a second stream; a call carries one each way")
        check_type(items, f"{where}: the items of parameter `{parameter.name}`")
        request, stream = items, (_BY_NAME if parameter.kind is parameter.KEYWORD_ONLY else index, parameter.name)
    return parameters, request, stream


def _stream_of(hint: Any) -> Any:
    """Return the item type of an annotation that means a stream; None for any other annotation."""
    origin = get_origin(hint) or hint
    if not isinstance(origin, type) or is_extension(origin) or not (origin in _STREAMS or issubclass(origin, Source)):
        return None
    arguments = get_args(hint)
    return arguments[0] if arguments else Any
