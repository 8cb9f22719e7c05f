"""One event as bytes, and the chain of hashes over many. This module never touches a file or a clock.

The canonical form of an event is one line of JSON without spaces: ``[offset,time,actor,kind,data]``. Its hash is

    SHA-256( hash of the event before it  +  that line )

so every part of an event, and its place, is under the hash. The hash before the first event of a file is `GENESIS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from penstock.codec import JSON

#: Bytes of a hash.
HASH_BYTES: Final = 32
GENESIS: Final = hashlib.sha256(b"penstock history 1").digest()

#: A longer event keeps the begin, length and hash of its large values instead of the values: a file that is sent over a
#: channel is not stored once more in the history.
EVENT_BYTES_MAX: Final = 256 * 1024
#: In an event that is too long, values above this are the large ones.
VALUE_BYTES_MAX: Final = 4 * 1024
#: How much is kept of a value that was cut, and of the repr of one that cannot be encoded.
KEPT_CHARACTERS: Final = 500
#: How deep values that cannot be encoded are looked for; below it the whole value becomes its repr.
DEPTH_MAX: Final = 16

#: The keys that mark what is not the value itself.
AS_REPR: Final = "$repr"
AS_CUT: Final = "$cut"


class HistoryEvent(msgspec.Struct, frozen=True):
    """Something that happened to an actor, as it was recorded.

    offset: its place in the history, from 0, without gaps. time: seconds since 1970, never less than the event's before.
    actor: its address, "" for the history itself. kind: one of `penstock.observe.KINDS`, or of `OWN_KINDS`.
    data: as the kind says. What could not be encoded is ``{"$repr": text}``, what was too long is ``{"$cut": {…}}``.
    hash: of this event and, through the one before it, of all before it; 64 hexadecimal digits.
    """

    offset: int
    time: float
    actor: str
    kind: str
    data: Any
    hash: str


#: What happens to the history itself; `data` of each is a map:
#:
#: ============ ================================================================================================
#: unrecorded   events: how many were not recorded just before this one, reason
#: torn         file: where the old history was put, why: what is wrong with it; this history begins after it
#: ============ ================================================================================================
OWN_KINDS: Final = ("unrecorded", "torn")


class EventLine(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event as it is written, its data not yet read."""

    offset: int
    time: float
    actor: str
    kind: str
    data: msgspec.Raw

    def event(self, digest: bytes) -> HistoryEvent:
        """Read the data too."""
        return HistoryEvent(self.offset, self.time, self.actor, self.kind, _read(self.data), digest.hex())


_lines = msgspec.json.Decoder(EventLine)
_read = JSON.decode_for(Any).value
_encode = JSON.encode


def encode_event(offset: int, time: float, actor: str, kind: str, data: Any) -> bytes:
    """Return the canonical form of an event, whatever its data are. Never raises."""
    try:
        line = _encode((offset, time, actor, kind, data))
    except Exception:  # noqa: BLE001 - `model_dump` of a value is the user's code
        line = _encode((offset, time, _text(actor), kind, _plain(data, DEPTH_MAX)))
    if len(line) > EVENT_BYTES_MAX:
        line = _encode((offset, time, _text(actor), kind, _shortened(data)))
    return line


def read_line(line: bytes) -> EventLine:
    """Read one line; raises `msgspec.MsgspecError` or `UnicodeDecodeError` for one that is none."""
    return _lines.decode(line)


def read_lines(block: bytes) -> list[EventLine]:
    """Read the lines of a block; raises as `read_line`."""
    return _lines.decode_lines(block)


def chain_hashes(previous: bytes, lines: Iterable[bytes]) -> list[bytes]:
    """Chain lines to the hash before them and return the hash of each."""
    sha256 = hashlib.sha256
    return [previous := sha256(previous + line).digest() for line in lines]


def _plain(value: Any, depth: int) -> Any:
    """Return `value` with what cannot be encoded as its repr, marked."""
    try:
        return msgspec.Raw(_encode(value))
    except Exception:  # noqa: BLE001 - as above
        if depth and isinstance(value, dict):
            return {_text(key): _plain(part, depth - 1) for key, part in value.items()}
        if depth and isinstance(value, list | tuple):
            return [_plain(part, depth - 1) for part in value]
    return {AS_REPR: _short_repr(value)}


def _short_repr(value: object) -> str:
    try:
        return _text(repr(value))[:KEPT_CHARACTERS]
    except Exception:  # noqa: BLE001 - `__repr__` is the user's code
        return f"<{type(value).__qualname__} without a repr>"


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


def _shortened(data: Any) -> Any:
    """Return what is kept of data that are too long: what is small, and the begins of what is large."""
    parts = {str(key): _encode(_plain(value, DEPTH_MAX)) for key, value in data.items()} if isinstance(data, dict) else {}
    kept = {key: msgspec.Raw(part) if len(part) <= VALUE_BYTES_MAX else _cut(part) for key, part in parts.items()}
    whole = _encode(kept)
    return msgspec.Raw(whole) if parts and len(whole) <= EVENT_BYTES_MAX else _cut(_encode(_plain(data, DEPTH_MAX)))


def _cut(part: bytes) -> dict[str, Any]:
    begin = part[:KEPT_CHARACTERS].decode("utf-8", "ignore")
    return {AS_CUT: {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest(), "begin": begin}}
