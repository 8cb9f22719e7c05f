"""Bytes to frames, in any pieces (PROTOCOL.md §1)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ProtocolError
from penstock.protocol._decoder import HANDSHAKE_BYTES, READ_BYTES, FrameDecoder
from penstock.protocol._frames import CONNECTION_TYPES, FLAGS, HEADER, HEADER_BYTES, IGNORABLE, FrameType
from tests.protocol.kit import ample, frame

Result = tuple[list[tuple[int, int, int, bytes]], str | None]


def decode(pieces: list[bytes], limit_bytes: int | None = None) -> Result:
    """Feed the pieces; return the frames and the rule that was broken, if one was."""
    decoder = FrameDecoder(ample())
    if limit_bytes is not None:
        decoder.grow(limit_bytes)
    found: list[tuple[int, int, int, bytes]] = []
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            room = decoder.get_buffer()
            part, rest = rest[: len(room)], rest[len(room) :]
            room[: len(part)] = part
            decoder.buffer_updated(len(part))
            try:
                while (seen := decoder.next_frame()) is not None:
                    found.append((*seen[:3], bytes(seen[3])))
            except ProtocolError as error:
                return found, error.rule
    return found, None


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(edge % (len(data) + 1) for edge in at)})
    return [data[a:b] for a, b in pairwise(edges)]


@st.composite
def legal_frames(draw) -> tuple[int, int, int, bytes]:
    kind = draw(st.sampled_from(list(FrameType)))
    flags = draw(st.integers(0, 255)) & (FLAGS[kind] | IGNORABLE)
    stream = 0 if kind in CONNECTION_TYPES else draw(st.integers(1, 2**64 - 1))
    return int(kind), flags, stream, draw(st.binary(max_size=300))


def write(seen: tuple[int, int, int, bytes]) -> bytes:
    kind, flags, stream, body = seen
    return frame(kind, body, flags=flags, stream=stream)


@given(sent=st.lists(legal_frames(), max_size=8), at=st.lists(st.integers(0), max_size=10))
def test_frames_are_the_same_in_any_pieces(sent, at):
    data = b"".join(map(write, sent))
    assert decode([data]) == decode([bytes((octet,)) for octet in data]) == decode(cut(data, at)) == (sent, None)


@given(sent=st.lists(legal_frames(), max_size=3), junk=st.binary(max_size=80), at=st.lists(st.integers(0), max_size=5))
def test_junk_breaks_the_same_rule_in_any_pieces(sent, junk, at):
    data = b"".join(map(write, sent)) + junk
    whole = decode([data])
    assert whole == decode([bytes((octet,)) for octet in data]) == decode(cut(data, at))
    assert whole[0][: len(sent)] == sent  # what came before the junk counts


@given(size=st.integers(0, 300_000), at=st.lists(st.integers(0), max_size=4))
def test_a_frame_larger_than_the_memory_is_read(size, at):
    data = frame(FrameType.OPEN, bytes(size), stream=1) + frame(FrameType.PING, b"\x91\x01")
    seen, rule = decode(cut(data, at), limit_bytes=300_000)
    assert rule is None
    assert [len(body) for *_, body in seen] == [size, 2]


@pytest.mark.parametrize("limit_bytes", [HANDSHAKE_BYTES - HEADER_BYTES, 20_000])
def test_a_frame_of_the_limit_passes_and_one_byte_more_breaks_rule_1_2(limit_bytes):
    grown = limit_bytes if limit_bytes > HANDSHAKE_BYTES else None
    assert decode([frame(1, bytes(limit_bytes))], grown)[1] is None
    assert decode([frame(1, bytes(limit_bytes + 1))[:HEADER_BYTES]], grown) == ([], "1.2")


def test_a_length_is_judged_before_a_byte_of_the_body_arrives():
    assert decode([HEADER.pack(2**32 - 1, FrameType.HELLO, 0, 0)]) == ([], "1.2")


def test_a_long_length_alone_takes_no_memory():
    decoder = FrameDecoder(ample())
    decoder.grow(16 * 1024 * 1024)
    room = decoder.get_buffer()
    room[:HEADER_BYTES] = HEADER.pack(16 * 1024 * 1024, FrameType.OPEN, 0, 1)
    decoder.buffer_updated(HEADER_BYTES)
    assert decoder.next_frame() is None
    assert len(decoder.get_buffer()) < READ_BYTES


def test_before_the_handshake_a_connection_costs_four_kibibytes():
    assert len(FrameDecoder(ample()).get_buffer()) == HANDSHAKE_BYTES


def test_the_bytes_of_an_unfinished_frame_are_counted():
    decoder = FrameDecoder(ample())
    decoder.get_buffer()[:5] = b"\0\0\0\5\1"
    decoder.buffer_updated(5)
    assert decoder.next_frame() is None
    assert decoder.buffered == 5


@pytest.mark.parametrize("kind", [0, 14, 99, 255])
def test_an_unknown_type_breaks_rule_1_4_unless_it_may_be_ignored(kind):
    assert decode([frame(kind, b"x")]) == ([], "1.4")
    ignorable = [frame(kind, b"x", flags=IGNORABLE | flags, stream=stream) for flags in (0, 0x7F) for stream in (0, 7)]
    assert decode([*ignorable, frame(FrameType.PING, b"y")]) == ([(FrameType.PING, 0, 0, b"y")], None)


@pytest.mark.parametrize("kind", FrameType, ids=lambda kind: kind.name)
def test_a_flag_that_a_type_may_not_carry_breaks_rule_1_5(kind):
    stream = 0 if kind in CONNECTION_TYPES else 1
    for bit in (1 << n for n in range(7)):
        assert decode([frame(kind, flags=bit, stream=stream)])[1] == (None if FLAGS[kind] & bit else "1.5")


@pytest.mark.parametrize("kind", FrameType, ids=lambda kind: kind.name)
def test_stream_zero_is_for_the_connection_and_nothing_else(kind):
    wrong = 1 if kind in CONNECTION_TYPES else 0
    assert decode([frame(kind, stream=wrong)]) == ([], "1.5")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3abc", "TLS"),
    ],
)
def test_another_protocol_is_recognised_and_named(data, word):
    decoder = FrameDecoder(ample())
    decoder.get_buffer()[: len(data)] = data
    decoder.buffer_updated(len(data))
    with pytest.raises(ProtocolError, match=word):
        decoder.next_frame()


@pytest.mark.parametrize(("start", "words"), [(b"\x15\x03\x03\x00\x02", "speaks TLS"), (b"HTTP", "speaks HTTP")])
def test_another_protocol_is_known_by_its_first_four_bytes(start, words):
    """A TLS alert is shorter than a header, and whoever sent it waits (FAULTS G6)."""
    decoder = FrameDecoder(ample())
    view = decoder.get_buffer()
    view[: len(start)] = start
    decoder.buffer_updated(len(start))
    with pytest.raises(ProtocolError, match=words):
        decoder.next_frame()
