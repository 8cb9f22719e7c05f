"""From one payload, as the router's verbs carry it, to the arguments of a method. It never runs one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import InvalidArgument
from penstock.service._service import Method


def arguments_of(method: Method, payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `payload` as the arguments of `method`.

    None is no argument for a method that needs none. Otherwise it is the one argument; of a method with several parameters, a
    mapping gives them by name, a list or tuple by place. Raises `InvalidArgument` for what does not fit.
    """
    parameters = method.arguments.parameters
    if payload is None and not any(parameter.required for parameter in parameters):
        return (), {}
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if len(parameters) > 1 and isinstance(payload, Mapping):
        kwargs = dict(payload)
    elif len(parameters) > 1 and isinstance(payload, list | tuple):
        args = tuple(payload)
    elif len(parameters) == 1 and parameters[0].keyword:
        kwargs = {parameters[0].name: payload}
    else:
        args = (payload,)
    try:
        method.arguments.check(args, kwargs)
    except TypeError as error:
        raise InvalidArgument(f"{error}; the payload was {payload!r:.200}") from None
    return args, kwargs
