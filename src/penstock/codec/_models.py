"""Models of pydantic as values: they travel as their JSON form, written and read as pydantic does it. It imports no pydantic.

The names of the map are the aliases, types are written as in JSON (a `Path` as text), and the receiver validates them as JSON,
so ``strict=True`` takes the types of JSON. Computed fields are left out: the receiver computes them again. A model that would
come back as another one is refused when the service is registered (`_model_check.py`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any, Final

import msgspec

from penstock._outcomes import text_of

#: The methods of a model.
_METHODS: Final = ("model_dump", "model_validate_json", "model_json_schema")


def is_model(hint: Any) -> bool:
    """Whether `hint` is a model of pydantic, or another class with the same methods."""
    return isinstance(hint, type) and all(hasattr(hint, name) for name in _METHODS)


def dump_model(value: Any) -> Any:
    """Return a model as builtin types, as `model_dump_json` writes them."""
    return value.model_dump(mode="json", by_alias=True, round_trip=True)


def load_model(hint: Any, value: object) -> Any:
    """Make a model of builtin types, as `model_validate_json` does. Raises `ValueError` that names the fields."""
    if isinstance(value, hint):
        return value
    import json  # msgspec writes no NaN

    written = json.dumps(value, default=_as_json)
    try:
        return hint.model_validate_json(written)
    except ValueError as error:
        raise ValueError(_brief(hint, error)) from None


def _as_json(value: object) -> Any:
    """Return a value that JSON does not know, such as a time of msgpack, as one that it knows."""
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("Expected the JSON form of a model, got `bytes` in it")
    return msgspec.to_builtins(value)


def _brief(hint: type, error: Any) -> str:
    """Return the text of a validation error in one line, without the values."""
    if not hasattr(error, "errors"):
        return text_of(error)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return f"{hint.__name__}: " + "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in found)


# ── JSON Schema ───────────────────────────────────────────────────────────────────────────────────────────────────────


def model_schema(hint: Any, definitions: dict[str, Any], taken: Container[str]) -> dict[str, Any]:
    """Return a schema that leads to those of a model and of its parts, which are added to `definitions`.

    taken: the names that definitions of other types have.
    """
    schema = hint.model_json_schema()
    parts: dict[str, Any] = schema.pop("$defs", {})
    own: str = re.sub(r"[^\w.-]", "_", hint.__name__)
    if "$ref" not in schema:
        own = own if own not in parts else f"{own}.{hint.__qualname__}"
        parts[own] = schema
        schema = {"$ref": f"#/$defs/{own}"}
    clashes = [name for name, part in parts.items() if name in taken or definitions.get(name, part) != part]
    names = {name: f"{hint.__module__}.{name}" for name in clashes}
    definitions.update({names.get(name, name): with_references(part, names) for name, part in parts.items()})
    return dict(with_references(schema, names))


def with_references(part: Any, names: Mapping[str, str], place: str = "#/$defs/") -> Any:
    """Return a schema in which every ``$ref`` to a name in `names` leads to the name that stands for it there, at `place`."""
    if isinstance(part, list):
        return [with_references(one, names, place) for one in part]
    if not isinstance(part, dict):
        return part
    changed = {key: with_references(value, names, place) for key, value in part.items()}
    target = part.get("$ref")
    name = target.rpartition("/")[2] if isinstance(target, str) else ""
    return {**changed, "$ref": f"{place}{names[name]}"} if name in names else changed
