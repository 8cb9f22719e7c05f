"""A server that says what it serves: `Penstock/describe`. This module never calls a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.codec import json_schemas
from penstock.service._arguments import Parameter
from penstock.service._service import Method, Service


class ParameterDescription(msgspec.Struct, frozen=True):
    """One parameter: its JSON Schema refers to `ServiceDescription.definitions`."""

    name: str
    required: bool
    schema: dict[str, Any]


class MethodDescription(msgspec.Struct, frozen=True):
    """One method.

    `request` is the schema of its request stream's items, None where it has none; `response` that of its result or of its
    response stream's items.
    """

    name: str
    target: str
    kind: str
    doc: str
    parameters: list[ParameterDescription]
    request: dict[str, Any] | None
    response: dict[str, Any]


class ServiceDescription(msgspec.Struct, frozen=True):
    """One service, with the types its methods share."""

    name: str
    doc: str
    methods: list[MethodDescription]
    definitions: dict[str, Any]


class Reflection:
    """What this server serves."""

    service_name = "Penstock"

    def __init__(self, describes: Sequence[Service] = ()) -> None:
        self.describes = describes

    async def describe(self) -> list[ServiceDescription]:
        """Describe every service here: methods, kinds, and types as JSON Schema."""
        return [describe(service) for service in self.describes]


def describe(service: Service) -> ServiceDescription:
    """Describe one service."""
    kinds = [kind for method in service.methods.values() for kind in _types(method)]
    schemas, definitions = json_schemas(kinds)
    rest = iter(schemas)
    methods = [_method(method, [next(rest) for _ in _types(method)]) for method in service.methods.values()]
    return ServiceDescription(service.name, service.doc, methods, definitions)


def _default(parameter: Parameter) -> dict[str, Any]:
    """Return the default of a parameter as its schema shows it."""
    try:
        return {} if parameter.required else {"default": msgspec.to_builtins(parameter.default)}
    except TypeError:
        return {}


def _types(method: Method) -> list[Any]:
    """Every type of a method: parameters, response, request items."""
    types = [parameter.type for parameter in method.arguments.parameters] + [method.response]
    return [*types, method.request] if method.streams_requests else types


def _method(method: Method, schemas: list[dict[str, Any]]) -> MethodDescription:
    parameters = [
        ParameterDescription(parameter.name, parameter.required, schema | _default(parameter))
        for parameter, schema in zip(method.arguments.parameters, schemas, strict=False)
    ]
    count = len(parameters)
    request = schemas[count + 1] if method.streams_requests else None
    return MethodDescription(method.name, method.target, method.kind.label, method.doc, parameters, request, schemas[count])
