"""JSON from which the same value can be made again: for untyped values, where JSON alone keeps less than the value has.

`exact` marks the parts that JSON changes, as a map with one key, and leaves the others as they are::

    b"ab"  {1: "a"}  (1, 2)     ▶     {"$bytes": "YWI="}  {"$map": [[1, "a"]]}  {"$tuple": [1, 2]}

A value of a class is ``{"$object": ["module:Class", {field: value}]}`` when it is made of its fields, and
``{"$inexact": value}`` when it cannot be made again.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import importlib
import inspect
import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect as shape

from penstock._outcomes import text_of
from penstock.codec._codec import JSON, decode_other, encode_other
from penstock.codec._types import parts_of

_KEPT: Final = frozenset({str, bool, type(None)})
_INEXACT: Final = "$inexact"
_OBJECT: Final = "$object"
_MAP: Final = "$map"
_SERIES: Final[dict[type, str]] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}
_MICROSECOND: Final = dt.timedelta(microseconds=1)
#: Types of keys that JSON writes as a text, and reads back.
_JSON_KEYS: Final = (
    shape.StrType,
    shape.IntType,
    shape.EnumType,
    shape.LiteralType,
    shape.UUIDType,
    shape.DecimalType,
    shape.DateTimeType,
    shape.DateType,
    shape.TimeType,
    shape.TimeDeltaType,
)
#: Types that are written as a text, and the way back.
_TEXTS: Final[dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]]] = {
    bytes: ("$bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
    bytearray: ("$bytearray", lambda value: base64.b64encode(value).decode(), lambda text: bytearray(base64.b64decode(text))),
    int: ("$int", str, int),
    float: ("$float", repr, float),
    decimal.Decimal: ("$decimal", str, decimal.Decimal),
    uuid.UUID: ("$uuid", str, uuid.UUID),
    dt.datetime: ("$datetime", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("$date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("$time", dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: ("$timedelta", lambda value: str(value // _MICROSECOND), lambda text: int(text) * _MICROSECOND),
}
_BACK: Final[dict[str, Callable[[Any], Any]]] = {
    **{mark: back for mark, _there, back in _TEXTS.values()},
    **{mark: kind for kind, mark in _SERIES.items()},
}


class Inexact(ValueError):
    """A value cannot be made again from its JSON."""


def keeps(hint: Any) -> bool:
    """Whether JSON, read as this type, gives the value that was written.

    It does not where the type leaves open what it holds, and where it has keys that JSON does not have.
    """
    try:
        return not any(_leaves_open(part) for part in parts_of(shape.type_info(hint), set()))
    except Exception:  # noqa: BLE001 - a type of the program that msgspec cannot read
        return False


def _leaves_open(part: Any) -> bool:
    if isinstance(part, shape.DictType):
        return not isinstance(part.key_type, _JSON_KEYS)
    return isinstance(part, shape.AnyType | shape.CustomType | shape.RawType)


def finite(value: Any) -> Any:
    """Return a value with the floats marked that JSON writes as null: ``{"$float": "nan"}``. Raises what encoding raises."""
    return _finite(msgspec.to_builtins(value, str_keys=True, enc_hook=encode_other))


def _finite(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return _exact(value)
    if kind is dict:
        return {key: _finite(part) for key, part in value.items()}
    return list(map(_finite, value)) if kind is list or kind is tuple else value


def exact(value: Any) -> Any:
    """Return `value` with the parts marked that JSON would change; the value itself where there are none. Never raises."""
    try:
        return value if _is_plain(value) else _exact(value)
    except Exception:  # noqa: BLE001 - it is nested too deeply, or runs code of the program that raises
        return {_INEXACT: value}


def _exact(value: Any) -> Any:
    kind = type(value)
    if _is_plain(value):
        return value
    if kind is list:
        return [_exact(part) for part in value]
    if kind is dict:
        return _exact_map(value)
    if kind in _SERIES:
        return {_SERIES[kind]: [_exact(part) for part in value]}
    if kind in _TEXTS:
        mark, there, _back = _TEXTS[kind]
        return {mark: there(value)}
    return _exact_object(value)


def _is_plain(value: Any) -> bool:
    """Whether JSON keeps a value as it is. Every message with an untyped argument comes by here, so it makes no generator."""
    kind = type(value)
    if kind in _KEPT:
        return True
    check = _PLAIN.get(kind)
    return check is not None and check(value)


def _list_is_plain(value: list[Any]) -> bool:
    for part in value:  # noqa: SIM110 - a generator takes twice as long
        if type(part) not in _KEPT and not _is_plain(part):
            return False
    return True


def _map_is_plain(value: dict[Any, Any]) -> bool:
    for key, part in value.items():
        if type(key) is not str or (type(part) not in _KEPT and not _is_plain(part)):
            return False
    return not _looks_marked(value)


_PLAIN: Final[dict[type, Callable[[Any], bool]]] = {
    int: lambda value: -(2**63) <= value < 2**64,
    float: math.isfinite,
    list: _list_is_plain,
    dict: _map_is_plain,
}


def _looks_marked(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _exact_map(value: dict[Any, Any]) -> Any:
    if not all(type(key) is str for key in value) or _looks_marked(value):
        return {_MAP: [[_exact(key), _exact(part)] for key, part in value.items()]}
    return {key: _exact(part) for key, part in value.items()}


def _exact_object(value: Any) -> Any:
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if isinstance(value, enum.Enum):
        return {_OBJECT: [name, value.name]}
    fields = _fields(kind)
    if fields is None or "<locals>" in name:
        return {_INEXACT: value}
    return {_OBJECT: [name, {field: _exact(getattr(value, field)) for field in fields}]}


def _fields(cls: Any) -> list[str] | None:
    """Return the fields of which an object is made, None when it is made in another way."""
    if issubclass(cls, msgspec.Struct):
        return list(cls.__struct_fields__)
    if dataclasses.is_dataclass(cls) and all(field.init for field in dataclasses.fields(cls)):
        return [field.name for field in dataclasses.fields(cls)]
    return None


def restored(value: Any) -> Any:
    """Return the value from its JSON, as `exact` made it. Raises `Inexact` where that is not possible."""
    if isinstance(value, list):
        return [restored(part) for part in value]
    if not isinstance(value, dict):
        return value
    mark = next(iter(value)) if len(value) == 1 else ""
    try:
        return _restored(mark, value[mark]) if mark in _MARKS else {key: restored(part) for key, part in value.items()}
    except Inexact:
        raise
    except Exception as error:
        raise Inexact(f"{mark} cannot be made again: {text_of(error)}") from error


def _restored(mark: str, held: Any) -> Any:
    if mark == _INEXACT:
        raise Inexact("the history keeps only what JSON has of it")
    if mark == _MAP:
        return {restored(key): restored(part) for key, part in held}
    if mark == _OBJECT:
        return _made(*held)
    return _BACK[mark](restored(held))


def typed(value: Any, hint: Any) -> Any:
    """Return a value from JSON, in which `finite` may have marked floats, as a declared type.

    Raises `Inexact` when that loses a field, and what decoding raises.
    """
    value = _with_floats(value)
    made = msgspec.convert(value, hint, str_keys=True, dec_hook=decode_other)
    read = JSON.decode_for(Any).value
    lost = next(_lost(read(JSON.encode(value)), read(JSON.encode(made))), None)
    if lost is not None:
        raise Inexact(f"it had a field {lost!r}, which its declared type does not have")
    return made


def _with_floats(value: Any) -> Any:
    """Return a value from JSON with the floats that `finite` has marked."""
    if type(value) is list:
        return list(map(_with_floats, value))
    if type(value) is not dict:
        return value
    return _floats_by_mark.get(repr(value)) or {key: _with_floats(part) for key, part in value.items()}


_floats_by_mark: Final = {repr(_exact(number)): number for number in (math.nan, math.inf, -math.inf)}


def _lost(before: Any, after: Any) -> Iterator[str]:
    """Iterate over the keys that are missing in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from (key for key in before if key not in after)
        before, after = list(before.values()), [after.get(key) for key in before]
    if isinstance(before, list) and isinstance(after, list):
        for one, other in zip(before, after, strict=False):
            yield from _lost(one, other)


def _made(name: str, held: Any) -> Any:
    """Make an object of its fields, or find a member of an enum."""
    module, _colon, names = name.partition(":")
    kind: Any = importlib.import_module(module)
    for part in names.split("."):
        kind = getattr(kind, part)
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return kind[held]
    if not inspect.isclass(kind) or _fields(kind) is None:
        raise Inexact(f"{name} is not made of its fields")
    fields: Mapping[str, Any] = {field: restored(part) for field, part in held.items()}
    return kind(**fields)


_MARKS: Final = frozenset({*_BACK, _INEXACT, _MAP, _OBJECT})
