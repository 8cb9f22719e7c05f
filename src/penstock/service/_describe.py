"""Describe a service in plain values and JSON Schema, for people and for programs without its class."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.codec import json_schemas
from penstock.service._meaning import ListMeaning, MapMeaning
from penstock.service._service import Method, Service


class ParameterDescription(msgspec.Struct, frozen=True):
    """One parameter that travels in the call; the stream of requests is not among them.

    required: whether a call must give it. schema: the JSON Schema 2020-12 of its type, with the default value when there is one
    that can travel; its ``$ref`` are entries of `ServiceDescription.definitions`.
    maps, lists: what a map and a list mean as the payload of a method with this one parameter: "value", it is the argument;
    "names" or "places", it gives arguments; "either", a map that has this name alone gives the argument, another map is it.
    """

    name: str
    required: bool
    schema: dict[str, Any]
    maps: MapMeaning = "value"
    lists: ListMeaning = "value"


class MethodDescription(msgspec.Struct, frozen=True):
    """One method.

    target: how a peer calls it, "Service/method". kind: unary, client_streaming, server_streaming or bidirectional. doc: its
    docstring. parameters: in the order of their declaration. request: the schema of one item of the request stream, None for a
    method without one. response: the schema of the result, or of one item of the response stream. idempotent: whether a call
    may be made twice.
    """

    name: str
    target: str
    kind: str
    doc: str
    parameters: list[ParameterDescription]
    request: dict[str, Any] | None
    response: dict[str, Any]
    idempotent: bool = False


class ServiceDescription(msgspec.Struct, frozen=True):
    """One service.

    name: the first part of its targets. doc: the docstring of its class. methods: in the order of their definition, inherited
    ones first. definitions: the JSON Schema of each named type, by the name that the ``$ref`` of a schema ends with.
    """

    name: str
    doc: str
    methods: list[MethodDescription]
    definitions: dict[str, Any]


def describe(service: Service) -> ServiceDescription:
    """Describe a service: its methods, their kinds, and their types as JSON Schema.

    A type that has no schema, like a class which validates itself, is described by its title alone, which permits any value.
    """
    types = [each for method in service.methods.values() for each in _types(method)]
    defaults = [each for method in service.methods.values() for each in _defaults(method)]
    schemas, definitions = json_schemas(types, defaults)
    rest = iter(schemas)
    methods = [_method(method, [next(rest) for _ in _types(method)]) for method in service.methods.values()]
    return ServiceDescription(service.name, service.doc, methods, definitions)


def _types(method: Method) -> list[Any]:
    """Return the types of a method: its parameters, its response, and the items of its request stream."""
    types = [parameter.type for parameter in method.arguments.parameters] + [method.response]
    return [*types, method.request] if method.streams_requests else types


def _defaults(method: Method) -> list[Any]:
    """Return the default values of `_types`, `msgspec.NODEFAULT` where there is none."""
    given = [msgspec.NODEFAULT if one.required else one.default for one in method.arguments.parameters]
    return given + [msgspec.NODEFAULT] * (len(_types(method)) - len(given))


def _method(method: Method, schemas: list[dict[str, Any]]) -> MethodDescription:
    """Describe a method; `schemas` are those of `_types`, in the same order."""
    parameters = [
        ParameterDescription(parameter.name, parameter.required, schema, parameter.maps, parameter.lists)
        for parameter, schema in zip(method.arguments.parameters, schemas, strict=False)
    ]
    count = len(parameters)
    request = schemas[count + 1] if method.streams_requests else None
    return MethodDescription(
        method.name, method.target, method.kind.label, method.doc, parameters, request, schemas[count], bool(method.again)
    )
