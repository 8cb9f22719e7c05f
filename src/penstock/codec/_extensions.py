"""Extension types of msgpack: classes of Penstock whose values travel as bytes of their own. It imports none of them.

The owner of a class registers it by `register_extension`. JSON has no such values: people read JSON, and a history that
writes a message down must not send the streams and actors in it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar, get_origin

import msgspec

V = TypeVar("V")


class ExtensionCode(IntEnum):
    """The codes that Penstock uses, each with its rule in PROTOCOL.md. msgpack leaves 0 to 127 to applications."""

    SOURCE_REF = 1  # the receiving end of a stream (13.1)
    SINK_REF = 2  # the sending end of a stream (13.1)
    FAILURE = 3  # the last item of a stream that failed (13.4); nowhere else, so no class is registered for it
    ACTOR = 4  # an actor (12.9)


class Extension(NamedTuple, Generic[V]):
    """How the values of one class travel.

    code: the number of the extension type, 0 to 127.
    pack: encodes a value; may raise a `StatusError`.
    unpack: decodes the bytes; raises `ValueError` for bytes that do not fit.
    fit: turns a decoded value into one of the hinted type, which may have arguments: ``fit(value, SourceRef[int])``.
    """

    code: int
    pack: Callable[[V], bytes]
    unpack: Callable[[bytes], V]
    fit: Callable[[V, Any], V] = lambda value, _kind: value


_BY_CLASS: Final[dict[Any, Extension[Any]]] = {}
_BY_CODE: Final[dict[int, Extension[Any]]] = {}


def register_extension(cls: type[V], extension: Extension[V]) -> None:
    """Let the values of `cls` and of its subclasses travel in any message of this process, with or without a type hint.

    Raises `ValueError` for a class or code that is registered already.
    """
    if extension.code in _BY_CODE or cls in _BY_CLASS:
        raise ValueError(f"extension type {extension.code} or {cls.__name__} is registered already")
    code = int(extension.code)  # msgspec takes no other type, also not an enum of integers
    _BY_CLASS[cls] = _BY_CODE[code] = extension._replace(code=code)


def is_extension(hint: Any) -> bool:
    """Whether `hint` is a registered class, or one of them with arguments: ``SourceRef[int]``."""
    return (get_origin(hint) or hint) in _BY_CLASS


def to_extension(value: object) -> msgspec.msgpack.Ext | None:
    """Encode a value of a registered class for msgpack; None for a value of any other class."""
    for base in type(value).__mro__:
        extension = _BY_CLASS.get(base)
        if extension is not None:
            return msgspec.msgpack.Ext(extension.code, extension.pack(value))
    return None


def from_extension(code: int, data: memoryview) -> Any:
    """Decode an extension of msgpack; an unknown one is returned as `msgspec.msgpack.Ext`."""
    extension = _BY_CODE.get(code)
    return msgspec.msgpack.Ext(code, bytes(data)) if extension is None else extension.unpack(bytes(data))


def fitted(hint: Any, value: object) -> Any:
    """Return a decoded value as the hinted type `hint`, a registered class; `TypeError` for a value of another class."""
    cls = get_origin(hint) or hint
    if not isinstance(value, cls):
        raise TypeError(f"Expected a {cls.__name__}, got {type(value).__name__}")
    return _BY_CLASS[cls].fit(value, hint)
