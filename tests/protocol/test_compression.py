"""Compression, bounded on the way out (PROTOCOL.md §11)."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ProtocolError
from penstock.protocol import Settings
from penstock.protocol._compression import DEFLATE, ZSTD, available, compressor, decompress

NAMES = available()


def packed(data: bytes, name: str = "deflate") -> bytes:
    compress = compressor(name, 1, [name])
    assert compress is not None
    segments = compress([data])
    assert segments is not None, "not worth it"
    return b"".join(segments)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return bytes((DEFLATE,)) + packer.compress(data) + packer.flush()


def rule_of(payload: bytes, limit_bytes: int = 1 << 20) -> str | None:
    try:
        decompress(payload, limit_bytes)
    except ProtocolError as error:
        return error.rule
    return None


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(min_size=1, max_size=50), times=st.integers(20, 3000))
def test_a_compressed_payload_comes_back(name, data, times):
    whole = data * times
    assert decompress(packed(whole, name), len(whole)) == whole


def test_the_first_byte_names_the_compression():
    assert packed(bytes(1000), "deflate")[0] == DEFLATE == 2
    if "zstd" in NAMES:
        assert packed(bytes(1000), "zstd")[0] == ZSTD == 1


def test_deflate_is_always_there_and_is_raw():
    assert "deflate" in NAMES
    assert zlib.decompress(packed(b"a" * 1000)[1:], wbits=-15) == b"a" * 1000


@pytest.mark.parametrize(
    ("name", "reads"),
    [(Settings().compression, NAMES), ("deflate", []), ("deflate", ["zstd"])],
)
def test_nothing_is_compressed_unless_it_is_wanted_and_the_peer_can_read_it(name, reads):
    assert compressor(name, 1, reads) is None


def test_a_payload_that_is_small_or_does_not_shrink_stays_as_it_is():
    compress = compressor("deflate", 100, ["deflate"])
    assert compress([b"a" * 99]) is None
    assert compress([b"a" * 50, b"a" * 50]) is not None
    assert compress([bytes(range(256))]) is None


@pytest.mark.parametrize("payload", [b"", b"\0abc", b"\3abc", b"\xff"])
def test_an_unknown_compression_breaks_rule_11_2(payload):
    assert rule_of(payload) == "11.2"


@pytest.mark.parametrize("name", NAMES)
def test_unfinished_data_break_rule_11_3(name):
    whole = packed(b"some data, and some more data" * 20, name)
    for end in range(1, len(whole)):
        assert rule_of(whole[:end]) == "11.3"


@pytest.mark.parametrize("name", NAMES)
def test_bytes_after_the_end_break_rule_11_3(name):
    whole = packed(b"a" * 500, name)
    assert rule_of(whole + b"\0") == "11.3"
    assert rule_of(whole + whole[1:]) == "11.3"


@pytest.mark.parametrize("number", [DEFLATE, *([ZSTD] if "zstd" in NAMES else [])])
@given(junk=st.binary(max_size=200))
def test_junk_breaks_a_rule_and_nothing_else(number, junk):
    assert rule_of(bytes((number,)) + junk, 1000) in {None, "11.3", "11.4"}


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_of_the_limit_passes_and_one_byte_more_breaks_rule_11_4(name):
    whole = packed(bytes(5000), name)
    assert decompress(whole, 5000) == bytes(5000)
    assert rule_of(whole, 4999) == "11.4"


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_not_unpacked_beyond_the_limit(name):
    bomb = packed(bytes(64 * 1024 * 1024), name)
    assert len(bomb) < 400_000
    assert rule_of(bomb, 100_000) == "11.4"


def test_a_bomb_in_a_bomb_is_only_bytes():
    inner = raw_deflate(bytes(10_000_000))
    assert decompress(raw_deflate(inner), 100_000) == inner


@pytest.mark.skipif("zstd" not in NAMES, reason="zstd is an extra")
def test_a_zstd_window_over_32_kib_breaks_rule_11_3():
    frame = bytes.fromhex("28b52ffd" + "00" + "58" + "010000")  # window of 2 MiB, one empty raw block
    assert rule_of(bytes((ZSTD,)) + frame) == "11.3"
