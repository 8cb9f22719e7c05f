"""Small values of type `memoryview` are copies: a view of 16 bytes that a program keeps would keep its whole message."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from penstock.codec._types import parts_of
from penstock.codec._views import LARGE_VIEW_BYTES

#: The number of classes whose fields are kept.
CLASSES_MAX: Final = 4096


def owned(value: Any) -> Any:
    """Return a decoded value in which each view of less than `LARGE_VIEW_BYTES` has memory of its own.

    It looks into structs, dataclasses, attrs classes, named tuples, lists, tuples, sets and maps.
    """
    cls: Any = type(value)
    if cls is memoryview:
        return value if value.nbytes >= LARGE_VIEW_BYTES else memoryview(bytes(value))
    if cls is list:
        value[:] = map(owned, value)
    elif cls is dict:
        if memoryview in map(type, value):
            return {owned(key): owned(item) for key, item in value.items()}
        for key, item in value.items():
            value[key] = owned(item)
    elif isinstance(value, tuple):
        return cls(map(owned, value)) if cls is tuple else cls(*map(owned, value))
    elif cls is set or cls is frozenset:
        return cls(map(owned, value))
    else:
        for name in _fields_with_views(cls):
            before = getattr(value, name)
            after = owned(before)
            if after is not before:
                _setter(cls)(value, name, after)
    return value


def _setter(cls: type[Any]) -> Callable[[Any, str, Any], None]:
    """Return the function that sets a field of an object of this class, also of a frozen one."""
    return msgspec.structs.force_setattr if issubclass(cls, msgspec.Struct) else object.__setattr__


@lru_cache(maxsize=CLASSES_MAX)
def _fields_with_views(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a class that may hold a view: none for a class without described fields."""
    try:
        fields = getattr(msgspec.inspect.type_info(cls), "fields", ())
    except TypeError:
        return ()
    return tuple(field.name for field in fields if _may_hold_views(field.type))


def _may_hold_views(info: Any) -> bool:
    """Whether a field of this type may hold a view. That of a type variable is described as any type."""
    kinds = (msgspec.inspect.MemoryViewType, msgspec.inspect.AnyType)
    return any(isinstance(part, kinds) for part in parts_of(info, set()))
