"""What an encoded message holds is seen before it is decoded: the number of its values, the keys of its maps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock._values import NUMBER_KEYS_MAX, SMALL_MAP, bad_key, is_over, large_items, large_maps
from tests.attack.wire import array_head, map_head, pack

encode = msgspec.msgpack.encode
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
keys = st.text() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.none() | st.booleans()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=40) | st.dictionaries(keys, inner, max_size=40))


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(count(key) + count(inner) for key, inner in value.items())
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@given(values)
def test_values_are_counted_exactly_in_msgpack(value):
    """FAULTS H5."""
    padded = encode([value, bytes(100_000)])  # as many bytes as a limit needs to be looked at
    exact = count(value) + 2
    assert not is_over(padded, exact, json=False)
    assert is_over(padded, exact - 1, json=False)


@pytest.mark.parametrize("value", [[], {}, 1, -1, None, True, 1.5, 2**40, -(2**40), "x", b"x", "x" * 40, [1, "a"], {"a": 1.5}])
def test_a_row_of_equal_values_is_counted_exactly(value):
    exact = 1 + 1000 * count(value)
    assert not is_over(encode([value] * 1000), exact, json=False)
    assert is_over(encode([value] * 1000), exact - 1, json=False)


@given(st.lists(st.text(alphabet='a,[{:"\\\\é')), st.text(alphabet=",[]{}", max_size=50))
def test_values_are_counted_in_json_and_what_texts_say_is_none(texts, padding):
    exact = 1 + len(texts) + 1
    encoded = msgspec.json.encode([*texts, padding * 50 + "x" * 1000])
    assert not is_over(encoded, exact, json=True)
    assert is_over(encoded, exact - 2, json=True)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_message_are_left_to_the_decoder(junk):
    is_over(junk, 3, json=False)
    is_over(junk, 3, json=True)
    bad_key(junk)
    large_maps(junk, len(junk))


@given(values)
def test_what_a_program_sends_has_good_keys(value):
    """FAULTS H4."""
    assert bad_key(encode(value)) is None


TUPLES = {(number, -number): number for number in range(SMALL_MAP + 1)}


@pytest.mark.parametrize(
    "value",
    [
        TUPLES,
        [1, {"a": [{"b": TUPLES}], "c": 2}, 3],
        {f"a{number}": TUPLES for number in range(40)},
        {**{str(number): number for number in range(40)}, (1,): 2},
        [{(1, 2): TUPLES}],
        {number: number for number in range(NUMBER_KEYS_MAX + 1)},
    ],
    ids=["arrays", "deep inside", "in another large map", "one among texts", "in a small map", "too many numbers"],
)
def test_keys_that_can_be_chosen_to_hash_alike_are_found_in_large_maps(value):
    encoded = encode(value)
    assert large_maps(encoded, len(encoded))
    assert bad_key(encoded)


@pytest.mark.parametrize(
    "value",
    [
        dict(list(TUPLES.items())[:SMALL_MAP]),
        {str(number): {(1, 2): 3} for number in range(40)},
        {number: number for number in range(NUMBER_KEYS_MAX)},
        {number.to_bytes(3, "big"): number for number in range(NUMBER_KEYS_MAX + 1)},
        [[list(key) for key in TUPLES]],
    ],
    ids=["a small map", "small maps in a large one", "numbers", "bytes", "arrays that are no keys"],
)
def test_other_keys_are_good(value):
    assert bad_key(encode(value)) is None


def test_a_head_in_binary_data_is_no_map():
    assert bad_key(encode([b"\xde\x00\x10" + encode((1, 2)) * 40] * 3)) is None
    assert large_maps(encode({"a": b"\xde\x40\x00"}), 60) == 0  # larger than all that is there
    assert large_maps(map_head(16) + b"".join(pack(number) * 2 for number in range(16)), 40) == 1


def test_a_large_map_is_known_by_its_head():
    items = [map_head(16), b"\xdf\0\0\0\x10", b"\xde\0\x0f\0\0", b"\xdf\0\0\0\x0f", array_head(16) + b"\xde\0\x10"]
    for item in items:
        assert large_items(b"x" + item, [len(item)], 1) == (item in items[:2])
    assert large_items(b"".join(items), map(len, items), 0) == 2
    assert bad_key(b"\xdf\0\0\0\x10" + b"\x91\x01\x01" * 16)
