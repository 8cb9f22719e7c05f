"""Read a class as a service: its public async methods, their kinds and their types.

The type hints are the schema. A method is *unary*, unless a parameter is annotated `AsyncIterator[T]`, which makes a stream of
its requests, or its return type is `AsyncIterator[T]`, which makes a stream of its responses.
"""

from __future__ import annotations

import abc
import inspect
import types
import typing
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from penstock.codec import check_type
from penstock.errors import Unimplemented
from penstock.protocol import CallKind
from penstock.service._arguments import Arguments, Parameter
from penstock.service._hints import awaited_type, hints_of, open_in, origin_of, stream_of
from penstock.service._meaning import meanings
from penstock.service._members import LeftOut, Member, members_of, read_member
from penstock.service._options import again_of, window_of
from penstock.service._suggest import suggest, unknown_method

#: The place of a request stream that is taken by name only: after every other argument.
_BY_NAME: Final = 1 << 30
#: Names of the module: on Python 3.11 a look-up in the class takes longer than the test.
_UNARY: Final = CallKind.UNARY
_CLIENT_STREAMING: Final = CallKind.CLIENT_STREAMING
_SERVER_STREAMING: Final = CallKind.SERVER_STREAMING
#: Modules whose classes have docstrings about Python.
_FOREIGN: Final = frozenset(module.__name__ for module in (abc, typing)) | {object.__module__, "msgspec"}


