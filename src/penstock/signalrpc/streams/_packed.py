"""Several items in one frame, compressed where that is worth it. This module does no I/O."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from penstock.errors import InvalidArgument
from penstock.signalrpc._messages import StreamBatch, StreamData, encode

#: Bytes of items below which a batch is not compressed: a small one would not get smaller.
COMPRESSED_MIN: Final = 512
#: Bytes of a batch that is decompressed, and its items: more than a sender puts into one (`MESSAGE_ITEMS`) is an attack.
UNPACKED_MAX: Final = 2 * 1024 * 1024
UNPACKED_ITEMS_MAX: Final = 1024
#: The characters of base 64 for three bytes: a batch is sent compressed when it is smaller with them.
_BASE64: Final = 4 / 3

_lists: Final = msgspec.json.Decoder(list[msgspec.Raw])


def pack(stream: dict[str, Any], seq: int, items: Sequence[msgspec.Raw], *, compress: bool) -> bytes:
    """Return the frame of items in a row, from number `seq` on. stream: the fields that all frames of the stream have."""
    if compress and sum(map(len, items)) >= COMPRESSED_MIN:
        plain = b"[" + b",".join(bytes(item) for item in items) + b"]"
        small = zlib.compress(plain, 1)
        if len(small) * _BASE64 < len(plain):
            return encode(StreamBatch(**stream, seq=seq, deflate=small))
    if len(items) == 1:
        return encode(StreamData(**stream, seq=seq, payload=items[0]))
    return encode(StreamBatch(**stream, seq=seq, payloads=list(items)))


def unpack(batch: StreamBatch) -> list[msgspec.Raw]:
    """Return the items of a batch. Raises `InvalidArgument` for one that cannot be read, or is too large."""
    items = batch.payloads or [] if batch.deflate is None else _inflated(batch.deflate)
    if len(items) > UNPACKED_ITEMS_MAX:
        raise InvalidArgument(f"a batch has {len(items)} items, more than {UNPACKED_ITEMS_MAX}")
    return items


def _inflated(deflate: bytes) -> list[msgspec.Raw]:
    try:
        reader = zlib.decompressobj()
        plain = reader.decompress(deflate, UNPACKED_MAX)
        if not reader.eof:
            raise InvalidArgument(f"a compressed batch is cut, or has more than {UNPACKED_MAX} bytes")
        return _lists.decode(plain)
    except (zlib.error, msgspec.DecodeError, RecursionError) as error:
        raise InvalidArgument(f"a compressed batch cannot be read: {error}") from None
