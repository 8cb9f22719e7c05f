"""Streams with marks between the items: values of one tagged struct, beside items of any type.

A union type would need items that are tagged as well. A batch without marks costs one search for the tag, no more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.codec._codec import MSGPACK, Codec, Decode


def decode_marked(codec: Codec, kind: Any, mark: type[msgspec.Struct]) -> Decode:
    """Return the decoders of a stream of `kind` in which values of `mark`, a tagged struct, may stand between the items."""
    plain, marks = codec.decode_for(kind), codec.decode_for(mark)
    head = _head(codec, mark)
    size, tag = len(head), head[1:]

    def value(raw: bytes | bytearray | memoryview | msgspec.Raw) -> Any:
        return (marks if bytes(memoryview(raw)[:size]) == head else plain).value(raw)

    def batch(payload: bytes | bytearray | memoryview) -> list[Any]:
        if tag not in (bytes(payload) if type(payload) is memoryview else payload):
            return plain.batch(payload)
        return [value(raw) for raw in plain.raws(payload)]

    return Decode(value, batch, plain.raws, plain.takes_bytes)


def _head(codec: Codec, mark: type[msgspec.Struct]) -> bytes:
    """Return the first bytes of every encoded mark: the head of a map (in msgpack with its size), the tag field, the tag."""
    config = mark.__struct_config__
    encoded = codec.encode({config.tag_field: config.tag})
    if codec is MSGPACK:
        return bytes([encoded[0] + len(mark.__struct_fields__)]) + encoded[1:]
    return encoded[:-1]
