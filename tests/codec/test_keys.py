"""Maps whose keys a peer can choose to hash alike are refused before they are decoded, where no type names their keys."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import msgspec
import pytest

import penstock
from penstock.codec import JSON, MSGPACK
from penstock.codec._keys import leaves_keys_open


class Loose(penstock.Struct):
    value: Any = None


class Tight(penstock.Struct):
    name: str
    rows: list[dict[str, int]]


#: Tuples of -1 and -2 all hash alike in Python.
ALIKE = dict.fromkeys(itertools.islice(itertools.product((-1, -2), repeat=12), 400), 1)
ENCODED = msgspec.msgpack.encode(ALIKE)


@pytest.mark.parametrize("kind", [Any, object, dict, dict[Any, Any], list, dict[str, Any], Loose, list[Loose], Loose | None])
def test_a_type_with_any_in_it_leaves_keys_open(kind):
    assert leaves_keys_open(kind)


@pytest.mark.parametrize(
    "kind", [int, Tight, list[Tight], dict[str, int], dict[int, Tight], msgspec.Raw, penstock.SourceRef[int], bytes]
)
def test_another_type_does_not_and_is_decoded_as_before(kind):
    assert not leaves_keys_open(kind)


@pytest.mark.parametrize(
    "wrap", [lambda map_: map_, lambda map_: [map_], lambda map_: {"value": map_}, lambda map_: {"": map_}]
)
def test_a_large_map_with_arrays_as_keys_is_refused_where_a_peer_fills_an_any(wrap):
    """FAULTS H4: 340 KB took 8.4 s."""
    encoded = MSGPACK.encode(wrap(ALIKE))
    decode = MSGPACK.decode_for(Any)
    for form in (bytes, bytearray, memoryview, msgspec.Raw):
        with pytest.raises(ValueError, match="neither texts nor numbers"):
            decode.value(form(encoded))
    with pytest.raises(ValueError, match="only where a type says so"):
        decode.batch(MSGPACK.encode([wrap(ALIKE)] * 2))


def test_it_is_found_behind_items_that_are_large_maps_themselves():
    """Items with texts as keys take a short way, which must not hide another map."""
    row = {f"column {number}": number for number in range(20)}
    decode = MSGPACK.decode_for(Any)
    assert decode.batch(MSGPACK.encode([row] * 3)) == [row] * 3
    for bad in ({**row, "column 3": ALIKE}, {"small": ALIKE}, {"": ALIKE}, [ALIKE], [row, ALIKE]):
        for items in ([row, bad], [bad, row], [bad], [row, bad, {}]):
            with pytest.raises(ValueError, match="neither texts nor numbers"):
                decode.batch(MSGPACK.encode(items))


def test_items_before_a_bad_one_are_delivered():
    decode = MSGPACK.decode_for(Any)
    items, why = decode.one_by_one(MSGPACK.encode([1, {"a": 2}, ALIKE, 3]))
    assert items == [1, {"a": 2}]
    assert "neither texts nor numbers" in str(why)


@pytest.mark.parametrize("keys", [str, int, float, lambda number: str(number).encode(), lambda number: number % 2 > 0])
def test_scalars_are_keys(keys):
    value = {keys(number): number for number in range(100)}
    assert MSGPACK.decode_for(Any).value(MSGPACK.encode(value)) == value
    assert MSGPACK.decode_for(Any).batch(MSGPACK.encode([value, 1])) == [value, 1]


def test_a_small_map_may_have_arrays_as_keys():
    value = {(number, 0): number for number in range(15)}
    assert MSGPACK.decode_for(Any).value(MSGPACK.encode(value)) == value


def test_a_declared_type_decides_for_itself():
    grid = {(x, y): x for x in range(10) for y in range(10)}
    kind = dict[tuple[int, int], Any]
    assert MSGPACK.decode_for(kind).value(MSGPACK.encode(grid)) == grid
    bounded = Annotated[dict[tuple[int, ...], int], msgspec.Meta(max_length=50)]
    with pytest.raises(msgspec.ValidationError, match="length"):
        MSGPACK.decode_for(bounded).value(ENCODED)


def test_the_keys_of_json_are_texts():
    value = {str(number): number for number in range(100)}
    assert JSON.decode_for(Any).value(JSON.encode(value)) == value
