"""Refuse the keys of maps that a peer can choose to hash alike: in a map of thousands they take quadratic time.

A type that names the keys decides for itself. Only where a peer fills in what the type leaves open, large maps are looked at,
before they are decoded. A message without such a map costs a search for two bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import inspect as shape

from penstock._values import Encoded, bad_key, large_items, large_maps
from penstock.codec._extensions import is_extension
from penstock.codec._types import type_parts

T = TypeVar("T")
Raws = Callable[[Any], list[msgspec.Raw]]


class _AnyMap(msgspec.Struct):
    """A map whose keys are texts; its values are skipped."""


_check_text_keys = msgspec.msgpack.Decoder(list[_AnyMap]).decode


def guarded_value(decode: Callable[[Any], T]) -> Callable[[Any], T]:
    """Return `decode`, for a value whose type leaves keys open. Raises `ValueError` for bad keys."""

    def value(encoded: Any) -> T:
        payload = encoded if type(encoded) in _WHOLE else bytes(encoded)
        if (_MAP_16 in payload or _MAP_32 in payload) and (len(payload) > SEARCHED_BYTES or large_maps(payload, len(payload))):
            _refuse(payload)
        return decode(encoded)

    return value


def guarded_batch(decode: Callable[[Any], T], raws: Raws) -> Callable[[Any], T]:
    """Return `decode`, for a batch of such values."""

    def batch(encoded: Any) -> T:
        payload = encoded if type(encoded) in _WHOLE else bytes(encoded)
        if _MAP_16 in payload or _MAP_32 in payload:
            _check_batch(payload, raws)
        return decode(encoded)

    return batch


#: The first bytes of maps that may be large.
_MAP_16, _MAP_32 = 0xDE, 0xDF
_WHOLE = frozenset({bytes, bytearray})
#: A larger message is not searched for the heads of maps, which takes up to 10 ns for each byte: its values are fewer.
SEARCHED_BYTES: Final = 512 * 1024


def _check_batch(payload: Encoded, raws: Raws) -> None:
    """Raise `ValueError` for bad keys. Items that are large maps themselves, with texts as keys, are checked by msgspec."""
    if len(payload) <= SEARCHED_BYTES:
        sizes = list(map(len, raws(payload)))
        items = large_items(payload, sizes, len(payload) - sum(sizes))
        found = large_maps(payload, max(sizes, default=0), items + 1)
        if not found or (found == items and _have_text_keys(payload)):
            return
    _refuse(payload)


def _have_text_keys(payload: Encoded) -> bool:
    try:
        _check_text_keys(payload)
    except msgspec.DecodeError:
        return False
    return True


def _refuse(payload: Encoded) -> None:
    why = bad_key(payload)
    if why is not None:
        raise ValueError(f"{why}; a peer may send such a map only where a type says so")


def leaves_keys_open(hint: Any) -> bool:
    """Whether a peer can put a map with any keys where a value of this type is decoded, and the type names no such keys."""
    parts = list(type_parts(hint))
    named = [part.key_type for part in parts if isinstance(part, shape.DictType)]
    if any(isinstance(key, shape.TupleType | shape.VarTupleType | shape.StructType | shape.DataclassType) for key in named):
        return False
    return any(isinstance(part, shape.AnyType) or _is_other(part) for part in parts)


def _is_other(part: Any) -> bool:
    return isinstance(part, shape.CustomType) and not is_extension(cast("Any", part).cls)
