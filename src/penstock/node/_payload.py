"""From an action and its parameters, as a person writes them in JSON, to the payload of a message."""

from __future__ import annotations

from typing import Any

from penstock.codec import MSGPACK
from penstock.errors import InvalidArgument, Unimplemented
from penstock.service import Method, Service, suggest


def payload_of(method: Method, params: Any) -> Any:
    """Return `params` as the payload of a message for `method`, checked against its types.

    An object gives parameters by name, a list gives them by place, and any other value is the one argument. For a method
    with one parameter, an object with other keys is the one argument, too. Raises `InvalidArgument` that names the parameter
    that does not fit.
    """
    names = [parameter.name for parameter in method.arguments.parameters]
    arguments = _as_arguments(names, params)
    try:
        method.arguments.decode(MSGPACK, None if arguments is None else MSGPACK.encode(arguments))
    except InvalidArgument:
        if isinstance(params, dict):  # an unknown name says more than a value of the wrong type
            method.arguments.decode(MSGPACK, MSGPACK.encode(params))
        raise
    if len(names) != 1 or arguments is None:
        return arguments or None
    if not arguments:
        return None
    return arguments[names[0]] if isinstance(arguments, dict) else arguments[0]


def _as_arguments(names: list[str], params: Any) -> dict[str, Any] | list[Any] | None:
    if params is None or isinstance(params, list):
        return params
    if isinstance(params, dict) and (len(names) != 1 or params.keys() <= set(names)):
        return params
    return [params]


def method_of(service: Service, address: str, name: str) -> Method:
    """Return a method of an actor. Raises `Unimplemented` with a guess at the name that was meant."""
    method = service.methods.get(name)
    if method is None:
        raise Unimplemented(f"{address} ({service.name}) has no method {name!r}; {suggest(name, list(service.methods))}")
    return method


def refuse_stream(method: Method, address: str) -> None:
    """Raise `InvalidArgument` for a method that one message cannot call."""
    if method.streams_responses:
        raise InvalidArgument(f"{address}: {method.name} streams; follow it with `penstock subscribe {address} {method.name}`")
    if method.streams_requests:
        raise InvalidArgument(f"{address}: {method.name} takes a stream of items, which a message cannot carry")
