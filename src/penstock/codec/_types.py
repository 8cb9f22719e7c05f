"""Check that a type can travel, and describe types as JSON Schema. It never encodes a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect as shape

from penstock.codec._extensions import is_extension


def check_type(kind: Any, where: str) -> None:
    """Raise `TypeError` when values of this type cannot travel. `where` names the parameter or result, for the message."""
    try:
        info = shape.type_info(kind)
        msgspec.msgpack.Decoder(kind, dec_hook=lambda _kind, value: value)
    except (TypeError, ValueError, RecursionError, NameError) as error:
        raise TypeError(f"{where}: {_name(kind)} cannot travel: {error}") from error
    for part in _parts(info, set()):
        if isinstance(part, shape.CustomType) and not _is_known(part.cls):
            raise TypeError(
                f"{where}: {_name(part.cls)} cannot travel; use a penstock.Struct, dataclass, attrs class, TypedDict or "
                "builtin type"
            )


def _is_known(cls: type) -> bool:
    return cls is object or is_extension(cls) or hasattr(cls, "model_validate")


def json_schemas(kinds: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the JSON Schema of each type, and the definitions that they share (JSON Schema 2020-12)."""
    schemas, definitions = msgspec.json.schema_components(kinds, schema_hook=_other_schema)
    return list(schemas), dict(definitions)


def _other_schema(kind: type) -> dict[str, Any]:
    schema = getattr(kind, "model_json_schema", None)
    return schema() if schema is not None else {"title": kind.__qualname__}


def _parts(info: Any, seen: set[int]) -> Iterator[Any]:
    """Iterate over a type and all its parts, each once."""
    if id(info) in seen:
        return
    seen.add(id(info))
    yield info
    for name in getattr(info, "__struct_fields__", ()):
        value = getattr(info, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, shape.Type | shape.Field):
                yield from _parts(part, seen)


def _name(kind: Any) -> str:
    return getattr(kind, "__qualname__", None) or str(kind)
