"""From an action and its parameters, as a person writes them in JSON, to the payload of a message."""

from __future__ import annotations

from typing import Any

from penstock.codec import MSGPACK
from penstock.errors import InvalidArgument
from penstock.service import Method, arguments_in


def payload_of(method: Method, params: Any) -> Any:
    """Return `params` as the payload of a message for `method`, checked against its types.

    `penstock.service._payload` has the rule, with examples. Raises `InvalidArgument` that names the parameter that does not
    fit.
    """
    arguments = method.arguments
    try:
        arguments.decode(MSGPACK, arguments_in(method, MSGPACK.encode(params)))
    except InvalidArgument as error:
        if params is None:  # they were left out: a missing name says more than a null of the wrong type
            arguments.decode(MSGPACK, None)
        if isinstance(params, dict) and arguments.parameters:  # an unknown name says more than a value of the wrong type
            arguments.decode(MSGPACK, MSGPACK.encode(params))
        if isinstance(params, list) and [parameter.lists for parameter in arguments.parameters] == ["value"]:
            name = arguments.parameters[0].name
            raise InvalidArgument(f'{error.message}; the list is the one argument here: write {{"{name}": …}}') from None
        raise
    return params


def refuse_stream(method: Method, address: str) -> None:
    """Raise `InvalidArgument` for a method that one message cannot call."""
    if method.streams_responses:
        raise InvalidArgument(f"{address}: {method.name} streams; follow it with `penstock subscribe {address} {method.name}`")
    if method.streams_requests:
        raise InvalidArgument(f"{address}: {method.name} takes a stream of items, which a message cannot carry")
