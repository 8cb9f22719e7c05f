"""The services of a server as OpenAPI 3.1, whose schemas are JSON Schema 2020-12, as those of `Penstock/describe` are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.codec import with_references
from penstock.peer import BUILT_IN
from penstock.protocol import CallKind
from penstock.service import MethodDescription, ServiceDescription

OPENAPI: Final = "3.1.0"

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "integer", "description": "the code of the error, as PROTOCOL.md has it (6.4)"},
        "reason": {"type": "string"},
        "details": {"type": "object"},
    },
    "required": ["type", "title", "status", "detail", "code", "reason"],
}
_PLACE: Final = "#/components/schemas/"


def openapi(services: Sequence[ServiceDescription], url: str) -> dict[str, Any]:
    """Return one document for all services but the built-in one. url: the address that clients use.

    A named type has the name of its service in front: two services may have types of one name.
    """
    shown = [service for service in services if service.name != BUILT_IN]
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, Any] = {}
    for service in shown:
        names = {name: f"{service.name}.{name}" for name in service.definitions}
        schemas |= {names[name]: with_references(schema, names, _PLACE) for name, schema in service.definitions.items()}
        for method in service.methods:
            paths[f"/call/{method.target}"] = with_references(_path(method, service.name), names, _PLACE)
    return {
        "openapi": OPENAPI,
        "info": {"title": ", ".join(service.name for service in shown) or "Penstock", "version": "1"},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {"schemas": schemas},
        "tags": [{"name": service.name, "description": service.doc} for service in shown],
    }


def _path(method: MethodDescription, tag: str) -> dict[str, Any]:
    kind = CallKind.labelled(method.kind)
    operation: dict[str, Any] = {
        "operationId": method.target.replace("/", "."),
        "tags": [tag],
        "summary": method.doc.partition("\n")[0],
        "description": method.doc,
        "responses": {
            "200": {"description": _RESULTS[bool(kind & CallKind.SERVER_STREAMING)], "content": _content(method, kind)},
            "default": {
                "description": "an error",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    arguments = _arguments(method)
    if kind & CallKind.CLIENT_STREAMING:
        operation["parameters"] = _in_query(arguments)
        lines = {"schema": method.request or {}, "description": "one JSON value a line"}
        operation["requestBody"] = {"required": True, "content": {"application/x-ndjson": lines}}
    elif method.parameters:
        required = bool(arguments["required"])
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": arguments}}}
    return {"post": operation}


_RESULTS: Final = {False: "the result", True: "the results, as they come"}


def _content(method: MethodDescription, kind: CallKind) -> dict[str, Any]:
    schema = {"schema": method.response}
    if not kind & CallKind.SERVER_STREAMING:
        return {"application/json": schema}
    return {"text/event-stream": schema, "application/x-ndjson": schema}


def _arguments(method: MethodDescription) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {parameter.name: parameter.schema for parameter in method.parameters},
        "required": [parameter.name for parameter in method.parameters if parameter.required],
        "additionalProperties": False,
    }


def _in_query(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the arguments as parameters of the query, where a value that is not a text is written as JSON."""
    return [
        {
            "name": name,
            "in": "query",
            "required": name in arguments["required"],
            **({"schema": schema} if schema.get("type") == "string" else {"content": {"application/json": {"schema": schema}}}),
        }
        for name, schema in arguments["properties"].items()
    ]
