"""What is fuzzed: functions of bytes, which return for good and bad input alike, and raise when something must not happen.

======== =========================================================================================================
decoder  frames from bytes: what is understood does not depend on the pieces
machine  a server that greets, calls, answers, and resumes a session by its token (PROTOCOL.md, all sections)
resume   a client that takes its session up again, and hears any answer
codec    values of several types from msgpack and JSON; their count before they are decoded
manifest a TOML text
url      a URL of each scheme
======== =========================================================================================================
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

import penstock
from penstock._values import is_over
from penstock.codec import JSON, MSGPACK, UNDECODABLE
from penstock.errors import InvalidArgument
from penstock.node import read_manifest
from penstock.protocol._frames import HEADER, HEADER_BYTES
from penstock.transports._url import host_and_port, name_of, path_of
from tests.laws.test_fuzz import CORPUS, RETURNS, come_back, listen, play
from tests.protocol.kit import hello

#: An input up to this size is also read byte by byte.
SHORT_BYTES: Final = 300
#: Into which pieces the first byte of an input cuts the rest.
SIZES: Final = (1 << 20, 1, 7, 33)


class Colour(StrEnum):
    RED = "red"


class Inner(msgspec.Struct, tag="inner"):
    number: int
    name: str = ""


class Outer(msgspec.Struct, tag="outer"):
    inner: Inner | None = None
    many: list[float] = []
    by_name: dict[str, int] = {}
    colour: Colour = Colour.RED
    data: bytes = b""


KINDS: Final[tuple[Any, ...]] = (
    Any,
    Outer,
    Inner | Outer,
    list[int | str],
    dict[str, list[Any]],
    tuple[int, bool],
    bytes,
    float,
)


def decoder(data: bytes) -> None:
    """Read frames whole and in pieces."""
    whole = listen(data, 1 << 20)
    for size in (1, 13) if len(data) < SHORT_BYTES else (13,):
        if listen(data, size) != whole:
            raise AssertionError(f"in pieces of {size}: {listen(data, size)}, whole: {whole}")


def machine(data: bytes) -> None:
    """Let a server that calls and answers read bytes after a greeting, or without one."""
    how, rest = (data[0], data[1:]) if data else (0, b"")
    play((hello() if how & 4 else b"") + rest, SIZES[how & 3])


def resume(data: bytes) -> None:
    """Let a client that comes back read bytes."""
    how, rest = (data[0], data[1:]) if data else (0, b"")
    come_back((hello(keep_ms=9, token=b"new") if how & 4 else b"") + rest, SIZES[how & 3])


def codec(data: bytes) -> None:
    """Decode bytes as a value of some type; a value that comes out can be encoded, and is the same after that."""
    how, rest = (data[0], data[1:]) if data else (0, b"")
    form, kind = (JSON, MSGPACK)[how & 1], KINDS[(how >> 1) % len(KINDS)]
    over = is_over(rest, 100, json=form is JSON)
    decode = form.decode_for(kind)
    try:
        value = decode.value(rest)
    except UNDECODABLE:
        return
    if over and _count(value) * 8 < 100:
        raise AssertionError(f"{value!r} was counted as more than 100 values")
    try:
        again = form.encode(value)
    except (TypeError, ValueError, OverflowError):  # such as a NaN in JSON
        return
    if form is MSGPACK and form.encode(decode.value(again)) != again:
        raise AssertionError(f"{value!r} is another value after a second way")


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(_count(key) + _count(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return 1 + sum(map(_count, value))
    if isinstance(value, msgspec.Struct):
        return 1 + sum(_count(part) for part in msgspec.structs.astuple(value))
    return 1 + len(value) if isinstance(value, str | bytes) else 1


def manifest(data: bytes) -> None:
    """Read a manifest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.toml"
        path.write_bytes(data)
        try:
            read_manifest(path)
        except InvalidArgument as error:
            if not error.message.isprintable():
                raise AssertionError(f"{error.message!r} would write to a terminal or log") from None


def url(data: bytes) -> None:
    """Read a URL in each way."""
    text = data.decode("utf-8", "surrogateescape")
    for read in (host_and_port, name_of, path_of):
        try:
            read(text)
        except penstock.InvalidArgument as error:
            if not error.message.isprintable():
                raise AssertionError(f"{error.message!r} would write to a terminal or log") from None


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    one.__name__: one for one in (decoder, machine, resume, codec, manifest, url)
}

_MANIFEST: Final = b"""name = "counter"
actor = "counter.py:Counter"
listen = ["tcp://127.0.0.1:0"]
[args]
start = 5
[limits]
mailbox = 10
overflow = "reject"
[supervision]
restarts = 3
"""
#: What each target begins with, besides what was found and kept in `corpus/`.
SEEDS: Final[dict[str, list[bytes]]] = {
    "decoder": list(CORPUS.values()),
    "machine": [bytes([size]) + data for size, data in enumerate(CORPUS.values())]
    + [b"\x04" + data for data in CORPUS.values()],
    "resume": [bytes([0]) + data for data in RETURNS.values()] + [b"\x04" + data for data in RETURNS.values()],
    "codec": [
        bytes([2 * kind + form]) + encoded
        for kind in range(len(KINDS))
        for form, encode in enumerate((JSON.encode, MSGPACK.encode))
        for encoded in map(encode, (Outer(Inner(1, "a"), [1.5], {"a": 1}), [1, "a"], {"a": [None, True]}, 2**53, [1, False]))
    ],
    "manifest": [_MANIFEST],
    "url": [b"tcp://127.0.0.1:80", b"unix:///tmp/a%20b", b"memory://name", b"tls://[::1]:443", b"sim://a@b"],
}


def frames_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the frames of an input as headers and bodies, as far as their lengths fit."""
    found, at = [], 0
    while len(data) - at >= HEADER_BYTES:
        length = HEADER.unpack_from(data, at)[0]
        body = data[at + HEADER_BYTES : at + HEADER_BYTES + length]
        found.append((data[at : at + HEADER_BYTES], body))
        at += HEADER_BYTES + length
    return found


def mended(data: bytes) -> bytes:
    """Return an input whose frames have the lengths of their bodies again."""
    return b"".join(HEADER.pack(len(body), *HEADER.unpack(head)[1:]) + body for head, body in frames_of(data))
