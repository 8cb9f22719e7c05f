"""What an encoded message holds is seen before it is decoded: the number of its values, the keys of its maps."""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import _values
from penstock._values import (
    NUMBER_KEYS_MAX,
    SLOW_VALUES,
    SMALL_MAP,
    bad_key,
    is_over,
    large_items,
    large_maps,
    objects_bytes,
    values_of,
)
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


SMALL = {
    "two sizes": b"\x00\xcc\x80",
    "lists and bytes": b"\x90\xc4\x00",
    "texts and floats": b"\xd9\x00\xcb" + bytes(8),
    "lengths of two bytes": b"\xc5\x00\x00\xda\x00\x00",
    "lengths of four bytes": b"\xc6\0\0\0\0\xdb\0\0\0\0",
    "extensions": b"\xd4\x7f\x00\xc7\x00\x7f",
    "arrays and maps": b"\xdc\0\0\xdf\0\0\0\0",
}


@pytest.mark.parametrize("values", SMALL.values(), ids=SMALL.keys())
def test_no_more_values_are_looked_at_than_the_limit(values, monkeypatch):
    """A frame of 2 KB was a million values, which took 0.6 s to count."""
    looks = []
    many = _values._VALUES

    class Counted:
        def match(self, payload: bytes, at: int) -> re.Match[bytes] | None:
            looks.append(at)
            return many.match(payload, at)

    monkeypatch.setattr(_values, "_VALUES", Counted())
    assert is_over(array_head(1_000_000) + values * 500_000, 10_000, json=False)
    assert 0 < len(looks) <= 10_000 // 64 + 2


@pytest.mark.parametrize("values", [*SMALL.values(), encode(1.5), encode("x" * 20), encode([1, [2, "a"]]), b"\x81\x01\x02"])
@pytest.mark.parametrize("parts", [63, 64, 65, 200])
def test_values_are_counted_alike_one_by_one_and_many_at_a_time(values, parts, monkeypatch):
    encoded = bytes(100) + values * parts
    together = [is_over(encoded, limit, json=False) for limit in range(100, len(encoded))]
    monkeypatch.setattr(_values, "_VALUES", re.compile(b"(?!)"))
    assert together == [is_over(encoded, limit, json=False) for limit in range(100, len(encoded))]


@pytest.mark.parametrize("values", [*SMALL.values(), encode([1, [2, "a"]]), encode({"a": 1})])
@pytest.mark.parametrize("parts", [60, 64, 300])
def test_a_bad_key_behind_many_values_is_found(values, parts):
    numbers = list(range(NUMBER_KEYS_MAX + 1))
    bad = map_head(len(numbers)) + b"".join(encode(number) + b"\x00" for number in numbers)
    whole = len(list(values_of(values * parts, 0)))
    assert bad_key(array_head(whole + 1) + values * parts + bad) is not None
    assert bad_key(array_head(whole + 1) + values * parts + b"\x00") is None


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        (b"\xd6\x7f\0\0\0\1", SLOW_VALUES),
        (b"\xd8\x01" + bytes(16), SLOW_VALUES),
        (b"\xc7\x01\x7f\x00", SLOW_VALUES),
        (b"\xc9\0\0\0\1\x05\x00", SLOW_VALUES),
        (b"\xd6\xff\0\0\0\1", 1),
        (b"\xd7\xff" + bytes(8), 1),
        (b"\xc7\x0c\xff" + bytes(12), 1),
        (b"\xc5\x00\x01a", SLOW_VALUES),
        (b"\xdb\x00\x00\x00\x01a", SLOW_VALUES),
        (b"\xc5\x01\x00" + bytes(256), 1),
        (b"\xdb\x00\x01\x00\x00" + b"a" * 65_536, 1),
        (b"\xd9\x01a", 1),
    ],
)
def test_a_value_that_takes_longer_counts_as_several(value, counts):
    encoded = array_head(200) + value * 200
    assert not is_over(encoded, 200 * counts + 1, json=False)
    assert is_over(encoded, 200 * counts, json=False)


@pytest.mark.parametrize("text", ['\\"', "\\\\", ",", "\\n,", '\\\\\\",'])
def test_texts_with_many_escapes_are_one_value(text):
    """JSON of 16 MiB of empty texts took 2.6 s to count."""
    long = b'["' + text.encode() * 3000 + b'"'
    assert not is_over(long + b"]", 3, json=True)
    assert is_over(long + b",1" * 3 + b"]", 3, json=True)
    assert is_over(b"[" + b'"",' * 3000 + b'""]', 2000, json=True)


