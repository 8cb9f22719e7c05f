"""Models of pydantic that cannot make the way: each is refused when its service is registered. It imports no pydantic.

The faults that are known without a value: a field that is written and not read, or read and not written; a type that pydantic
writes in another form than it reads. The code of a model may put things right (a validator before the others, a serializer):
then its type hints count.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import inspect
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

from penstock._outcomes import text_of
from penstock.codec._models import is_model

#: Annotations by which a field says itself how it is written.
_SERIALIZERS: Final = frozenset({"PlainSerializer", "WrapSerializer", "EncodedBytes"})
#: Settings of a model that write `bytes` as text which can be read again.
_BYTES_AS_TEXT: Final = frozenset({"base64", "hex"})
#: Settings of a model by which fields may be given by their names, too.
_BY_NAME: Final = ("validate_by_name", "populate_by_name")
#: Types that no text is read as: keys of a JSON object are texts.
_NO_KEYS: Final = (tuple, list, set, frozenset, dict, NoneType)
#: What else is read as a kind of JSON value where a model is not strict. A text in a format may be a time, given as a number.
_READ_AS: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset({"integer", "string", "boolean"}),
    "integer": frozenset({"number", "string", "boolean"}),
    "boolean": frozenset({"number", "integer", "string"}),
    "format": frozenset({"number", "integer", "string"}),
}
_READ_STRICTLY_AS: Final[Mapping[str, frozenset[str]]] = {"number": frozenset({"integer"}), "format": frozenset({"string"})}
#: The kinds of JSON values that types are read from.
_KINDS: Final[Mapping[Any, str]] = {
    **dict.fromkeys((dict, OrderedDict, Mapping, MutableMapping), "object"),
    **dict.fromkeys((list, tuple, set, frozenset, deque, Sequence, MutableSequence, AbstractSet), "array"),
    **dict.fromkeys((dt.datetime, dt.date, dt.time, dt.timedelta), "format"),
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    None: "null",
}


def check_model(model: Any) -> None:
    """Raise `TypeError` for a model that would come back as another one, or never."""
    if not getattr(model, "model_fields", None) and model.__module__.startswith("pydantic."):
        raise TypeError(f"{model.__name__} has no fields of its own; name the model that travels")
    try:
        model.model_json_schema()
    except Exception as error:
        raise TypeError(f"{model.__name__} has no JSON form: {text_of(error).partition(chr(10))[0]}") from error
    for part, config in _classes_in(model, {}, []):
        reason = _init_only(part, config) or _whole(part, config)
        if reason is not None:
            raise TypeError(f"{part.__name__} {reason}")
        for name, hint in _hints(part).items():
            field = _fields(part).get(name)
            reason = _unwritten(hint, config) if field is None else _lossy(part, config, name, field)
            if reason is not None:
                raise TypeError(f"field `{name}` of {part.__name__} {reason}")


# ── the parts of a model ──────────────────────────────────────────────────────────────────────────────────────────────


def _fields(model: Any) -> Mapping[str, Any]:
    """Return the fields of a model, or of a dataclass of pydantic; none for another class."""
    return getattr(model, "model_fields", None) or getattr(model, "__pydantic_fields__", None) or {}


def _classes_in(hint: Any, config: Mapping[str, Any], seen: list[Any]) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Iterate over the classes with fields in a hint, at any depth, each once, with its settings of pydantic."""
    if any(hint is one for one in seen):
        return
    seen.append(hint)
    config = getattr(hint, "model_config", None) or getattr(hint, "__pydantic_config__", None) or config
    hints = _hints(hint)
    if is_model(hint) or hints:
        yield hint, config
    for part in [*_arguments(hint), *hints.values()]:
        yield from _classes_in(part, config, seen)


def _origin(hint: Any) -> Any:
    return get_origin(hint) or hint


