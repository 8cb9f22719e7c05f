"""The two codecs: msgpack for programs, JSON for people and text peers. This module never sees a stream.

`bytes` need no codec of their own: msgpack's `bin` is already a length and the raw bytes. Decoders are made once per
type and kept.
Types that msgspec does not know can join by the two methods that pydantic's models have: `model_dump` and `model_validate`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import msgspec

from penstock.codec._joined import fitted, from_extension, has_joined, to_extension

#: Item types that keep a decoder; beyond that the least used one is made anew.
DECODERS_MAX: Final = 4096


def encode_other(value: object) -> object:
    """Make something encodable of a value that msgspec does not know, or say that it cannot travel."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump()
    if hasattr(value, "__await__"):
        raise TypeError(
            f"the {type(value).__qualname__} {getattr(value, '__qualname__', '')} cannot travel; was an `await` forgotten?"
        )
    raise TypeError(
        f"a {type(value).__qualname__} cannot travel; use a penstock.Struct, dataclass, attrs class, TypedDict or builtin type"
    )


def _for_msgpack(value: object) -> object:
    joined = to_extension(value)
    return encode_other(value) if joined is None else joined


def decode_other(kind: type, value: object) -> object:
    """Make a value of a type that msgspec does not know."""
    if kind is object:  # whoever writes it means anything
        return value
    if has_joined(kind):
        return fitted(kind, value)
    validate = getattr(kind, "model_validate", None)
    if validate is not None:
        return validate(value)
    raise NotImplementedError(f"{kind.__qualname__} cannot be decoded")


#: What encoding raises for a value that cannot travel.
UNENCODABLE: Final = (TypeError, ValueError, OverflowError, RecursionError)
#: What decoding raises for bytes that do not fit their type: anything, for the types of the program check themselves.
UNDECODABLE: Final = (Exception,)


class Decode(NamedTuple):
    """How to read one type: a single value, a batch, and a batch whose items are tried one by one.

    `takes_bytes` says that `bytes` need not be read at all.
    """

    value: Callable[[bytes | bytearray | memoryview], Any]
    batch: Callable[[bytes | bytearray | memoryview], list[Any]]
    raws: Callable[[bytes | bytearray | memoryview], list[msgspec.Raw]]
    takes_bytes: bool

    def one_by_one(self, payload: bytes | bytearray) -> tuple[list[Any], Exception | None]:
        """Read what can be read of a batch that does not decode: the items before the first bad one, and its error."""
        items: list[Any] = []
        try:
            for raw in self.raws(payload):
                items.append(self.value(raw))  # noqa: PERF401 - what was read before the error counts
        except UNDECODABLE as error:
            return items, error
        return items, None


class Codec:
    """One way to write values. `number` names it on the wire."""

    __slots__ = ("_raws", "decode_for", "encode", "encode_into", "name", "number")

    def __init__(self, number: int, name: str, made: Any, decoder: Any) -> None:
        self.number = number
        self.name = name
        self.encode: Callable[[Any], bytes] = made.encode
        self.encode_into: Callable[[Any, bytearray, int], None] = made.encode_into
        raws = decoder(list[msgspec.Raw]).decode

        @lru_cache(maxsize=DECODERS_MAX)
        def decode_for(kind: Any) -> Decode:
            return Decode(
                decoder(kind, dec_hook=decode_other).decode,
                decoder(list[kind], dec_hook=decode_other).decode,
                raws,
                kind is bytes or kind is Any or kind is object,
            )

        self.decode_for: Callable[[Any], Decode] = decode_for

    def encode_raw(self, value: Any) -> msgspec.Raw:
        """Encode a value once, for many places: each of them writes the result down as it is."""
        return msgspec.Raw(self.encode(value))

    def __repr__(self) -> str:
        return f"<Codec {self.name}>"


_msgpack_decoder: Final = partial(msgspec.msgpack.Decoder, ext_hook=from_extension)
MSGPACK: Final = Codec(0, "msgpack", msgspec.msgpack.Encoder(enc_hook=_for_msgpack), _msgpack_decoder)
JSON: Final = Codec(1, "json", msgspec.json.Encoder(enc_hook=encode_other), msgspec.json.Decoder)

_BY_NUMBER: Final = {codec.number: codec for codec in (MSGPACK, JSON)}


def by_number(number: int) -> Codec:
    """Find a codec by its number on the wire; `KeyError` for an unknown one."""
    return _BY_NUMBER[number]
