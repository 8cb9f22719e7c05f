"""JSON Schema for people: the name of a type, and an example of a value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

#: How deep an example goes into a type that contains itself.
_EXAMPLE_DEPTH: Final = 4


def reference(schema: Schema) -> str:
    """Return the name in a ``$ref``, "" for a schema without one."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def example(schema: Schema, definitions: Mapping[str, Schema], depth: int = _EXAMPLE_DEPTH) -> Any:
    """Return a value of the type, for an example on the command line."""
    if "$ref" in schema:
        schema = definitions.get(reference(schema), {})
    example_value = next((schema[key] for key in ("default", "const") if key in schema), None) or next(
        iter(schema.get("enum", ())), None
    )
    if example_value is not None or depth == 0:
        return example_value
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        return example(choices[0], definitions, depth) if choices else None
    make = _EXAMPLES.get(schema.get("type", ""))
    return make(schema, definitions, depth - 1) if make is not None else None


def _example_object(schema: Schema, definitions: Mapping[str, Schema], depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    return {name: example(part, definitions, depth) for name, part in schema.get("properties", {}).items() if name in required}


def _example_array(schema: Schema, definitions: Mapping[str, Schema], depth: int) -> list[Any]:
    parts = schema.get("prefixItems", [schema["items"]] if schema.get("items") else [])
    return [example(part, definitions, depth) for part in parts]


_EXAMPLES: Final[dict[str, Any]] = {
    "string": lambda schema, *_: "AAEC" if "contentEncoding" in schema else "text",
    "integer": lambda schema, *_: schema.get("minimum", 1),
    "number": lambda schema, *_: schema.get("minimum", 1.5),
    "boolean": lambda *_: True,
    "object": _example_object,
    "array": _example_array,
}


def type_name(schema: Schema | None) -> str:
    """Write a type as Python does: ``list[Price] | None``."""
    if schema is None:
        return ""
    if "$ref" in schema:
        return reference(schema)
    if "anyOf" in schema:
        return " | ".join(type_name(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    name = _TYPE_NAMES.get(str(schema.get("type", "")), "any")
    return str(name(schema) if callable(name) else name)


def _string(schema: Schema) -> str:
    return "bytes" if "contentEncoding" in schema else _FORMATS.get(str(schema.get("format", "")), "str")


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"tuple[{', '.join(type_name(part) for part in schema['prefixItems'])}]"
    return f"list[{type_name(schema['items'])}]" if schema.get("items") else "list"


def _object(schema: Schema) -> str:
    values = schema.get("additionalProperties")
    return f"dict[str, {type_name(values)}]" if isinstance(values, dict) else str(schema.get("title", "dict"))


_FORMATS: Final = {"date-time": "datetime", "date": "date", "time": "time", "duration": "timedelta", "uuid": "UUID"}
_TYPE_NAMES: Final[dict[str, Any]] = {
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "string": _string,
    "array": _array,
    "object": _object,
}
