"""Items as bytes of HTTP, and back: JSON by its messages, text and other bytes by their pieces."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from penstock._outcomes import text_of
from penstock.codec import JSON, MSGPACK, UNDECODABLE
from penstock.errors import InvalidArgument, ResourceExhausted
from penstock.retention import KeptStream
from penstock.web._response import JSON_TYPE, refused

BYTES_TYPE: Final = "application/octet-stream"
_value: Final = MSGPACK.decode_for(Any).value
#: The white space of JSON.
_SPACE: Final = b" \t\r\n"


def content_type_of(kept: KeptStream) -> str:
    """Return the content type of a stream: that with which a client made it, and JSON for a stream of the program."""
    return kept.notes.content_type or JSON_TYPE


def media_of(content_type: str) -> str:
    """Return a content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def is_json(kept: KeptStream) -> bool:
    """Whether the items of a stream are values, and travel as JSON."""
    return media_of(content_type_of(kept)) == JSON_TYPE


def is_text(kept: KeptStream) -> bool:
    """Whether the items of a stream are pieces of a text."""
    return media_of(content_type_of(kept)).startswith("text/")


def items_in(body: bytes, kept: KeptStream, items_max: int) -> list[Any]:
    """Return the items of a body: the values of an array of JSON, any other value or body as one item.

    Raises `InvalidArgument` with the place of a value that does not fit the type of the items, and `Refused` (413).
    """
    items = _values_in(body, kept) if is_json(kept) else [body]
    if len(items) > items_max:
        error = ResourceExhausted(f"the body has {len(items)} items; {items_max} are allowed (append_items_max)")
        raise refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
    return items


def _values_in(body: bytes, kept: KeptStream) -> list[Any]:
    cls: Any = Any if kept.item_type is None else kept.item_type
    several = body.lstrip(_SPACE)[:1] == b"["
    whole: Any = list[cls] if several else cls
    try:
        decoded: Any = JSON.decode_for(whole).value(body)
    except UNDECODABLE as error:
        problem = "does not fit the type of the items" if isinstance(error, msgspec.ValidationError) else "is not JSON"
        raise InvalidArgument(f"the body {problem} of {kept.label}: {text_of(error)}") from None
    return decoded if several else [decoded]


def body_of(items: Sequence[msgspec.Raw], kept: KeptStream) -> bytes:
    """Return items as the body of a response: an array of JSON, or the pieces one behind the other."""
    if is_json(kept):
        return JSON.encode([_value(item) for item in items])
    return b"".join(map(piece_of, items))


def piece_of(item: msgspec.Raw) -> bytes:
    """Return the bytes of an item that is a piece; a value that the program has sent into such a stream is there as JSON."""
    value = _value(item)
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else JSON.encode(value)


def event_data(items: Sequence[msgspec.Raw], kept: KeptStream) -> str:
    """Return items as the data of an event: JSON and text as they are, other bytes in base64."""
    body = body_of(items, kept)
    if is_json(kept):
        return body.decode()
    return body.decode(errors="replace") if is_text(kept) else b64encode(body).decode()
