"""Classes of ours that travel as bytes of their own, an extension type of msgpack. It knows none of them.

Who wants a class to travel says so by `join`, from above: nothing is imported here. JSON has no such values: what is written
in JSON is read by people, and a history that writes down a message must not send what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_origin

import msgspec

V = TypeVar("V")


class Joined(NamedTuple, Generic[V]):
    """How the values of one class travel.

    code: the number of the extension type, 0 to 127. pack: a value as bytes; may raise a `StatusError`. unpack: the
    bytes as a value, or `ValueError`. fit: the value as one of the type that was asked for, which may have arguments.
    """

    code: int
    pack: Callable[[V], bytes]
    unpack: Callable[[bytes], V]
    fit: Callable[[V, Any], V] = lambda value, _kind: value


_BY_CLASS: Final[dict[Any, Joined[Any]]] = {}
_BY_CODE: Final[dict[int, Joined[Any]]] = {}


def join(cls: type[V], how: Joined[V]) -> None:
    """Let the values of `cls`, and of what derives from it, travel in any message of this process, hinted or not."""
    if how.code in _BY_CODE or cls in _BY_CLASS:
        raise ValueError(f"extension type {how.code} or {cls.__name__} has joined already")
    _BY_CLASS[cls] = _BY_CODE[how.code] = how


def has_joined(kind: Any) -> bool:
    """Whether values of this type travel as bytes of their own."""
    return (get_origin(kind) or kind) in _BY_CLASS


def to_extension(value: object) -> msgspec.msgpack.Ext | None:
    """Return a value as msgpack has it, None for one of another class."""
    how = next((found for base in type(value).__mro__ if (found := _BY_CLASS.get(base)) is not None), None)
    return None if how is None else msgspec.msgpack.Ext(how.code, how.pack(value))


def from_extension(code: int, data: memoryview) -> Any:
    """Make a value of what msgpack has; an unknown extension stays what it is."""
    how = _BY_CODE.get(code)
    return msgspec.msgpack.Ext(code, bytes(data)) if how is None else how.unpack(bytes(data))


def fitted(kind: Any, value: object) -> Any:
    """Return a value of a class that has joined as the type that was asked for; `TypeError` for anything else."""
    cls = get_origin(kind) or kind
    how = _BY_CLASS[cls]
    if not isinstance(value, cls):
        raise TypeError(f"Expected a {cls.__name__}, got {type(value).__name__}")
    return how.fit(value, kind)
