"""Describe types as JSON Schema 2020-12.

msgspec describes all types that it is asked for, or none: one default value that JSON does not have is an error. Then each type
is described by its parts, as far as they have a schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from types import EllipsisType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect as shape

from penstock.codec._codec import encode_other
from penstock.codec._models import is_model, model_schema

#: Factories of default values that a schema shows.
_SHOWN: Final = (list, dict, set, bytearray)


def json_schemas(kinds: Sequence[Any], defaults: Sequence[Any] = ()) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the JSON Schema of each type with its default, `msgspec.NODEFAULT` for none, and the definitions that they share.

    A part without a schema is described by its title alone, and a default value that JSON does not have is left out.
    """
    try:
        schemas, definitions = _whole(kinds)
    except Exception:  # noqa: BLE001 - a type or a default of the program, which may run code
        definitions, named = dict[str, Any](), dict[Any, str]()
        schemas = [_by_parts(hint, definitions, named) for hint in kinds]
    given = [*defaults, *[msgspec.NODEFAULT] * (len(schemas) - len(defaults))]
    return [schema | _default(value) for schema, value in zip(schemas, given, strict=True)], definitions


def _as_json(value: Any) -> Any:
    """Return a value in builtin types that JSON and msgpack have. Raises any error for another one."""
    plain = msgspec.to_builtins(value, str_keys=True, enc_hook=encode_other)
    msgspec.msgpack.encode(plain)
    json.dumps(plain, allow_nan=False)
    return plain


def _whole(kinds: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Describe the types as msgspec does. Raises any error for a part without a schema or a default that JSON has not."""
    _schemas, taken = msgspec.json.schema_components(kinds, schema_hook=_title)
    models: dict[str, Any] = {}

    def schema_of(hint: Any) -> dict[str, Any]:
        return model_schema(hint, models, taken) if is_model(hint) else _title(hint)

    schemas, definitions = msgspec.json.schema_components(kinds, schema_hook=schema_of)
    described = list(schemas), {**definitions, **models}
    _as_json(described)
    return described


def _title(hint: Any) -> dict[str, Any]:
    return {"title": str(getattr(hint, "__qualname__", hint))}


def _by_parts(hint: Any, definitions: dict[str, Any], named: dict[Any, str]) -> dict[str, Any]:
    """Describe a type. Its classes are added to `definitions`; `named` has the names of those that are described by parts."""
    try:
        if hint in named:
            return {"$ref": f"#/$defs/{named[hint]}"}
        (schema,), more = _whole([hint])
        if all(definitions.get(name, part) == part for name, part in more.items()):
            definitions.update(more)
            return schema
    except Exception:  # noqa: BLE001 - as above
        schema = {}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _by_parts(arguments[0], definitions, named)
    if origin in {Union, UnionType}:
        return {"anyOf": [_by_parts(one, definitions, named) for one in arguments]}
    parts = [_by_parts(one, definitions, named) for one in arguments if not isinstance(one, EllipsisType)]
    return _of_class(hint, definitions, named) or _of_collection(origin, parts) or _title(hint)


def _of_collection(origin: Any, parts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Describe a builtin collection by the schemas of its arguments; None for another type."""
    if not (isinstance(origin, type) and issubclass(origin, Collection) and parts):
        return None
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": parts[-1]}
    return {"type": "array", "items": parts[0] if len(parts) == 1 else {"anyOf": parts}}


def _of_class(hint: Any, definitions: dict[str, Any], named: dict[Any, str]) -> dict[str, Any] | None:
    """Describe a class with fields, and refer to it; None for another type."""
    try:
        info: Any = shape.type_info(hint)
        fields, hints = info.fields, get_type_hints(get_origin(hint) or hint, include_extras=True)
        known = dict(zip(getattr(get_origin(hint), "__parameters__", ()), get_args(hint), strict=False))
    except Exception:  # noqa: BLE001 - as above
        return None
    title = _title_of(hint)
    named[hint] = name = _free_name(re.sub(r"[^\w.-]", "_", title), hint.__module__, definitions)
    definitions[name] = {}  # it is taken, while its fields are described
    types = [hints.get(one.name, Any) for one in fields]
    schemas = [
        _by_parts(known.get(given, given), definitions, named) | _default(_shown(one))
        for one, given in zip(fields, types, strict=True)
    ]
    parts = {one.encode_name: schema for one, schema in zip(fields, schemas, strict=True)}
    required = [one.encode_name for one in fields if one.required]
    if getattr(info, "tag_field", None) is not None:
        parts, required = {info.tag_field: {"enum": [info.tag]}, **parts}, [info.tag_field, *required]
    if isinstance(info, shape.NamedTupleType) or getattr(info, "array_like", False):
        form = {"type": "array", "prefixItems": list(parts.values()), "minItems": len(required)}
    else:
        form = {"type": "object", "properties": parts, "required": required}
    definitions[name] = {"title": title, **form}
    return {"$ref": f"#/$defs/{name}"}


def _title_of(hint: Any) -> str:
    """Return the name of a class, with its arguments."""
    arguments = ", ".join(getattr(one, "__name__", str(one)) for one in get_args(hint))
    return f"{hint.__name__}[{arguments}]" if arguments else str(hint.__name__)


def _free_name(name: str, module: str, taken: Mapping[str, Any]) -> str:
    """Return a name for a definition: as short as those that are taken leave it."""
    longer = f"{module}.{name}"
    return next(
        one for one in (name, longer, *(f"{longer}_{number}" for number in range(2, len(taken) + 3))) if one not in taken
    )


def _shown(field: Any) -> Any:
    """Return the default value of a field, `msgspec.NODEFAULT` for one that is made anew each time."""
    return field.default_factory() if field.default_factory in _SHOWN else field.default


def _default(value: Any) -> dict[str, Any]:
    """Return the entry of a default value; an empty one without a default, or for one that JSON does not have."""
    try:
        return {} if value is msgspec.NODEFAULT else {"default": _as_json(value)}
    except Exception:  # noqa: BLE001 - as above
        return {}
