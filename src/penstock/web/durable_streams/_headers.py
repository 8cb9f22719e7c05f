"""The headers of the Durable Streams protocol, as requests have them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from penstock.errors import InvalidArgument
from penstock.web.durable_streams._items import BYTES_TYPE
from penstock.web.durable_streams._producers import NUMBER_MAX, Numbered

#: Characters of a content type, of the id of a producer and of a ``Stream-Seq``: they are kept with the stream.
TEXT_HEADER_MAX: Final = 256

_NUMBER: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_CONTENT_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+\s*(;.*)?", re.ASCII)

#: Headers of requests that pages of another origin may send, and of responses that they may read.
REQUEST_HEADERS: Final = (
    "content-type, authorization, if-none-match, last-event-id, stream-seq, stream-ttl, stream-expires-at, stream-closed, "
    "stream-forked-from, stream-fork-offset, stream-fork-sub-offset, producer-id, producer-epoch, producer-seq"
)
RESPONSE_HEADERS: Final = (
    "stream-next-offset, stream-cursor, stream-up-to-date, stream-closed, stream-error, stream-ttl, stream-expires-at, "
    "stream-sse-data-encoding, producer-epoch, producer-seq, producer-expected-seq, producer-received-seq, etag, location"
)


class ForkWish(NamedTuple):
    """The stream that is to be forked, by its path, and where: at an offset, or at its end, and a part of the next item."""

    path: str
    offset: str | None
    part: int


class Wish(NamedTuple):
    """The stream that a client wants to make. content_type: empty for that of the source of a fork."""

    content_type: str
    idle_s: int | None
    expires: str
    closed: bool
    fork: ForkWish | None


def wish_in(headers: Mapping[str, str]) -> Wish:
    """Return the wish for a stream. Raises `InvalidArgument`."""
    idle, expires = headers.get("stream-ttl"), headers.get("stream-expires-at")
    if idle is not None and expires is not None:
        raise InvalidArgument("a stream has Stream-TTL or Stream-Expires-At, and not both")
    fork = _fork_in(headers)
    given = headers.get("content-type", "").strip()
    usable = len(given) <= TEXT_HEADER_MAX and _CONTENT_TYPE.fullmatch(given) is not None
    return Wish(
        content_type=given if usable else "" if fork else BYTES_TYPE,
        idle_s=None if idle is None else _count("Stream-TTL", idle),
        expires="" if expires is None else _time(expires),
        closed=is_closing(headers),
        fork=fork,
    )


def _fork_in(headers: Mapping[str, str]) -> ForkWish | None:
    path, offset, part = (headers.get(f"stream-fork{name}") for name in ("ed-from", "-offset", "-sub-offset"))
    if path is None:
        if part is not None or offset is not None:
            raise InvalidArgument("Stream-Fork-Offset and Stream-Fork-Sub-Offset need Stream-Forked-From")
        return None
    wanted = 0 if part is None else _count("Stream-Fork-Sub-Offset", part)
    if wanted and offset is None:
        raise InvalidArgument("Stream-Fork-Sub-Offset needs Stream-Fork-Offset")
    return ForkWish(path, offset, wanted)


def is_closing(headers: Mapping[str, str]) -> bool:
    """Whether a request closes its stream; any other value than true counts as none."""
    return headers.get("stream-closed", "").lower() == "true"


def numbered_in(headers: Mapping[str, str]) -> Numbered | None:
    """Return the numbers of a batch; None for one without. Raises `InvalidArgument`."""
    producer, epoch, seq = (headers.get(f"producer-{name}") for name in ("id", "epoch", "seq"))
    if producer is None and epoch is None and seq is None:
        return None
    if producer is None or epoch is None or seq is None:
        raise InvalidArgument("Producer-Id, Producer-Epoch and Producer-Seq come together")
    if not 1 <= len(producer) <= TEXT_HEADER_MAX:
        raise InvalidArgument(f"Producer-Id has 1 to {TEXT_HEADER_MAX} characters")
    return Numbered(producer, _number("Producer-Epoch", epoch), _number("Producer-Seq", seq))


def seq_in(headers: Mapping[str, str]) -> str | None:
    """Return the place of a batch in the writers' own order; None for one without. Raises `InvalidArgument`."""
    seq = headers.get("stream-seq")
    if seq is not None and len(seq) > TEXT_HEADER_MAX:
        raise InvalidArgument(f"Stream-Seq has at most {TEXT_HEADER_MAX} characters")
    return seq


def _number(name: str, text: str) -> int:
    if not _DIGITS.fullmatch(text) or int(text) > NUMBER_MAX:
        raise InvalidArgument(f"{name} is {text!r:.100}; it is a number from 0 to {NUMBER_MAX}")
    return int(text)


def _count(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or len(text) > len(str(NUMBER_MAX)):
        raise InvalidArgument(f"{name} is {text!r:.100}; it is a number, 0 or more, in decimal digits")
    return int(text)


def _time(text: str) -> str:
    """Return a time of RFC 3339, in UTC."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        pass
    raise InvalidArgument(f"Stream-Expires-At is {text!r:.100}; it is a time of RFC 3339, with its time zone")
