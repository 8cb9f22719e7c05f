"""From JSON Schema to a type of TypeScript: the type that a value has after its journey in msgpack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

#: Names that a module of types must not declare: it uses them, or they cannot be declared.
USED_NAMES: Final = frozenset(
    {"any", "await", "boolean", "CallOptions", "Date", "Items", "never", "null", "number", "object", "Promise", "Record"}
    | {"Service", "service", "Stream", "StreamOptions", "string", "symbol", "Uint8Array", "undefined", "unknown", "void"}
)
#: Words that cannot be the name of a parameter.
RESERVED_WORDS: Final = frozenset(
    {"arguments", "await", "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete", "do"}
    | {"else", "enum", "eval", "export", "extends", "false", "finally", "for", "function", "if", "implements", "import", "in"}
    | {"instanceof", "interface", "let", "new", "null", "package", "private", "protected", "public", "return", "static"}
    | {"super", "switch", "this", "throw", "true", "try", "typeof", "var", "void", "while", "with", "yield"}
    | {"options", "requests"}
)
_PLAIN: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][\w$]*\Z", re.ASCII)


def identifier(name: str) -> str:
    """Return a name that can be declared, as near to `name` as can be."""
    plain = re.sub(r"[^\w$]", "_", name, flags=re.ASCII)
    if plain in USED_NAMES or plain[:1].isdigit() or not plain:
        return f"{plain}_" if plain and not plain[0].isdigit() else f"_{plain}"
    return plain


def key(name: str) -> str:
    """Return the name of a field, with quotes where it needs them."""
    return name if _IDENTIFIER.match(name) else json.dumps(name, ensure_ascii=False)


def written(schema: Schema) -> str:
    """Write a schema as a type. What is not known here is `unknown`."""
    return next((write(schema) for word, write in _WRITERS.items() if word in schema), None) or _by_type(schema)


def fields(schema: Schema, indent: str) -> str:
    """Write the fields of an object; those with a default may be left out."""
    needed = schema.get("required", ())
    lines = [
        f"{doc(field.get('description', ''), indent)}{indent}{key(name)}{'' if name in needed else '?'}: {written(field)};\n"
        for name, field in schema["properties"].items()
    ]
    return "".join(lines)


def doc(text: str, indent: str) -> str:
    """Write a text as a comment; an empty one is none."""
    lines = text.replace("*/", "*\\/").strip().splitlines()
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return "\n".join([f"{indent}/**", *[f"{indent} * {line}".rstrip() for line in lines], f"{indent} */\n"])


def _union(parts: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(parts)) or "never"


def _by_type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(_by_type({**schema, "type": one}) for one in kind)
    if kind == "string":
        moment = "Date" if schema.get("format") == "date-time" else "string"
        return "Uint8Array" if schema.get("contentEncoding") == "base64" else moment
    if kind == "array":
        return _array(schema)
    return _object(schema) if kind == "object" else _PLAIN.get(str(kind), "unknown")


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(written(one) for one in schema['prefixItems'])}]"
    item = written(schema["items"]) if isinstance(schema.get("items"), Mapping) else "unknown"
    return f"({item})[]" if " " in item and not item.startswith(("[", "{")) else f"{item}[]"


def _object(schema: Schema) -> str:
    if "properties" in schema:
        body = fields(schema, "").replace("\n", " ").strip()
        return f"{{ {body} }}" if body else "Record<string, never>"
    values = schema.get("additionalProperties")
    return f"Record<string, {written(values) if isinstance(values, Mapping) and values else 'unknown'}>"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_WRITERS: Final[dict[str, Callable[[Schema], str]]] = {
    "$ref": lambda schema: identifier(str(schema["$ref"]).rpartition("/")[2]),
    "const": lambda schema: _literal(schema["const"]),
    "enum": lambda schema: _union(map(_literal, schema["enum"])),
    "anyOf": lambda schema: _union(map(written, schema["anyOf"])),
    "oneOf": lambda schema: _union(map(written, schema["oneOf"])),
    "allOf": lambda schema: " & ".join(map(written, schema["allOf"])),
}
