"""From an action and its parameters, as people write them, to what the router's verbs take. This module sends nothing."""

from __future__ import annotations

from typing import Any

from penstock.codec import MSGPACK
from penstock.errors import InvalidArgument, Unimplemented
from penstock.service import Method, Service, suggest


def payload_of(method: Method, params: Any) -> Any:
    """Return `params` as the payload of a message for `method`, checked against its types.

    An object gives parameters by name and a list by place; anything else, and an object with other names for a method with
    one parameter, is the one argument. Raises `InvalidArgument` that names what does not fit.
    """
    names = [parameter.name for parameter in method.arguments.parameters]
    given = _as_arguments(names, params)
    try:
        method.arguments.decode(MSGPACK, None if given is None else MSGPACK.encode(given))
    except InvalidArgument:
        if isinstance(params, dict):  # names that are none say more than a value of the wrong type
            method.arguments.decode(MSGPACK, MSGPACK.encode(params))
        raise
    if len(names) != 1 or given is None:
        return given or None
    if not given:
        return None
    return given[names[0]] if isinstance(given, dict) else given[0]


def _as_arguments(names: list[str], params: Any) -> dict[str, Any] | list[Any] | None:
    if params is None or isinstance(params, list):
        return params
    if isinstance(params, dict) and (len(names) != 1 or params.keys() <= set(names)):
        return params
    return [params]


def method_of(service: Service, address: str, name: str) -> Method:
    """Return a method of an actor. Raises `Unimplemented` that says what may have been meant."""
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
