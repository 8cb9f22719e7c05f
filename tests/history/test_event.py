"""An event becomes one line, whatever is in it; the hash covers every part of it and all before it."""

from __future__ import annotations

import asyncio
import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.history._event import EVENT_BYTES_MAX, GENESIS, chain_hashes, encode_event, read_line, read_lines


class Strange:
    def __repr__(self):
        return "<Strange>"


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


class Liar:
    model_validate_json = model_json_schema = None

    def model_dump(self, **_how):
        raise OSError("no dump")


def data_of(value):
    return json.loads(encode_event(7, 1.5, "a", "message", {"value": value}))[4]["value"]


def test_the_line_is_json_without_spaces_in_the_order_of_the_parts():
    assert encode_event(7, 1.5, "a", "message", {"n": 1}) == b'[7,1.5,"a","message",{"n":1}]'


def test_a_line_reads_back():
    event = read_line(encode_event(7, 1.5, "a", "message", {"n": [1, None, "ü"]})).event(b"\x01" * 32)
    assert (event.offset, event.time, event.actor, event.kind) == (7, 1.5, "a", "message")
    assert event.data == {"n": [1, None, "ü"]}
    assert event.hash == "01" * 32


def test_a_value_that_cannot_be_encoded_becomes_its_repr_and_the_others_stay():
    assert data_of([1, Strange(), {"k": Strange()}]) == [1, {"$repr": "<Strange>"}, {"k": {"$repr": "<Strange>"}}]


def test_a_value_without_a_repr_and_one_whose_dump_raises_are_recorded_too():
    assert "Broken" in data_of(Broken())["$repr"]
    assert "Liar" in data_of(Liar())["$repr"]


@pytest.mark.parametrize("raised", [SystemExit(3), asyncio.CancelledError(), KeyError("no dump")])
def test_a_value_whose_code_raises_anything_is_recorded_too(raised):
    """The actor that handles the message goes on."""

    class Exits(Liar):
        def model_dump(self, **_how):
            raise raised

        def __repr__(self):
            raise raised

        __str__ = __repr__

    line = encode_event(1, 0.0, "a", "message", {"args": [Exits()], Exits(): 1})
    assert b"<Exits without a repr>" in line
    assert b"<Exits without a str>" in line


def test_text_that_is_no_utf8_is_recorded_escaped():
    assert data_of("a\ud800")["$repr"] == r"'a\ud800'"
    assert json.loads(encode_event(7, 1.5, "\ud800", "message", {}))[2] == r"\ud800"


def test_a_value_that_holds_itself_ends():
    loop: list = []
    loop.append(loop)
    assert encode_event(7, 1.5, "a", "message", {"loop": loop})


def test_a_number_too_large_for_json_is_recorded_as_its_repr():
    assert data_of(1 << 80) in ({"$repr": str(1 << 80)}, 1 << 80)


def test_a_long_event_keeps_its_small_values_and_the_begin_and_hash_of_the_large():
    large = "y" * EVENT_BYTES_MAX
    line = encode_event(7, 1.5, "a", "message", {"n": 3, "args": [large]})
    assert len(line) < EVENT_BYTES_MAX
    data = json.loads(line)[4]
    encoded = json.dumps([large], separators=(",", ":")).encode()
    assert data["n"] == 3
    assert data["args"]["$cut"]["bytes"] == len(encoded)
    assert data["args"]["$cut"]["sha256"] == hashlib.sha256(encoded).hexdigest()
    assert data["args"]["$cut"]["begin"].startswith('["yyy')


def test_an_event_of_very_many_values_is_cut_as_a_whole():
    line = encode_event(7, 1.5, "a", "message", {str(n): "z" * 1000 for n in range(1000)})
    assert len(line) < EVENT_BYTES_MAX
    assert json.loads(line)[4]["$cut"]["bytes"] > EVENT_BYTES_MAX


def test_a_newline_in_a_value_does_not_end_the_line():
    lines = [encode_event(n, 1.5, "a\nb", "log", {"text": "one\ntwo"}) for n in range(3)]
    block = b"\n".join(lines)
    assert block.count(b"\n") == 2
    assert [line.offset for line in read_lines(block)] == [0, 1, 2]


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line), min_size=1, max_size=8))
def test_each_hash_is_of_the_hash_before_and_the_line(lines):
    previous = GENESIS
    for line, digest in zip(lines, chain_hashes(GENESIS, lines), strict=True):
        previous = hashlib.sha256(previous + line).digest()
        assert digest == previous


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=8))
def test_json_values_survive(value):
    assert data_of(value) == value or "$repr" in json.dumps(data_of(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"\x00\xff", {1, 2}, (1, 2)])
def test_other_values_have_a_form(value):
    assert encode_event(7, 1.5, "a", "message", {"value": value})


VERBATIM = {
    "msgpack": b"\x81\xa1a\x01",
    "a line break": b'{"a":\n1}',
    "no UTF-8": b'"\xff"',
    "the end of the line": b'1]]\n[8,1.5,"b","stopped",[',
    "cut": b'"abc',
    "empty": b"",
}


@pytest.mark.parametrize("raw", VERBATIM.values(), ids=VERBATIM)
@pytest.mark.parametrize("place", [lambda raw: raw, lambda raw: [1, {"k": raw}]], ids=["alone", "inside"])
def test_bytes_that_go_into_json_as_they_are_do_not_break_it(raw, place):
    """A `msgspec.Raw` is copied by the encoder, whatever it holds: one of a peer stopped the recording of all actors."""
    line = encode_event(7, 1.5, "a", "message", {"n": 1, "value": place(msgspec.Raw(raw))})
    assert json.loads(line)[4]["n"] == 1
    assert b"\n" not in line
    assert "$repr" in line.decode()
    assert read_line(line).event(b"").data["n"] == 1


def test_a_raw_that_is_json_is_kept():
    assert data_of(msgspec.Raw(b'{"a":1}')) == {"a": 1}


def test_a_value_that_is_json_and_cannot_be_decoded_is_marked_when_it_is_read():
    event = read_line(encode_event(7, 1.5, "a", "message", {"n": 1, "value": msgspec.Raw(b"1e999")})).event(b"")
    assert event.data == {"n": 1, "value": {"$repr": "b'1e999'"}}


def test_a_key_without_a_text_is_recorded_too():
    class Textless:
        def __str__(self):
            raise OSError("no text")

    assert "Textless" in encode_event(7, 1.5, "a", "reply", {"n": 1, "result": {Textless(): 1}}).decode()


class Box(msgspec.Struct):
    held: float | None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_a_float_that_json_does_not_have_is_not_taken_for_none(value):
    marked = {"$float": str(value)}
    assert data_of(value) == marked
    assert data_of([None, {"k": Box(value)}, Box(None)]) == [None, {"k": {"held": marked}}, {"held": None}]
    assert json.loads(encode_event(7, 1.5, "a", "reply", {"n": 1, "result": value}))[4] == {"n": 1, "result": marked}
    assert json.loads(encode_event(7, 1.5, "a", "reply", {"n": 1, "result": None}))[4] == {"n": 1, "result": None}
