"""Check that a type can travel. It never encodes a value."""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Iterator
from typing import Any, Final, get_origin

import msgspec
from msgspec import inspect as shape

from penstock._outcomes import text_of
from penstock.codec._extensions import is_extension
from penstock.codec._model_check import check_model
from penstock.codec._models import is_model

_ADVICE: Final = "use a penstock.Struct, dataclass, attrs class, TypedDict or builtin type"
#: Classes of Penstock whose objects stay in their process, and their refs, which travel.
_REFS: Final = {"Actor": "ActorRef", "Sink": "SinkRef", "Source": "SourceRef"}
_UNION_ADVICE: Final = ". Structs with tag=True can be in one union; models of pydantic, in a RootModel of their union"


def check_type(hint: Any, where: str) -> None:
    """Raise `TypeError` when values of this type cannot travel. `where` names the parameter or result, for the message."""
    try:
        info = shape.type_info(hint)
        msgspec.msgpack.Decoder(hint, dec_hook=lambda _kind, value: value)
    except Exception as error:  # types of the program run code of their own
        advice = _UNION_ADVICE if "unions may not" in text_of(error) else ""
        if isinstance(error, RecursionError):
            advice = ". A type alias that contains itself has no end here; make it a Struct, or write Any"
        raise TypeError(f"{where}: {_name(hint)} cannot travel: {text_of(error)}{advice}") from error
    for part in parts_of(info, set()):
        try:
            _check_part(part)
        except TypeError as error:
            raise TypeError(f"{where}: {error}") from error


def _check_part(part: Any) -> None:
    """Raise `TypeError` when values of one part of a type cannot travel."""
    if isinstance(part, shape.DataclassType):
        _check_post_init(part.cls)
    if isinstance(part, shape.CustomType) and is_model(part.cls):
        check_model(part.cls)
    elif isinstance(part, shape.CustomType) and not (part.cls is object or is_extension(part.cls)):
        raise TypeError(f"{_name(part.cls)} cannot travel; {_advice(part.cls)}")
    elif isinstance(part, shape.DataclassType) and hasattr(part.cls, "__pydantic_validator__"):
        raise TypeError(f"{_name(part.cls)}, a dataclass of pydantic, would arrive without being validated; use a BaseModel")
    elif isinstance(part, shape.DataclassType) and hasattr(part.cls, "__attrs_attrs__"):
        private = next((field.name for field in part.fields if field.name.startswith("_")), None)
        if private is not None:
            raise TypeError(
                f"{_name(part.cls)} would arrive without its private field `{private}`; name it without an underscore"
            )
    elif isinstance(part, shape.DictType):
        _check_hashable(part.key_type, "a key of a dict")
    elif isinstance(part, shape.SetType | shape.FrozenSetType):
        _check_hashable(part.item_type, "an item of a set")
        if isinstance(part.item_type, shape.AnyType) or getattr(part.item_type, "cls", None) is object:
            raise TypeError("a set of anything cannot travel: a peer could choose items that hash alike; name their type")


def _check_post_init(cls: Any) -> None:
    """Raise `TypeError` for a class whose `__post_init__` needs arguments: a value that arrives has only its fields."""
    for name in ("__post_init__", "__attrs_post_init__"):
        try:
            inspect.signature(getattr(cls, name)).bind(None)
        except (AttributeError, ValueError):  # it has none, or one that does not say what it takes
            continue
        except TypeError as error:
            raise TypeError(
                f"{_name(cls)} cannot be made of its fields: {name} is called without arguments; {error}"
            ) from error


def _check_hashable(part: Any, use: str) -> None:
    if isinstance(part, shape.ListType | shape.DictType | shape.SetType | shape.TypedDictType):
        raise TypeError(f"a value of {type(part).__name__.removesuffix('Type').lower()} cannot be {use}: it is not hashable")
    cls = getattr(part, "cls", None)
    config = getattr(cls, "__struct_config__", None)
    if cls is not None and (cls.__hash__ is None or (config is not None and config.eq and not config.frozen)):
        raise TypeError(f"{_name(cls)} cannot be {use}: it is not hashable; make it frozen")


def _advice(cls: type) -> str:
    """Return the type to use in the place of a class whose values cannot travel."""
    for base in cls.__mro__:
        if base.__name__ in _REFS and base.__module__.startswith("penstock."):
            return f"use a penstock.{_REFS[base.__name__]}"
    if issubclass(cls, collections.abc.AsyncIterable):
        return "a stream is a parameter or a result of its own; inside other types, use a penstock.SourceRef"
    if issubclass(cls, collections.abc.Iterator) or cls in {collections.abc.Iterable, collections.abc.Reversible}:
        return "use a list, or an AsyncIterator for a stream"
    return _ADVICE


def type_parts(hint: Any) -> Iterator[Any]:
    """Iterate over a type and its parts, as `msgspec.inspect` describes them; over nothing for one that it does not know."""
    try:
        return parts_of(shape.type_info(hint), set())
    except Exception:  # noqa: BLE001 - the decoder of the type raises the error
        return iter(())


#: Types that are one object each, and those whose parts are a fixed number.
_FEW: Final = (
    *(shape.NoneType, shape.BoolType, shape.IntType, shape.FloatType, shape.StrType, shape.BytesType, shape.MemoryViewType),
    *(shape.ByteArrayType, shape.DateTimeType, shape.DateType, shape.TimeType, shape.TimeDeltaType, shape.UUIDType),
    *(shape.DecimalType, shape.EnumType, shape.LiteralType, shape.UnionType, shape.Metadata, shape.RawType),
    *(shape.StructType, shape.DataclassType, shape.TypedDictType, shape.NamedTupleType, shape.TupleType, shape.Field),
)


def holds_many(hint: Any) -> bool:
    """Whether a value of a type may have any number of values in it, as a list has."""
    found = [*type_parts(hint)]
    return not found or not all(isinstance(part, _FEW) for part in found)


def parts_of(info: Any, seen: set[int]) -> Iterator[Any]:
    """Iterate over a type and all its parts, each once."""
    if id(info) in seen:
        return
    seen.add(id(info))
    yield info
    for name in getattr(info, "__struct_fields__", ()):
        value = getattr(info, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, shape.Type | shape.Field):
                yield from parts_of(part, seen)


def _name(hint: Any) -> str:
    return str(getattr(hint, "__qualname__", hint)) if get_origin(hint) is None else str(hint)
