"""A module of TypeScript with the types of services, and a description of their methods that the client calls them by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from penstock.cli._typescript._types import RESERVED_WORDS, doc, fields, identifier, key, written
from penstock.errors import InvalidArgument
from penstock.service import MethodDescription, ServiceDescription

_HEAD: Final = "// Written by `penstock typescript`: write it anew when the service has changed.\n"
_STREAMS_IN: Final = ("client_streaming", "bidirectional")
_STREAMS_OUT: Final = ("server_streaming", "bidirectional")


def module(services: Sequence[ServiceDescription]) -> str:
    """Write a module. Raises `InvalidArgument` for two services of one name, or two types of one name that differ."""
    names = {service.name: identifier(service.name) for service in services}
    if len(names) < len(services):
        raise InvalidArgument("two of the services have one name")
    types = _types(services, set(names.values()))
    body = [_type(name, schema) for name, schema in types.items()]
    body += [_interface(service, names[service.name]) for service in services]
    body += [_description(service, names[service.name]) for service in services]
    return "\n".join([_HEAD + _imports(services), *body])


def _types(services: Sequence[ServiceDescription], taken: set[str]) -> dict[str, Any]:
    types: dict[str, Any] = {}
    for service in services:
        for name, schema in service.definitions.items():
            if types.setdefault(identifier(name), schema) != schema:
                raise InvalidArgument(f"two types have the name {name}: write the services into files of their own")
    both = taken & types.keys()
    if both:
        raise InvalidArgument(f"a type and a service have the name {min(both)}")
    return types


def _imports(services: Sequence[ServiceDescription]) -> str:
    kinds = {method.kind for service in services for method in service.methods}
    used = {"CallOptions": "unary" in kinds, "Items": not kinds.isdisjoint(_STREAMS_IN), "Service": True}
    used |= {"Stream": not kinds.isdisjoint(_STREAMS_OUT), "StreamOptions": bool(kinds - {"unary"})}
    names = ", ".join(["service", *[f"type {name}" for name, is_used in used.items() if is_used]])
    return f'import {{ {names} }} from "@penstock/client";\n'


def _type(name: str, schema: dict[str, Any]) -> str:
    head = doc(schema.get("description", ""), "")
    if schema.get("type") == "object" and "properties" in schema:
        return f"{head}export interface {name} {{\n{fields(schema, '  ')}}}\n"
    return f"{head}export type {name} = {written(schema)};\n"


def _interface(service: ServiceDescription, name: str) -> str:
    methods = "".join(map(_method, service.methods))
    return f"{doc(service.doc, '')}export interface {name} {{\n{methods}}}\n"


def _method(method: MethodDescription) -> str:
    parameters = _parameters(method)
    if method.kind in _STREAMS_IN:
        parameters.insert(0, f"requests: Items<{written(method.request or {})}>")
    parameters.append(f"options?: {'CallOptions' if method.kind == 'unary' else 'StreamOptions'}")
    response = "void" if method.response.get("type") == "null" else written(method.response)
    result = "Stream" if method.kind in _STREAMS_OUT else "Promise"
    return f"{doc(method.doc, '  ')}  {key(method.name)}({', '.join(parameters)}): {result}<{response}>;\n"


def _parameters(method: MethodDescription) -> list[str]:
    """Write the parameters. One with a default may be left out at the end, and be undefined before another."""
    last = max((place for place, one in enumerate(method.parameters) if one.required), default=-1)
    each = []
    for place, one in enumerate(method.parameters):
        name = f"{one.name}_" if one.name in RESERVED_WORDS else one.name
        absent = "" if one.required or place > last else " | undefined"
        each.append(f"{name}{'?' if place > last else ''}: {written(one.schema)}{absent}")
    return each


def _description(service: ServiceDescription, name: str) -> str:
    lines = [
        f"  {key(method.name)}: {json.dumps([method.kind, *[one.name for one in method.parameters]])},\n"
        for method in service.methods
    ]
    return f"export const {name}: Service<{name}> = service({json.dumps(service.name)}, {{\n{''.join(lines)}}});\n"
