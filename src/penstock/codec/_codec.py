"""The two codecs: msgpack for programs, JSON for people and text peers.

`bytes` need no codec of their own: msgpack's `bin` is a length and the raw bytes. Decoders are made once for each type and
kept. A type that msgspec does not know can travel when it is a model of pydantic.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple, NoReturn, Union

import msgspec

from penstock._outcomes import ends_the_loop, named, text_of
from penstock.codec._converters import contained, runs_code
from penstock.codec._extensions import fitted, from_extension, is_extension, to_extension
from penstock.codec._keys import guarded_batch, guarded_value, leaves_keys_open
from penstock.codec._models import dump_model, is_model, load_model
from penstock.codec._small_views import owned
from penstock.codec._types import holds_many
from penstock.codec._views import LARGE_VIEW_BYTES, aligned, holds_views, placed
from penstock.errors import PenstockError, StatusError

_MSGPACK: Final = 0
#: The number of item types that keep a decoder; beyond it the least recently used decoder is dropped.
DECODERS_MAX: Final = 4096


#: Builtin types whose subclasses msgspec does not encode, and how an instance of one becomes the base.
_SUBCLASSED: Final[dict[type[Any], Callable[[Any], object]]] = {
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    int: int.__int__,
    float: float.__float__,
}


def encode_other(value: object) -> object:
    """Return an encodable form of a value that msgspec does not know; `TypeError` when it has none, or its code raises."""
    try:
        return _encodable(value)
    except BaseException as error:
        if ends_the_loop(error) or isinstance(error, TypeError):
            raise
        raise TypeError(f"a {type(value).__qualname__} cannot travel: {named(error)}") from error


def _encodable(value: object) -> object:
    if is_model(type(value)):
        return dump_model(value)
    for cls, base in _SUBCLASSED.items():
        if isinstance(value, cls):
            return base(value)
    if hasattr(value, "__await__"):
        raise TypeError(
            f"the {type(value).__qualname__} {getattr(value, '__qualname__', '')} cannot travel; was an `await` forgotten?"
        )
    raise TypeError(
        f"a {type(value).__qualname__} cannot travel; use a penstock.Struct, dataclass, attrs class, TypedDict or builtin type"
    )


def _for_msgpack(value: object) -> object:
    extension = to_extension(value)
    return encode_other(value) if extension is None else extension


@contained
def decode_other(hint: type, value: object) -> object:
    """Make a value of a type that msgspec does not know from builtin types; `NotImplementedError` when that is impossible."""
    if hint is object:  # the hint `object` means any value
        return value
    if is_extension(hint):
        return fitted(hint, value)
    if is_model(hint):
        return load_model(hint, dump_model(value) if isinstance(value, hint) and type(value) is not hint else value)
    raise NotImplementedError(f"{hint.__qualname__} cannot be decoded")


def as_travelled(value: Any, hint: Any) -> Any:
    """Return a value as one of the type `hint`, as if it had been encoded and decoded. Raises one of `UNDECODABLE`."""
    return value if hint is Any or type(value) is hint else _as_travelled(value, hint)


@contained
def _as_travelled(value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint, dec_hook=decode_other)
    except UNDECODABLE:  # it may have to be cut to its declared type, as it would be on the way
        return _there_and_back(value, hint)


def _there_and_back(value: Any, hint: Any) -> Any:
    """Encode and decode a value. Refs and other values of an extension type stay the same objects: none is put on offer."""
    carried: list[Any] = []

    def carry(part: object) -> object:
        if not any(map(is_extension, type(part).__mro__)):
            return encode_other(part)
        carried.append(part)
        return msgspec.msgpack.Ext(0, str(len(carried) - 1).encode())

    encoded = msgspec.msgpack.Encoder(enc_hook=carry).encode(value)
    return msgspec.msgpack.Decoder(hint, dec_hook=decode_other, ext_hook=lambda _code, data: carried[int(bytes(data))]).decode(
        encoded
    )


def reader(hint: Any, where: str, bad: type[StatusError]) -> Callable[[Any], Any]:
    """Return a function that returns a value as one of the type `hint`, as if it had travelled. It raises `bad`."""

    def read(value: Any) -> Any:
        try:
            return as_travelled(value, hint)
        except UNDECODABLE as error:
            raise bad(f"{where} does not fit its type: {text_of(error)}") from None

    MSGPACK.decode_for(hint)  # a type that no value can have is refused at once
    return read


#: The exceptions of encoding a value that cannot travel: any, because values of the program run code of their own. An end of a
#: stream that cannot be sent raises a `PenstockError`, which goes on as it is.
UNENCODABLE: Final = (Exception,)


def refuse_value(error: Exception, where: str, bad: Callable[[str], Exception]) -> NoReturn:
    """Raise `bad` for a value that could not be encoded because of `error`, one of `UNENCODABLE`; pass on a `PenstockError`."""
    try:
        if isinstance(error, PenstockError):
            raise error
        raise bad(f"{where}: {text_of(error)}") from error
    finally:
        del error  # it holds this frame


#: The exceptions of decoding bytes that do not fit their type: any, because types of the program run checks of their own.
UNDECODABLE: Final = (Exception,)


class Decode(NamedTuple):
    """The decoders of one type: for a single value, for a batch, and for a batch without its items (`raws`).

    `of_bytes`: makes a value of `bytes` that need not be decoded; None for a type that takes no `bytes` as they are.
    `grows`: a few bytes may become many objects, as in lists of lists.
    """

    value: Callable[[bytes | bytearray | memoryview], Any]
    batch: Callable[[bytes | bytearray | memoryview], list[Any]]
    raws: Callable[[bytes | bytearray | memoryview], list[msgspec.Raw]]
    of_bytes: Callable[[bytes | bytearray], Any] | None
    grows: bool = True

    def one_by_one(self, payload: bytes | bytearray) -> tuple[list[Any], Exception | None]:
        """Decode a broken batch as far as possible: return the items before the first bad one, and its error."""
        items: list[Any] = []
        try:
            for raw in self.raws(payload):
                items.append(self.value(raw))  # noqa: PERF401 - the items before the error count
        except UNDECODABLE as error:
            return items, error
        return items, None


class WholeEncoder:
    """An encoder of msgpack that raises `ValueError` when a `msgspec.Raw` in the value is not one value, so nothing is.

    The bytes of a `Raw` are copied as they are. To skip what was encoded takes a tenth of a microsecond.
    """

    __slots__ = ("_encode",)

    def __init__(self, encoder: msgspec.msgpack.Encoder) -> None:
        self._encode = encoder.encode

    def encode(self, value: Any) -> bytes:
        """Return the encoded value."""
        encoded = self._encode(value)
        try:
            _skip(encoded)
        except msgspec.DecodeError as error:
            raise ValueError(f"a msgspec.Raw in it does not hold one value of msgpack: {error}") from None
        return encoded

    def encode_into(self, value: Any, buffer: bytearray, _offset: int) -> None:
        """Append the encoded value; after an error, nothing."""
        buffer += self.encode(value)


_skip: Final = msgspec.msgpack.Decoder(msgspec.Raw).decode


class Codec:
    """One way to write values; `number` is its number on the wire.

    `encode` returns bytes, `encode_into` appends to a `bytearray`; both raise one of `UNENCODABLE`. `decode_for` returns the
    decoders of a type, from a cache.
    """

    __slots__ = ("_raws", "decode_for", "encode", "encode_into", "name", "number")

    def __init__(self, number: int, name: str, encoder: Any, decoder: Any) -> None:
        self.number = number
        self.name = name
        self.encode: Callable[[Any], bytes] = encoder.encode
        self.encode_into: Callable[[Any, bytearray, int], None] = encoder.encode_into
        raws = decoder(list[msgspec.Raw]).decode

        @lru_cache(maxsize=DECODERS_MAX)
        def decode_for(hint: Any) -> Decode:
            value = decoder(hint, dec_hook=decode_other).decode
            batch = decoder(list[hint], dec_hook=decode_other).decode
            if number == _MSGPACK and leaves_keys_open(hint):  # the keys of JSON are texts
                value, batch = guarded_value(value), guarded_batch(batch, raws)
            if runs_code(hint):
                value, batch = contained(value), contained(batch)
            of_bytes = bytes if hint is bytes or hint is Any or hint is object else None
            plain = Decode(value, batch, raws, of_bytes, holds_many(hint))
            return _with_views(hint, plain) if number == _MSGPACK and holds_views(hint) else plain

        self.decode_for: Callable[[Any], Decode] = decode_for

    def encode_raw(self, value: Any) -> msgspec.Raw:
        """Encode a value once for several messages: each of them copies the result as it is."""
        return msgspec.Raw(self.encode(value))

    def __repr__(self) -> str:
        return f"<Codec {self.name}>"


def _with_views(hint: Any, plain: Decode) -> Decode:
    """Return the decoders of a type that may hold views: a large item, and each small view, has memory of its own."""
    decode = aligned(plain.value)

    def value(encoded: bytes | bytearray | memoryview) -> Any:
        return owned(decode(encoded))

    def batch(payload: bytes | bytearray | memoryview) -> list[Any]:
        if len(payload) >= LARGE_VIEW_BYTES:
            raws = [memoryview(raw) for raw in plain.raws(payload)]
            if max(map(len, raws), default=0) >= LARGE_VIEW_BYTES:
                return list(map(value, raws))
        return list(map(owned, plain.batch(payload)))

    return Decode(value, batch, plain.raws, placed if hint is memoryview else None, plain.grows)


_msgpack_decoder: Final = partial(msgspec.msgpack.Decoder, ext_hook=from_extension)
_msgpack_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_for_msgpack)
MSGPACK: Final = Codec(_MSGPACK, "msgpack", _msgpack_encoder, _msgpack_decoder)
#: As `MSGPACK`, for values of several calls in one stream: none of them can break those behind it.
WHOLE_MSGPACK: Final = Codec(_MSGPACK, "msgpack", WholeEncoder(_msgpack_encoder), _msgpack_decoder)
JSON: Final = Codec(1, "json", msgspec.json.Encoder(enc_hook=encode_other), msgspec.json.Decoder)

_BY_NUMBER: Final = {codec.number: codec for codec in (MSGPACK, JSON)}


def by_number(number: int) -> Codec:
    """Return the codec with this number on the wire; `KeyError` for an unknown number."""
    return _BY_NUMBER[number]


#: The bytes before the first key of a map, in whatever size the heads of the map and of the key are written.
_HEADS_BYTES: Final = 10


class MarkedBatch(list[Any]):
    """A batch in which marks may stand between the items."""

    __slots__ = ()


def decode_marked(codec: Codec, hint: Any, *marked: type[msgspec.Struct]) -> Decode:
    """Return the decoders of a stream of `hint` in which values of `marked`, tagged structs, may stand between the items.

    A union type would need items that are tagged as well. A batch without marks costs one search for the tag, and no more.
    """
    plain, marks = codec.decode_for(hint), codec.decode_for(Union[marked])  # noqa: UP007 - of a tuple
    tag = str(marked[0].__struct_config__.tag_field).encode()
    begin = len(tag) + _HEADS_BYTES

    def value(raw: bytes | bytearray | memoryview | msgspec.Raw) -> Any:
        if tag in bytes(memoryview(raw)[:begin]):
            with suppress(*UNDECODABLE):  # an item of the program has the same name in it
                return marks.value(raw)
        return plain.value(raw)

    def batch(payload: bytes | bytearray | memoryview) -> list[Any]:
        if (bytes(payload) if type(payload) is memoryview else payload).find(tag) < 0:  # `in` would try a number first
            return plain.batch(payload)
        return MarkedBatch([value(raw) for raw in plain.raws(payload)])

    return Decode(value, batch, plain.raws, plain.of_bytes, plain.grows)
