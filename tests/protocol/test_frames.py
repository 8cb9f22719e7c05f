"""Layouts, byte by byte (PROTOCOL.md §1)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock._texts import TEXT_MAX, peer_text
from penstock.protocol._frames import (
    BODIES,
    CONNECTION_TYPES,
    FLAGS,
    HEADER_BYTES,
    ITEMS_HEADER,
    ITEMS_PREFIX_BYTES,
    MAX_NUMBER,
    Accept,
    Ack,
    CallKind,
    Cancel,
    Credit,
    End,
    FrameType,
    GoAway,
    Hello,
    Open,
    Ping,
    Resumed,
    Status,
    decode_body,
    encode_frame,
)
from tests.protocol.kit import encode

#: What an attacker says to the people at the other side.
EVIL = "bye\n2026-11-30 CRITICAL forged\x1b[2J" + "x" * 60_000

numbers = st.integers(0, MAX_NUMBER)
octets = st.integers(0, 255)
text = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | numbers | text | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
bodies = st.one_of(
    st.builds(
        Hello, text, numbers, st.integers(2**14), *[st.integers(2**10)] * 2, numbers, st.lists(text), text, numbers, st.binary()
    ).filter(lambda hello: max(hello.max_frame_bytes, hello.max_item_bytes, hello.max_header_bytes) < 2**64),
    st.builds(
        Open,
        text,
        st.integers(0, 3),
        octets,
        numbers,
        numbers,
        st.none() | st.binary(max_size=50),
        st.dictionaries(text, text, max_size=3),
        st.none() | numbers,
        st.integers(0, 2),
        st.integers(0, 2**64 - 1),
        numbers,
        numbers,
    ),
    st.builds(Accept, numbers, numbers, numbers, numbers),
    st.builds(Credit, numbers, numbers, numbers),
    st.builds(End, numbers),
    st.builds(
        Status,
        octets,
        text,
        text,
        st.dictionaries(text, values, max_size=3).map(encode).map(msgspec.Raw),
        st.booleans(),
        numbers,
    ),
    st.builds(Cancel, octets, text, text),
    st.builds(Ping, numbers),
    st.builds(GoAway, numbers, octets, text),
    st.builds(Resumed, octets, numbers, text),
    st.builds(Ack, numbers),
)


def test_a_header_is_fourteen_bytes_big_endian():
    whole = encode_frame(FrameType.PING, 0x80, 0, Ping(7))
    assert HEADER_BYTES == 14
    assert whole.hex() == "00000002" + "09" + "80" + "0000000000000000" + "9107"


def test_items_put_offset_and_count_before_their_payload():
    head = ITEMS_HEADER.pack(12, FrameType.ITEMS, 0, 3, 5, 2)
    assert ITEMS_PREFIX_BYTES == 12
    assert head.hex() == "0000000c" + "04" + "00" + "0000000000000003" + "0000000000000005" + "00000002"


@given(body=bodies)
def test_a_body_is_read_as_it_was_written(body):
    kind = next(number for number, known in BODIES.items() if known is type(body))
    assert decode_body(kind, encode(body)) == harmless(body)


@given(body=bodies, extra=values)
def test_fields_behind_the_known_ones_are_ignored(body, extra):
    kind = next(number for number, known in BODIES.items() if known is type(body))
    longer = [*msgspec.structs.astuple(body), extra, extra]
    assert decode_body(kind, encode(longer)) == harmless(body)


def harmless(body):
    field = "reason" if isinstance(body, End) else "message"
    text = getattr(body, field, None)
    return msgspec.structs.replace(body, **{field: peer_text(text)}) if text else body


@pytest.mark.parametrize(
    "body", [GoAway(0, 13, EVIL), Status(5, "not_found", EVIL), Cancel(1, "cancelled", EVIL), End(0, EVIL)]
)
def test_a_text_of_a_peer_arrives_in_one_line_and_cut(body):
    """FAULTS H8: it cannot steer a terminal, forge a line of a log, or fill one."""
    kind = next(number for number, known in BODIES.items() if known is type(body))
    read = decode_body(kind, encode(body))
    text = read.reason if isinstance(read, End) else read.message
    assert text.startswith(r"bye\n2026-11-30 CRITICAL forged\x1b[2Jxxx")
    assert text.isprintable()
    assert len(text) == TEXT_MAX


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: FrameType(kind).name)
def test_fields_with_a_default_may_be_left_out(kind):
    fields = msgspec.structs.fields(BODIES[kind])
    required = [field for field in fields if field.required]
    sample = {"magic": "penstock", "target": "S/m", "token": b"", "compressions": [], "streams": []}
    least = [sample.get(field.name, 0 if not field.name.startswith("max_") else 2**14) for field in required]
    if kind != FrameType.CANCEL:
        assert decode_body(kind, encode(least))
        with pytest.raises(msgspec.ValidationError):
            decode_body(kind, encode(least[:-1]))
    else:
        assert decode_body(kind, encode([])) == Cancel(1, "cancelled", "")


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1, 2**64 - 1, 1.0, "1", None])
def test_a_number_that_not_every_language_can_count_with_is_refused(number):
    with pytest.raises(msgspec.ValidationError):
        decode_body(FrameType.CREDIT, encode([number, 0, 0]))


def test_every_type_is_either_of_the_connection_or_of_a_stream():
    assert set(FLAGS) == set(map(int, FrameType)) == {*BODIES, FrameType.ITEMS}
    assert {FrameType(kind).name for kind in CONNECTION_TYPES} == {
        "HELLO",
        "PING",
        "PONG",
        "GOAWAY",
        "RESUMED",
        "ACK",
    }


@pytest.mark.parametrize(
    ("kind", "requests", "responses"), [(0, False, False), (1, True, False), (2, False, True), (3, True, True)]
)
def test_a_kind_is_two_bits(kind, requests, responses):
    opened = Open("S/m", kind, 0, 0, 0)
    assert (opened.streams_requests, opened.streams_responses) == (requests, responses)


@pytest.mark.parametrize("kind", [CallKind.UNARY, CallKind.CLIENT_STREAMING, CallKind.SERVER_STREAMING, CallKind.BIDIRECTIONAL])
def test_a_kind_travels_as_its_number_and_is_found_by_its_label(kind):
    opened = Open("S/m", kind, 0, 0, 0)
    assert encode(opened) == encode(Open("S/m", int(kind), 0, 0, 0))
    assert opened.streams_requests == kind.label.startswith(("client", "bi"))
    assert CallKind.labelled(kind.label) is kind


def test_an_unknown_label_is_refused_with_the_four_there_are():
    with pytest.raises(ValueError, match="'both'; it is one of unary, client_streaming, server_streaming, bidirectional"):
        CallKind.labelled("both")
