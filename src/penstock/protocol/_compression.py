"""Compression of `ITEMS` payloads (PROTOCOL.md §11), bounded when decompressed. The only file that knows zstd and zlib.

A compressed payload starts with one byte that names its compression. zstd comes from the standard library (3.14) or
from the extra `zstd`; deflate (raw, as in browsers) is always available.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from penstock.errors import ProtocolError
from penstock.protocol._frames import Segment

Compress = Callable[[list[Segment]], list[Segment] | None]

ZSTD: Final = 1
DEFLATE: Final = 2
NUMBERS: Final = {"zstd": ZSTD, "deflate": DEFLATE}
#: zstd windows of 32 KiB: the memory that one payload costs the peer beside the payload itself.
ZSTD_WINDOW_LOG: Final = 15


@cache
def _zstd() -> Any:
    """Return the zstd module, or None. It is imported at the first need, so that a plain session does not load it."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _broken() -> tuple[type[Exception], ...]:
    """Return the exceptions that broken compressed data raise."""
    module = _zstd()
    return (zlib.error, ValueError) if module is None else (zlib.error, ValueError, module.ZstdError)


def available() -> list[str]:
    """Return the names of the compressions that this side can read, best first."""
    return ["zstd", "deflate"] if _zstd() is not None else ["deflate"]


def compressor(name: str, threshold_bytes: int, peer_reads: list[str]) -> Compress | None:
    """Return the function that compresses payloads for this peer; None when it is off ("none") or the peer cannot read it.

    The function returns None for a payload below the threshold, or one that does not get smaller.
    """
    if name == "none" or name not in peer_reads or name not in available():
        return None

    def compress(segments: list[Segment]) -> list[Segment] | None:
        size = sum(map(len, segments))
        if size < threshold_bytes:
            return None
        packed = _deflate(b"".join(segments)) if name == "deflate" else _compress_zstd(b"".join(segments))
        return [bytes((NUMBERS[name],)), packed] if len(packed) + 1 < size else None

    return compress


def decompress(payload: bytes | bytearray, limit_bytes: int) -> bytes:
    """Decompress; `ProtocolError` (§11) for data that are unknown, broken, unfinished or larger than `limit_bytes`."""
    number = payload[0] if payload else 0
    try:
        if number == DEFLATE:
            return _inflate(payload, limit_bytes)
        if number == ZSTD and _zstd() is not None:
            return _decompress_zstd(payload, limit_bytes)
    except _broken() as error:
        raise ProtocolError("11.3", f"a payload that does not decompress ({error})") from error
    raise ProtocolError("11.2", f"the unknown compression {number}")


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=-15)
    return packer.compress(data) + packer.flush()


def _inflate(payload: bytes | bytearray, limit_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=-15)
    data = unpacker.decompress(memoryview(payload)[1:], limit_bytes + 1)
    return _complete(data, limit_bytes, exact=unpacker.eof and not unpacker.unused_data)


def _compress_zstd(data: bytes) -> bytes:
    zstd = _zstd()
    options = {zstd.CompressionParameter.compression_level: 1, zstd.CompressionParameter.window_log: ZSTD_WINDOW_LOG}
    packed: bytes = zstd.compress(data, options=options)
    return packed


def _decompress_zstd(payload: bytes | bytearray, limit_bytes: int) -> bytes:
    zstd = _zstd()
    unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})
    data = unpacker.decompress(memoryview(payload)[1:], limit_bytes + 1)
    return _complete(data, limit_bytes, exact=unpacker.eof and not unpacker.unused_data)


def _complete(data: bytes, limit_bytes: int, *, exact: bool) -> bytes:
    if len(data) > limit_bytes:
        raise ProtocolError("11.4", f"a payload over {limit_bytes} bytes when decompressed")
    if not exact:
        raise ProtocolError("11.3", "a compressed payload that is unfinished, or is followed by other bytes")
    return data