class Method(NamedTuple):
    """One method of a service.

    target: how a peer calls it, "Service/method". arguments: the parameters that travel when the call is opened.
    request: the item type of the request stream, None without one. response: the type of the result, or the item type of the
    response stream. awaited: whether it is a coroutine function. doc: its docstring. window: how many items and bytes of
    requests may be ahead of its handler, as `receives` says; 0 for no bound of its own. again: how often a call that may have
    started is made again, as `idempotent` says.
    """

    target: str
    name: str
    kind: CallKind
    arguments: Arguments
    request: Any
    response: Any
    awaited: bool
    doc: str
    window: tuple[int, int] = (0, 0)
    again: int = 0

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
    first. doc: its docstring. left_out: why its other public names cannot be called, by name.
    """

    name: str
    methods: Mapping[str, Method]
    doc: str
    left_out: Mapping[str, str] = types.MappingProxyType({})

    def method(self, name: str, of: str | None = None) -> Method:
        """Return the method called `name`. Raises `Unimplemented` with the reason, the nearest name, or a list of names.

        of: the address of an actor, for the text of the error.
        """
        method = self.methods.get(name)
        if method is not None:
            return method
        owner = self.name if of is None else f"{of} ({self.name})"
        if name in self.left_out:
            raise Unimplemented(f"{name!r} of {owner} cannot be called: {self.left_out[name]}", started=False)
        raise Unimplemented(unknown_method(name, owner, self.methods), started=False)


def service_of(cls: Any, only: Iterable[str] | None = None) -> Service:
    """Read a class as a service: each public method that is async, or that returns an async iterator, can be called.

    A class is read once; later calls return the same `Service`. No object is made of it, and no method of it is called.

    cls: the class; a generic one may have arguments, ``Store[User]``. only: the names of the methods that can be called; None,
    the default, for all.

    Raises `TypeError`, with the method and the parameter in its text: for a type that cannot travel, a type hint that cannot be
    resolved, a type variable that the class leaves open, `*args` or `**kwargs`, and a second stream of requests. Also for an
    object in place of a class, for a name in `only` that cannot be called, and for a class without a method to call, unless it
    is an actor's.
    """
    if not isinstance(origin_of(cls), type):
        raise TypeError(
            f"{cls!r} is not a class; a stub is made from the class of a service: peer.service({type(cls).__name__})"
        )
    return _read(cast("Hashable", cls), None if only is None else frozenset(only))


@lru_cache(maxsize=1024)
def _read(cls: Any, only: frozenset[str] | None) -> Service:
    origin = origin_of(cls)
    name = getattr(origin, "service_name", None) or origin.__name__
    hidden = getattr(origin, "_penstock_hidden", None)
    names = [attribute for attribute in members_of(cls) if attribute not in (hidden or ())]
    members = {attribute: read_member(cls, attribute) for attribute in names}
    if only is not None:
        members = _listed(origin, members, only)
    methods: dict[str, Method] = {}
    left_out: dict[str, str] = {}
    for attribute, member in members.items():
        if isinstance(member, Member):
            methods[attribute] = _method(cls, name, member)
        elif member.refused:
            raise TypeError(f"{origin.__qualname__}.{attribute} cannot be served: {member.reason}")
        else:
            left_out[attribute] = member.reason
    if not methods and hidden is None:
        raise TypeError(f"{origin.__qualname__} has no public async method, so there is nothing to call")
    return Service(name, methods, _doc(origin), left_out)


def _listed(cls: type, members: Mapping[str, Member | LeftOut], only: frozenset[str]) -> dict[str, Member | LeftOut]:
    """Return the members on an allow-list; callers learn of no others. Raises `TypeError` for a name that cannot be called."""
    for name in sorted(only):
        member = members.get(name)
        if member is None:
            raise TypeError(f"{cls.__qualname__} has no public method {name!r} to expose; {suggest(name, members, 'names')}")
        if isinstance(member, LeftOut):
            raise TypeError(f"{cls.__qualname__}.{name} cannot be exposed: {member.reason}")
    return {name: member for name, member in members.items() if name in only}


def _doc(cls: type) -> str:
    """Return the docstring of a class or of its nearest base that has one, but none about Python or Penstock."""
    for base in cls.__mro__:
        text = vars(base).get("__doc__")
        of_the_program = base is cls or not (base.__module__ in _FOREIGN or base.__module__.startswith("penstock."))
        if text and of_the_program and not text.startswith(f"{base.__name__}("):  # as `dataclass` writes one
            return inspect.cleandoc(text)
    return ""


def streams_responses(cls: Any, member: Member) -> bool | None:
    """Whether a method gives a stream rather than one result; None when neither its code nor its hints tell."""
    if inspect.isasyncgenfunction(inspect.unwrap(member.function)):
        return True
    try:
        hints = hints_of(cls, member.name, member.function)
    except (NameError, TypeError):
        return None
    return stream_of(hints["return"]) is not None if "return" in hints else None


def _method(cls: Any, service: str, member: Member) -> Method:
    """Read one method of a class. Raises `TypeError` for a type that cannot travel."""
    name, function = member.name, member.function
    where = f"{origin_of(cls).__qualname__}.{name}"
    try:
        hints = hints_of(cls, name, function)
    except NameError as error:
        advice = "import it where the program runs, and not for TYPE_CHECKING alone; define it in the module"
        raise TypeError(f"{where}: a type hint that cannot be resolved: {error}; {advice}") from error
    parameters, request, stream = _parameters(cls, member, hints)
    returns = hints.get("return", Any)
    response = stream_of(returns)
    streams = response is not None or inspect.isasyncgenfunction(inspect.unwrap(function))
    if response is None:
        response = Any if streams else returns if inspect.iscoroutinefunction(function) else awaited_type(returns) or returns
    _check(cls, response, f"{where}: its result")
    kind = (_CLIENT_STREAMING if stream is not None else _UNARY) | (_SERVER_STREAMING if streams else _UNARY)
    arguments = Arguments(f"{service}/{name}", parameters, stream)
    window = window_of(function)
    if window != (0, 0) and stream is None:
        raise TypeError(f"{where} has no stream of requests, so `receives` sets the window of nothing")
    again = again_of(function)
    if again and kind != _UNARY:
        raise TypeError(f"{where} is {kind.label}, and `idempotent` is for unary methods: a stream is not made again")
    doc = inspect.getdoc(function) or ""
    return Method(f"{service}/{name}", name, kind, arguments, request, response, member.awaited, doc, window, again)


def _parameters(cls: Any, member: Member, hints: Mapping[str, Any]) -> tuple[list[Parameter], Any, tuple[int, str] | None]:
    """Return the parameters that travel in `OPEN`, the item type of the request stream, and its place and name."""
    where = f"{origin_of(cls).__qualname__}.{member.name}"
    parameters: list[Parameter] = []
    request: Any = None
    stream: tuple[int, str] | None = None
    declared = list(inspect.signature(member.function).parameters.values())
    takes_self = member.takes_self and declared[:1] and declared[0].kind is not inspect.Parameter.VAR_POSITIONAL
    for index, parameter in enumerate(declared[1:] if takes_self else declared):
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise TypeError(
                f"{where}: parameter `{parameter}` has no fixed shape, so it cannot travel; a decorator needs functools.wraps"
            )
        hint = hints.get(parameter.name, Any)
        items = stream_of(hint)
        if items is None:
            _check(cls, hint, f"{where}: parameter `{parameter.name}`")
            keyword = parameter.kind is parameter.KEYWORD_ONLY
            parameters.append(Parameter(parameter.name, hint, parameter.default, keyword, *meanings(hint, parameter.name)))
            continue
        if stream is not None:
            raise TypeError(f"{where}: parameter `{parameter.name}` is a second stream; a call carries one each way")
        _check(cls, items, f"{where}: the items of parameter `{parameter.name}`")
        request, stream = items, (_BY_NAME if parameter.kind is parameter.KEYWORD_ONLY else index, parameter.name)
    return parameters, request, stream


def _check(cls: Any, hint: Any, where: str) -> None:
    """Raise `TypeError` for a type that cannot travel, or that the class leaves open."""
    variable = open_in(hint)
    if variable is not None:
        generic = next((base for base in origin_of(cls).__mro__ if variable in getattr(base, "__parameters__", ())), None)
        advice = "write Any" if generic is None else f"write it, as in `class Ints({generic.__name__}[int])`"
        raise TypeError(f"{where}: the type variable {variable.__name__} is left open, so values have no type; {advice}")
    check_type(hint, where)