def _arguments(hint: Any) -> tuple[Any, ...]:
    """Return the parts that stand in a hint: its arguments, or the value of an alias."""
    alias = _origin(hint)
    return (alias.__value__,) if hasattr(alias, "__type_params__") and hasattr(alias, "__value__") else get_args(hint)


def _hints(model: Any) -> Mapping[str, Any]:
    """Return the types of the fields of a class, by name; an empty map for another type."""
    if not isinstance(model, type):
        return {}
    fields = _fields(model)
    if fields or not (is_dataclass(model) or hasattr(model, "__total__") or hasattr(model, "_fields")):  # a TypedDict, a tuple
        return {name: field.annotation for name, field in fields.items()}
    try:
        return get_type_hints(model, include_extras=True)
    except Exception:  # noqa: BLE001 - pydantic has read its hints, perhaps in another scope
        return {}


def _holds(hint: Any, wanted: Any, depth: int = 32) -> bool:
    """Whether a hint has a part for which `wanted` is true, apart from parts that say themselves how they are written."""
    if not depth or (get_origin(hint) is Annotated and any(map(_writes, hint.__metadata__))):
        return False
    return wanted(hint) or any(_holds(one, wanted, depth - 1) for one in _arguments(hint))


# ── code that puts things right ───────────────────────────────────────────────────────────────────────────────────────


def _writes(note: Any) -> bool:
    """Whether an annotation says how a value is written as JSON."""
    return type(note).__name__ in _SERIALIZERS


def _reads(note: Any) -> bool:
    """Whether an annotation may change a value before it is validated."""
    return hasattr(note, "__get_pydantic_core_schema__") and type(note).__name__ not in _SERIALIZERS


def _rewritten(model: Any) -> bool:
    """Whether a class itself writes all its fields, or changes them before they are validated."""
    own = getattr(model, "__pydantic_decorators__", None)
    return own is None or bool(own.model_serializers) or _reads_itself(model)


def _reads_itself(model: Any) -> bool:
    """Whether a class with fields may change a value before it is validated."""
    of_pydantic = getattr(getattr(model, "__get_pydantic_core_schema__", None), "__module__", "pydantic").startswith("pydantic")
    validators = model.__pydantic_decorators__.model_validators.values()
    return not of_pydantic or any(one.info.mode != "after" for one in validators)


def _own(decorators: Any, name: str) -> list[Any]:
    """Return the decorated methods of one kind that are for a field."""
    return [one for one in decorators.values() if name in one.info.fields or "*" in one.info.fields]


def _has_serializer(model: Any, name: str, field: Any) -> bool:
    """Whether a field says itself how it is written as JSON."""
    return bool(_own(model.__pydantic_decorators__.field_serializers, name)) or any(map(_writes, field.metadata))


def _has_validator(model: Any, name: str, field: Any) -> bool:
    """Whether code of the program may read a field in another form than that of its type."""
    own = _own(model.__pydantic_decorators__.field_validators, name)
    return (
        any(one.info.mode != "after" for one in own)
        or any(map(_reads, field.metadata))
        or _holds(field.annotation, _is_read_so)
    )


def _is_read_so(hint: Any) -> bool:
    return (_rewritten if _fields(hint) else _reads)(hint)


# ── what is known without a value ─────────────────────────────────────────────────────────────────────────────────────


def _init_only(model: Any, config: Mapping[str, Any]) -> str | None:
    """Return why a dataclass cannot be made again: a value that it takes and does not keep, or keeps and does not take."""
    if not is_dataclass(model):
        return None
    kept, make = dataclasses.fields(model), cast("Any", model)
    dropped = set(make.__dataclass_fields__) - {field.name for field in kept}
    for name in inspect.signature(make).parameters:
        if name in dropped:
            return f"takes `{name}` as an InitVar, which it does not keep, so it is not written"
    computed = next((field.name for field in kept if not field.init), None)
    if computed is not None and config.get("extra") == "forbid":
        return f"refuses its field `{computed}` (init=False), which is written, as an extra one (extra='forbid')"
    return None


