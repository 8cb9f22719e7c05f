"""An object as a service: by its class, by an interface, or by a list of its methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from penstock.service._hints import class_of, origin_of
from penstock.service._members import LeftOut, Member, read_member
from penstock.service._service import Method, Service, service_of, streams_responses


class Exposed(NamedTuple):
    """An object, and the service that callers see. Made by `exposed`."""

    service: object
    schema: Service
    handlers: Mapping[str, Callable[..., Any]]

    def __repr__(self) -> str:
        return f"<{self.schema.name}: {', '.join(self.schema.methods)} of {self.service!r}>"


def exposed(service: object, *names: str, as_: type[Any] | None = None) -> Exposed:
    """Return a service of which callers see only some methods. Give it to `serve` or `connect` in the place of the object.

    ``serve(exposed(Table(), as_=IPrices), listen=...)`` serves the methods of `IPrices`, under its name and with its types.
    ``serve(exposed(Table(), "quote", "watch"), listen=...)`` serves two methods of `Table`.

    service: the object that handles the calls. names: the methods to serve; none stands for all. as_: the interface: a
    `Protocol`, an abstract class or any other class, which `service` need not inherit; by default the class of `service`.

    Raises `TypeError` for a name that cannot be served, for a method of the interface that `service` does not have, or has with
    other parameters or another kind, and for a type that cannot travel.
    """
    if isinstance(service, Exposed):
        service = service.service
    cls = service if isinstance(service, type) else type(service)
    if hasattr(cls, "_penstock_hidden"):
        raise TypeError(f"{cls.__name__} is a class of actors; spawn one in an ActorSystem, and serve the system")
    if cls is service:
        raise TypeError(f"{cls.__name__} is a class; serve an object of it: {cls.__name__}()")
    if hasattr(type(service), "_penstock_with_options"):
        raise TypeError(f"{service!r} is a stub; serve the object itself, or the ActorSystem of an actor")
    own = class_of(service)
    schema = service_of(own if as_ is None else as_, names or None)
    if as_ is not None:
        schema = schema._replace(methods={name: _implemented(method, own) for name, method in schema.methods.items()})
    return Exposed(service, schema, {name: getattr(service, name) for name in schema.methods})


def served(service: object) -> Exposed:
    """Return how an object is served: an `Exposed` as it is, any other object with all methods of its class.

    Raises what `exposed` raises.
    """
    return service if isinstance(service, Exposed) else exposed(service)


def _implemented(method: Method, cls: Any) -> Method:
    """Return a method of an interface as `cls` implements it. Raises `TypeError` when it does not."""
    where = f"{origin_of(cls).__qualname__}.{method.name}"
    if not hasattr(origin_of(cls), method.name):
        raise TypeError(f"{origin_of(cls).__qualname__} has no method {method.name!r}, which {method.target} needs")
    member = read_member(cls, method.name)
    if isinstance(member, LeftOut):
        raise TypeError(f"{where} does not implement {method.target}: {member.reason}")
    _check_parameters(where, method, member)
    streams = streams_responses(cls, member)
    if streams is not None and streams != method.streams_responses:
        given, declared = ("a stream", "one result") if streams else ("one result", "a stream")
        raise TypeError(f"{where} does not implement {method.target}: it gives {given}, where {declared} is declared")
    return method._replace(awaited=member.awaited)


def _check_parameters(where: str, method: Method, member: Member) -> None:
    """Raise `TypeError` when a call of `method` cannot be passed to `member`."""
    parameters = method.arguments.parameters
    args = tuple(one.name for one in parameters if not one.keyword)
    kwargs = {one.name: one.name for one in parameters if one.keyword}
    if method.streams_requests:
        args, kwargs = method.arguments.with_requests(args, kwargs, "requests")
    try:
        inspect.signature(member.function).bind(*(["self"] if member.takes_self else ()), *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{where} does not implement {method.target}: {error}") from None