@given(st.lists(values, max_size=5))
def test_values_in_a_row_are_parted(items):
    encoded = list(map(encode, items))
    assert list(values_of(b"x" + b"".join(encoded), 1)) == encoded
    assert list(values_of(b"\xc1\x92\xc1\x01\xc1", 0)) == [b"\xc1", b"\x92\xc1\x01", b"\xc1"]


@pytest.mark.parametrize("cut", [b"\x91", b"\xc4\x02a", b"\xdc\x00", b"\xde\x00\x10" + b"\x01" * 31, b"\x01\xcd\x00"])
def test_a_value_that_is_cut_off_is_not_one_of_them(cut):
    with pytest.raises(ValueError, match="cut off"):
        list(values_of(cut, 0))


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


def test_bytes_that_look_like_large_maps_are_found_once():
    """An item of 16 MiB of them took 5 s and a gigabyte."""
    assert large_maps(b"\xde" * 1_000_000, 1_000_000) == 1
    assert large_maps(b"\xde" * 1_000_000, 1_000_000, 5) == 5


@given(st.lists(st.sampled_from(b"\xde\xdf\x00\x0f\x10\x40\x01\xff"), max_size=40).map(bytes), st.integers(0, 200_000))
def test_no_head_of_a_large_map_is_missed_also_inside_of_another(junk, longest):
    sizes = {0xDE: 2, 0xDF: 4}
    counts = [
        int.from_bytes(junk[at + 1 : at + 1 + sizes[head]], "big")
        for at, head in enumerate(junk)
        if head in sizes and at + sizes[head] < len(junk)
    ]
    assert large_maps(junk, longest, 100) >= sum(SMALL_MAP < count <= longest // 2 for count in counts)


def test_a_large_map_is_known_by_its_head():
    items = [map_head(16), b"\xdf\0\0\0\x10", b"\xde\0\x0f\0\0", b"\xdf\0\0\0\x0f", array_head(16) + b"\xde\0\x10"]
    for item in items:
        assert large_items(b"x" + item, [len(item)], 1) == (item in items[:2])
    assert large_items(b"".join(items), map(len, items), 0) == 2
    assert bad_key(b"\xdf\0\0\0\x10" + b"\x91\x01\x01" * 16)


def deep_size(value: object) -> int:
    """Return the bytes of a value with those inside it, each with its place."""
    size = sys.getsizeof(value) + 8
    if isinstance(value, dict):
        return size + sum(deep_size(part) for pair in value.items() for part in pair)
    return size + sum(map(deep_size, value)) if isinstance(value, list) else size


@pytest.mark.parametrize(
    "value",
    [
        [[]] * 1000,
        [{}] * 1000,
        list(range(-30, 0)) * 40,
        [[[]], {"a": []}] * 300,
        [f"text {number}" for number in range(500)],
        [{"name": "a", "value": 1.5, "left": None} for _ in range(100)],
        "x" * 5000,
        bytes(range(256)) * 100,
        [bytes(3000), "y" * 3000],
    ],
    ids=["lists", "maps", "numbers", "nested", "texts", "records", "a text", "bytes", "two"],
)
def test_objects_are_not_underrated_and_large_values_are_not_overrated(value):
    encoded = msgspec.msgpack.encode(value)
    small = len(encoded) + objects_bytes(encoded, 131_072, json=False)
    decoded = msgspec.msgpack.decode(encoded)
    assert small >= 0.75 * deep_size(decoded)
    if isinstance(value, str | bytes):
        assert small <= 1.1 * len(encoded) + 1000


def test_a_message_in_json_weighs_by_its_marks():
    assert objects_bytes(b"[" + b"[]," * 1000 + b"[]]", 131_072, json=True) >= 72 * 2000
    assert objects_bytes(b'"' + b"x" * 1000 + b'"', 131_072, json=True) == 72
    assert objects_bytes(b"[1]", 131_072, json=False) == 0
    assert objects_bytes(b"\xdd\0\1\0\0" + b"\x90" * 65_536, 1000, json=False) == 72_000
