"""Streams in which marks stand between the items: values of a tagged struct, whatever the type of the items is.

A union would need items that are tagged themselves. This module never looks for a mark in a batch that has none.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.codec._codec import MSGPACK, Codec, Decode


def decode_marked(codec: Codec, kind: Any, mark: type[msgspec.Struct]) -> Decode:
    """Return how to read items of type `kind` between which values of `mark`, a tagged struct, may stand."""
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
    """How every mark begins: the byte that says that it is a map (in msgpack, of how many fields), its tag field, its tag."""
    config = mark.__struct_config__
    encoded = codec.encode({config.tag_field: config.tag})
    if codec is MSGPACK:
        return bytes([encoded[0] + len(mark.__struct_fields__)]) + encoded[1:]
    return encoded[:-1]