def _whole(model: Any, config: Mapping[str, Any]) -> str | None:
    """Return why a model as a whole would not come back; None when it would."""
    if not hasattr(model, "__pydantic_decorators__") or _reads_itself(model):
        return None
    fields = _fields(model)
    if model.__pydantic_decorators__.model_serializers:
        one = [*model.__pydantic_decorators__.model_serializers.values()][-1]
        return None if _is_root(model) else _other_kind(_returned_kinds(one.func, one.info), {"object"}, config, ())
    names = [_written_name(name, field) for name, field in fields.items() if not field.exclude]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"has two fields that are written as `{twice}`"
    return _own_init(model, names) if getattr(model, "__pydantic_custom_init__", False) else None


def _is_root(model: Any) -> bool:
    return bool(getattr(model, "__pydantic_root_model__", False))


def _own_init(model: Any, names: list[str]) -> str | None:
    """Return why the `__init__` of a model does not take its fields; None when it does."""
    given: dict[str, Any] = {} if _is_root(model) else dict.fromkeys(names)
    try:
        inspect.signature(model.__init__).bind(None, *[None] * (not given), **given)
    except TypeError as error:
        return f"has an __init__ that does not take its fields by their names, as they arrive: {text_of(error)}"
    return None


def _lossy(model: Any, config: Mapping[str, Any], name: str, field: Any) -> str | None:
    """Return why a field would come back as another value; None when it would not."""
    if _rewritten(model):
        return None
    reason = _unread(config, name, field)
    if reason is not None:
        return reason
    read_so, written_so = _has_validator(model, name, field), _has_serializer(model, name, field)
    reason = None if written_so else _unwritten(field.annotation, config, reads=read_so)
    if reason is not None or read_so:
        return reason
    return _other_kind(_written_kinds(model, config, name, field), _kinds(field.annotation), config, field.metadata)


def _unread(config: Mapping[str, Any], name: str, field: Any) -> str | None:
    """Return why a field is not found by its reader."""
    if field.is_required() and field.exclude:
        return "is left out when it is written, and required when it is read"
    if field.is_required() and getattr(field, "exclude_if", None):
        return "may be left out when it is written (exclude_if), and is required when it is read; give it a default"
    written = _written_name(name, field)
    if written not in _read_names(config, name, field):
        return f"is written as `{written}`, and not read by that name; give it one `alias` for both"
    return None


def _written_name(name: str, field: Any) -> str:
    return str(field.serialization_alias or field.alias or name)


def _read_names(config: Mapping[str, Any], name: str, field: Any) -> set[str]:
    """Return the names by which a field can be given."""
    by_name = {name} if any(config.get(each) for each in _BY_NAME) else set()
    if config.get("validate_by_alias") is False:
        return by_name
    alias = field.validation_alias
    if alias is None:
        return by_name | {field.alias or name}
    choices = [alias] if isinstance(alias, str) else [*getattr(alias, "choices", ())]
    return by_name | {choice for choice in choices if isinstance(choice, str)}


def _unwritten(hint: Any, config: Mapping[str, Any], *, reads: bool = False) -> str | None:
    """Return why pydantic writes a field in a form that it does not read. reads: whether code of the program reads it."""
    if _holds(hint, lambda one: hasattr(one, "get_secret_value")):
        return (
            "is a secret, which pydantic writes as asterisks; declare it as str in the model that travels, or write it by "
            "a @field_serializer"
        )
    if _holds(hint, lambda one: _origin(one) is type):
        return "is a class, which has no JSON form"
    if not reads and not _holds(hint, _is_read_so) and _holds(hint, _has_unread_keys):
        return "has keys that JSON writes as a text, from which they are not read; use a list of pairs"
    as_text = config.get("ser_json_bytes") in _BYTES_AS_TEXT and config.get("ser_json_bytes") == config.get("val_json_bytes")
    if not as_text and _holds(hint, lambda one: one is bytes):
        return (
            "is bytes, which pydantic writes as UTF-8; set ser_json_bytes='base64' and val_json_bytes='base64' in model_config"
        )
    return None


