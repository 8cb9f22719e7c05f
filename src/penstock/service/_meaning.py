"""What a map and a list mean as the payload of a method with one parameter. The type of the parameter decides it, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from msgspec import inspect as shape

from penstock.codec import is_extension

#: "names": the type is never a map, so a map gives arguments by name. "value": a map is the argument. "either": the type is a
#: map without a key of the parameter's name, so a map with this key alone gives the argument; any other map is the argument.
MapMeaning = Literal["names", "either", "value"]
#: "places": the type is never a list, so a list gives arguments by place. "value": a list is the argument.
ListMeaning = Literal["places", "value"]

_LISTS: Final = (
    shape.ListType,
    shape.SetType,
    shape.FrozenSetType,
    shape.VarTupleType,
    shape.TupleType,
    shape.NamedTupleType,
)
_WITH_FIELDS: Final = (shape.StructType, shape.DataclassType, shape.TypedDictType)
_ANYTHING: Final = (shape.AnyType, shape.RawType)


def meanings(hint: Any, name: str) -> tuple[MapMeaning, ListMeaning]:
    """Return what a map and a list mean for the one parameter `name` of the type `hint`."""
    maps: MapMeaning = "names"
    lists: ListMeaning = "places"
    for part in _alternatives(shape.type_info(hint)):
        keys = _keys(part)
        if keys is not None:
            maps = "value" if name in keys or maps == "value" else "either"
        elif _is_open(part) or isinstance(part, shape.DictType):
            maps = "value"
        if isinstance(part, _LISTS) or _is_open(part) or (isinstance(part, shape.StructType) and part.array_like):
            lists = "value"
    return maps, lists


def _alternatives(info: shape.Type) -> Iterator[shape.Type]:
    """Iterate over the types of a union; over the type itself when it is not one."""
    if isinstance(info, shape.UnionType):
        for part in info.types:
            yield from _alternatives(part)
    elif isinstance(info, shape.Metadata):
        yield from _alternatives(info.type)
    else:
        yield info


def _keys(info: shape.Type) -> set[str] | None:
    """Return the keys of the maps of a type with fields; None for any other type."""
    if isinstance(info, shape.StructType) and info.array_like:
        return None
    if isinstance(info, _WITH_FIELDS):
        tag = {info.tag_field} if isinstance(info, shape.StructType) and info.tag_field else set()
        return tag | {field.encode_name for field in info.fields}
    fields = getattr(info.cls, "model_fields", None) if isinstance(info, shape.CustomType) else None
    if isinstance(fields, dict):
        return set(fields) | {alias for field in fields.values() if isinstance(alias := getattr(field, "alias", None), str)}
    return None


def _is_open(info: shape.Type) -> bool:
    """Whether a type may take any map and any list."""
    if isinstance(info, shape.CustomType):
        return not is_extension(info.cls) and _keys(info) is None
    return isinstance(info, _ANYTHING)
