"""One event as bytes, and the chain of hashes over many events. This module never reads a clock.

The canonical form of an event is one line of JSON without spaces: ``[offset,time,actor,kind,data]``. Its hash is

    SHA-256( hash of the event before it  +  that line )

so the hash covers every part of an event and its place. The hash before the first event of a file is `GENESIS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from penstock._outcomes import shown
from penstock.codec import JSON, UNDECODABLE, finite

#: Bytes of a hash.
HASH_BYTES: Final = 32
GENESIS: Final = hashlib.sha256(b"penstock history 1").digest()

#: A longer event keeps the begin, length and hash of each large value instead of the value, so that a file that is sent over a
#: channel is not stored a second time in the history.
EVENT_BYTES_MAX: Final = 256 * 1024
#: In an event that is too long, a value above this is a large one.
VALUE_BYTES_MAX: Final = 4 * 1024
#: How much is kept of a value that was cut, and of the repr of a value that cannot be encoded.
VALUE_CHARACTERS_MAX: Final = 500
#: How deep a value is searched for the parts that cannot be encoded; below that depth the whole part becomes its repr.
DEPTH_MAX: Final = 16

#: A line break as a number: a search for ``b"\\n"`` takes eight times as long, because Python takes it for a number first.
_LINE_BREAK: Final = 10

#: The keys that mark a replacement of a value.
AS_REPR: Final = "$repr"
AS_CUT: Final = "$cut"


class HistoryEvent(msgspec.Struct, frozen=True):
    """A recorded event of an actor.

    offset: its place in the history, from 0, without gaps.
    time: seconds since 1970, never less than that of the event before it.
    actor: the address of the actor; "" for an event of the history itself.
    kind: one of `penstock.observe.KINDS`, or of `OWN_KINDS`.
    data: a map that depends on the kind. Arguments whose declared type does not say what they hold have the parts marked that
    JSON would change, so that a replay can make them again: ``{"$bytes": "YWI="}``, ``{"$map": [[1, "a"]]}``. A float that
    JSON does not have is ``{"$float": "nan"}`` everywhere. A value that could not be encoded is
    ``{"$repr": text}``, and one that was too long is ``{"$cut": {"bytes": length, "sha256": hash, "begin": text}}``.
    hash: 64 hexadecimal digits, over this event and the hash of the event before it.
    """

    offset: int
    time: float
    actor: str
    kind: str
    data: Any
    hash: str


#: Kinds of events of the history itself, with the keys of their `data`:
#:
#: ============ ================================================================================================
#: unrecorded   events: how many were not recorded just before this one, reason
#: torn         file: the new path of the old history, why: its fault; this history begins after it
#: ============ ================================================================================================
OWN_KINDS: Final = ("unrecorded", "torn")


class EventLine(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event as it is stored; its data are not yet decoded."""

    offset: int
    time: float
    actor: str
    kind: str
    data: msgspec.Raw

    def event(self, digest: bytes) -> HistoryEvent:
        """Decode the data and return the event, whose hash is `digest`. A value that cannot be decoded is marked."""
        try:
            data = _read(self.data)
        except UNDECODABLE:
            data = {key: _readable(part) for key, part in _parts(self.data).items()}
        return HistoryEvent(self.offset, self.time, self.actor, self.kind, data, digest.hex())


_lines = msgspec.json.Decoder(EventLine)
_scan = msgspec.json.Decoder(msgspec.Raw).decode  # it reads the whole line, and makes nothing of it
_read = JSON.decode_for(Any).value
_parts = JSON.decode_for(dict[str, msgspec.Raw]).value
_encode = JSON.encode


def line_of(offset: int, time: float, actor: str, kind: str, data: dict[str, Any]) -> bytes:
    """Return the canonical form of an event whose values JSON has. Raises any error for another one.

    The line is read back: a `msgspec.Raw` goes into it as it is, whatever it holds.
    """
    line = _encode((offset, time, actor, kind, data))
    nulls = line.count(b"null")
    if nulls and (nulls > 1 or data.get("result", 0) is not None):  # it may stand for a float that JSON does not have
        line = _encode((offset, time, actor, kind, finite(data)))
    _check(line)
    return line


def _check(line: bytes) -> None:
    """Raise an error for a line that is not one line, or that cannot be read: only a `msgspec.Raw` can have brought that."""
    if _LINE_BREAK in line:
        raise ValueError("a value brings a line break")
    if not line.isascii():
        line.decode()
    _scan(line)


def _readable(part: msgspec.Raw) -> Any:
    try:
        return _read(part)
    except UNDECODABLE:
        return {AS_REPR: _short_repr(part)}


def encode_event(offset: int, time: float, actor: str, kind: str, data: Any) -> bytes:
    """Return the canonical form of an event. Values that cannot be encoded or are too long are replaced. Never raises."""
    try:
        line = line_of(offset, time, actor, kind, data)
    except Exception:  # noqa: BLE001 - `model_dump` of a value is the user's code
        line = _encode((offset, time, _text(actor), kind, _plain(data, DEPTH_MAX)))
    if len(line) > EVENT_BYTES_MAX:
        line = _encode((offset, time, _text(actor), kind, _shortened(data)))
    return line


def read_line(line: bytes) -> EventLine:
    """Decode one line. Raises `msgspec.MsgspecError` or `UnicodeDecodeError` when it is not an event."""
    return _lines.decode(line)


def read_lines(block: bytes) -> list[EventLine]:
    """Decode the lines of a block. Raises as `read_line` does."""
    return _lines.decode_lines(block)


def chain_hashes(previous: bytes, lines: Iterable[bytes]) -> list[bytes]:
    """Return the hash of each line, chained to the hash `previous` of the event before them."""
    sha256 = hashlib.sha256
    return [previous := sha256(previous + line).digest() for line in lines]


def _plain(value: Any, depth: int) -> Any:
    """Return `value` with each part that cannot be encoded replaced by its marked repr."""
    try:
        encoded = _encode(finite(value))
        _check(b'[0,0,"","",%b]' % encoded)
        return msgspec.Raw(encoded)
    except Exception:  # noqa: BLE001 - as above
        if depth and isinstance(value, dict):
            return {_text(key): _plain(part, depth - 1) for key, part in value.items()}
        if depth and isinstance(value, list | tuple):
            return [_plain(part, depth - 1) for part in value]
    return {AS_REPR: _short_repr(value)}


def _short_repr(value: object) -> str:
    return _text(shown(bytes(value) if isinstance(value, msgspec.Raw) else value))[:VALUE_CHARACTERS_MAX]


def _text(value: object) -> str:
    return shown(value, str).encode("utf-8", "backslashreplace").decode()


def _shortened(data: Any) -> Any:
    """Return shorter data: the small values, and the begin, length and hash of each large one."""
    parts = {_text(key): _encode(_plain(value, DEPTH_MAX)) for key, value in data.items()} if isinstance(data, dict) else {}
    kept = {key: msgspec.Raw(part) if len(part) <= VALUE_BYTES_MAX else _cut(part) for key, part in parts.items()}
    whole = _encode(kept)
    return msgspec.Raw(whole) if parts and len(whole) <= EVENT_BYTES_MAX else _cut(_encode(_plain(data, DEPTH_MAX)))


def _cut(part: bytes) -> dict[str, Any]:
    begin = part[:VALUE_CHARACTERS_MAX].decode("utf-8", "ignore")
    return {AS_CUT: {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest(), "begin": begin}}