def _has_unread_keys(hint: Any) -> bool:
    """Whether a hint is that of a map with keys that JSON does not have."""
    origin, arguments = _origin(hint), get_args(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping) and bool(arguments) and _holds(arguments[0], _is_no_key)


def _is_no_key(hint: Any) -> bool:
    """Whether no text, or not every value's text, is read as this type."""
    origin = _origin(hint)
    if origin is Literal:
        return not all(isinstance(value, str | bool) for value in get_args(hint))
    if not isinstance(origin, type):
        return False
    if issubclass(origin, enum.Enum) and not issubclass(origin, int | float):
        return not all(isinstance(member.value, str) for member in origin)
    return issubclass(origin, _NO_KEYS) or is_dataclass(origin) or bool(_fields(origin))


# ── the kinds of JSON values ──────────────────────────────────────────────────────────────────────────────────────────


def _other_kind(written: set[str], read: set[str], config: Mapping[str, Any], notes: Sequence[Any]) -> str | None:
    """Return why what is written is never read: JSON values of other kinds. An empty set is not known."""
    table = _READ_STRICTLY_AS if _setting("strict", config, notes) else _READ_AS
    if not written or ("string" in read and _setting("coerce_numbers_to_str", config, notes)):
        return None
    if not read or any(one in {kind, *table.get(kind, ())} for one in written for kind in read):
        return None
    texts = {"string" if kind == "format" else kind for kind in read}
    return (
        f"is written as {' or '.join(sorted(written))}, and read as {' or '.join(sorted(texts))}; "
        "add a validator with mode='before' that reads it"
    )


def _setting(name: str, config: Mapping[str, Any], notes: Sequence[Any]) -> Any:
    """Return a setting of a field, by its annotations, or by those of its model."""
    return next((found for note in notes if (found := getattr(note, name, None)) is not None), config.get(name))


def _written_kinds(model: Any, config: Mapping[str, Any], name: str, field: Any) -> set[str]:
    """Return the kinds of JSON values that the serializer of a field returns; as the settings say, without one."""
    own = _own(model.__pydantic_decorators__.field_serializers, name)
    code = [(one.func, one.info) for one in own] or [
        (one.func, one) for one in field.metadata if _writes(one) and hasattr(one, "func")
    ]
    if code:
        return _returned_kinds(*code[-1])
    as_number = config.get("ser_json_timedelta") == "float" and field.annotation is dt.timedelta
    return {"number"} if as_number else set()


def _returned_kinds(function: Any, info: Any) -> set[str]:
    """Return the kinds of JSON values that a serializer returns, by its declared type."""
    declared = getattr(info, "return_type", None)
    if type(declared).__name__ == "PydanticUndefinedType":
        try:
            declared = get_type_hints(function, include_extras=True).get("return", Any)
        except Exception:  # noqa: BLE001 - a function without hints, or with hints that are not known here
            return set()
    kinds = {"string" if kind == "format" else kind for kind in _kinds(declared)}
    return kinds | {"null"} if kinds and "unless-none" in getattr(info, "when_used", "") else kinds


def _kinds(hint: Any) -> set[str]:
    """Return the kinds of JSON values that a type is read from; an empty set when they are not known."""
    origin, arguments = _origin(hint), get_args(hint)
    if origin is Annotated:
        return _kinds(arguments[0])
    if origin in {Union, UnionType}:
        choices = [_kinds(one) for one in arguments]
        return set().union(*choices) if all(choices) else set()
    if isinstance(origin, type) and (is_model(origin) or is_dataclass(origin)):
        rewritten = is_model(origin) and (_rewritten(origin) or _is_root(origin))
        return set() if rewritten else {"object"}
    return {_KINDS[origin]} if isinstance(origin, Hashable) and origin in _KINDS else set()
