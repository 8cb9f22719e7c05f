"""Models of pydantic as values: they travel as their JSON form, written and read as pydantic does it. It imports no pydantic.

The names of the map are the aliases, types are written as in JSON (a `Path` as text), and the receiver validates them as JSON,
so ``strict=True`` takes the types of JSON. Computed fields are left out: the receiver computes them again. A model that would
come back as another one is refused when the service is registered.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec

from penstock._outcomes import text_of

#: The methods of a model.
_METHODS: Final = ("model_dump", "model_validate_json", "model_json_schema")
#: Annotations by which a field says itself how it is written.
_SERIALIZERS: Final = frozenset({"PlainSerializer", "WrapSerializer", "EncodedBytes"})
#: Settings of a model that write `bytes` as text which can be read again.
_BYTES_AS_TEXT: Final = frozenset({"base64", "hex"})
#: Settings of a model by which fields may be given by their names, too.
_BY_NAME: Final = ("validate_by_name", "populate_by_name")


def is_model(kind: Any) -> bool:
    """Whether `kind` is a model of pydantic, or another class with the same methods."""
    return isinstance(kind, type) and all(hasattr(kind, name) for name in _METHODS)


def dump_model(value: Any) -> Any:
    """Return a model as builtin types, as `model_dump_json` writes them."""
    return value.model_dump(mode="json", by_alias=True, round_trip=True)


def load_model(kind: Any, value: object) -> Any:
    """Make a model of builtin types, as `model_validate_json` does. Raises `ValueError` that names the fields."""
    if isinstance(value, kind):
        return value
    import json  # msgspec writes no NaN

    written = json.dumps(value, default=_as_json)
    try:
        return kind.model_validate_json(written)
    except ValueError as error:
        raise ValueError(_brief(kind, error)) from None


def _as_json(value: object) -> Any:
    """Return a value that JSON does not know, such as a time of msgpack, as one that it knows."""
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("Expected the JSON form of a model, got `bytes` in it")
    return msgspec.to_builtins(value)


def _brief(kind: type, error: Any) -> str:
    """Return the text of a validation error in one line, without the values."""
    if not hasattr(error, "errors"):
        return text_of(error)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return f"{kind.__name__}: " + "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in found)


# ── what cannot come back as it was ───────────────────────────────────────────────────────────────────────────────────


def check_model(kind: Any) -> None:
    """Raise `TypeError` for a model that would come back as another one, or never."""
    if not getattr(kind, "model_fields", None) and kind.__module__.startswith("pydantic."):
        raise TypeError(f"{kind.__name__} has no fields of its own; name the model that travels")
    try:
        kind.model_json_schema()
    except Exception as error:
        raise TypeError(f"{kind.__name__} has no JSON form: {text_of(error).partition(chr(10))[0]}") from error
    for model in _models_in(kind, set()):
        for name, field in getattr(model, "model_fields", {}).items():
            reason = None if _has_serializer(model, name, field) else _lossy(model, name, field)
            if reason is not None:
                raise TypeError(f"field `{name}` of {model.__name__} {reason}")


def _models_in(hint: Any, seen: set[Any]) -> Iterator[Any]:
    """Iterate over the models in a hint, at any depth, each once."""
    if not is_model(hint):
        for argument in get_args(hint):
            yield from _models_in(argument, seen)
    elif hint not in seen:
        seen.add(hint)
        yield hint
        for field in getattr(hint, "model_fields", {}).values():
            yield from _models_in(field.annotation, seen)


def _has_serializer(model: Any, name: str, field: Any) -> bool:
    """Whether a model, or one of its fields, says itself how it is written and read."""
    own = getattr(model, "__pydantic_decorators__", None)
    if own is None or own.model_serializers or any(one.info.mode != "after" for one in own.model_validators.values()):
        return True
    named = [one for decorator in own.field_serializers.values() for one in decorator.info.fields]
    return name in named or "*" in named or any(type(one).__name__ in _SERIALIZERS for one in field.metadata)


def _lossy(model: Any, name: str, field: Any) -> str | None:
    """Return why a field would come back as another value; None when it would not."""
    if field.exclude and field.is_required():
        return "is left out when it is written, and required when it is read"
    written = field.serialization_alias or field.alias or name
    if written not in _read_names(model, name, field):
        return f"is written as `{written}`, and not read by that name; give it one `alias` for both"
    if _holds(field.annotation, lambda one: hasattr(one, "get_secret_value")):
        return (
            "is a secret, which pydantic writes as asterisks; declare it as str in the model that travels, or write it by "
            "a @field_serializer"
        )
    if _holds(field.annotation, lambda one: one is type):
        return "is a class, which has no JSON form"
    config = model.model_config
    as_text = config.get("ser_json_bytes") in _BYTES_AS_TEXT and config.get("ser_json_bytes") == config.get("val_json_bytes")
    if not as_text and _holds(field.annotation, lambda one: one is bytes):
        return (
            "is bytes, which pydantic writes as UTF-8; set ser_json_bytes='base64' and val_json_bytes='base64' in model_config"
        )
    return None


def _read_names(model: Any, name: str, field: Any) -> set[str]:
    """Return the names by which a field can be given."""
    by_name = {name} if any(model.model_config.get(each) for each in _BY_NAME) else set()
    alias = field.validation_alias
    if alias is None:
        return by_name | {field.alias or name}
    choices = [alias] if isinstance(alias, str) else [*getattr(alias, "choices", ())]
    return by_name | {choice for choice in choices if isinstance(choice, str)}


def _holds(hint: Any, wanted: Any) -> bool:
    """Whether a hint has a part for which `wanted` is true, apart from parts that say themselves how they are written."""
    if get_origin(hint) is Annotated and any(type(one).__name__ in _SERIALIZERS for one in hint.__metadata__):
        return False
    return wanted(get_origin(hint) or hint) or any(_holds(one, wanted) for one in get_args(hint))


# ── JSON Schema ───────────────────────────────────────────────────────────────────────────────────────────────────────


def model_schema(kind: Any, definitions: dict[str, Any], taken: Container[str]) -> dict[str, Any]:
    """Return a schema that leads to those of a model and of its parts, which are added to `definitions`.

    taken: the names that definitions of other types have.
    """
    schema = kind.model_json_schema()
    parts: dict[str, Any] = schema.pop("$defs", {})
    own: str = re.sub(r"[^\w.-]", "_", kind.__name__)
    if "$ref" not in schema:
        own = own if own not in parts else f"{own}.{kind.__qualname__}"
        parts[own] = schema
        schema = {"$ref": f"#/$defs/{own}"}
    clashes = [name for name, part in parts.items() if name in taken or definitions.get(name, part) != part]
    names = {name: f"{kind.__module__}.{name}" for name in clashes}
    definitions.update({names.get(name, name): with_references(part, names) for name, part in parts.items()})
    return dict(with_references(schema, names))


def with_references(part: Any, names: Mapping[str, str]) -> Any:
    """Return a schema in which every ``$ref`` to a name in `names` leads to the name that stands for it there."""
    if isinstance(part, list):
        return [with_references(one, names) for one in part]
    if not isinstance(part, dict):
        return part
    changed = {key: with_references(value, names) for key, value in part.items()}
    target = part.get("$ref")
    name = target.rpartition("/")[2] if isinstance(target, str) else ""
    return {**changed, "$ref": f"#/$defs/{names[name]}"} if name in names else changed
