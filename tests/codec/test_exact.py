"""Untyped values through JSON and back: the same value, or a word that it is not."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.codec import JSON, Inexact, exact, keeps, restored


class Box(penstock.Struct):
    held: Any
    more: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Point:
    x: float


class Colour(enum.Enum):
    RED = "r"


def back(value: object) -> object:
    return restored(msgspec.json.decode(JSON.encode(exact(value))))


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from(Colour),
    st.builds(Point, st.floats(allow_nan=False)),
)
_KEYS = st.recursive(_SCALARS, lambda parts: st.lists(parts, max_size=3).map(tuple), max_leaves=4)
_VALUES = st.recursive(
    _SCALARS | st.sets(_KEYS, max_size=3) | st.frozensets(_KEYS, max_size=3),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.sampled_from(["$bytes", "$map", "$object", "$repr"]), parts, max_size=3)
        | st.dictionaries(_KEYS, parts, max_size=3)
        | st.builds(Box, parts)
    ),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    return one == other and type(one) is type(other) and repr(one) == repr(other)


@given(_VALUES)
def test_an_untyped_value_comes_back_as_it_was(value):
    """FAULTS F1."""
    made = back(value)
    assert made == value
    assert type(made) is type(value)


def test_a_value_that_json_keeps_is_not_copied_or_marked():
    for value in ({"a": [1, 2.5, None, True, {"b": "c"}]}, "text", 2**64 - 1, []):
        assert exact(value) is value


@pytest.mark.parametrize(
    ("value", "marked"),
    [
        (b"ab", {"$bytes": "YWI="}),
        ({1: "a"}, {"$map": [[1, "a"]]}),
        ({"$bytes": "x"}, {"$map": [["$bytes", "x"]]}),
        ((1, (2,)), {"$tuple": [1, {"$tuple": [2]}]}),
        (float("inf"), {"$float": "inf"}),
        (2**70, {"$int": str(2**70)}),
        (Box(b"x"), {"$object": [f"{__name__}:Box", {"held": {"$bytes": "eA=="}, "more": {"$tuple": []}}]}),
        (Colour.RED, {"$object": [f"{__name__}:Colour", "RED"]}),
        ({"a": [1, b""]}, {"a": [1, {"$bytes": ""}]}),
    ],
)
def test_what_json_changes_is_marked_where_it_is(value, marked):
    assert exact(value) == marked
    assert same(back(value), value)


def test_not_a_number_comes_back():
    made = back(math.nan)
    assert isinstance(made, float)
    assert math.isnan(made)


def test_a_value_that_cannot_be_made_again_says_so():
    class Local(penstock.Struct):
        x: int

    class Text(str):
        __slots__ = ()

    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    for value in (Local(1), Text("x"), msgspec.Raw(b"1"), object(), deep):
        marked = exact([value]) if value is not deep else exact(deep)
        with pytest.raises(Inexact):
            restored(marked)
    assert JSON.encode(exact(Local(1))) == b'{"$inexact":{"x":1}}', "people can still read it"


@pytest.mark.parametrize(
    "marked",
    [
        {"$object": ["os:system", {"command": "true"}]},
        {"$object": ["subprocess:Popen", {"args": "true"}]},
        {"$object": ["no.such.module:Box", {}]},
        {"$object": [f"{__name__}:Box", {"other": 1}]},
        {"$object": 5},
        {"$bytes": 5},
        {"$datetime": "soon"},
        {"$map": [[[1], 2]]},
        {"$inexact": 1},
    ],
)
def test_a_changed_recording_makes_no_value_and_runs_nothing(marked):
    with pytest.raises(Inexact):
        restored(marked)


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        (int, True),
        (bytes, True),
        (dict[int, str], True),
        (list[tuple[dt.datetime, uuid.UUID]], True),
        (Point, True),
        (decimal.Decimal | None, True),
        (Annotated[int, msgspec.Meta(ge=0)], True),
        (Any, False),
        (object, False),
        (list, False),
        (dict[str, Any], False),
        (Box, False),
        (list[Box] | None, False),
    ],
)
def test_a_type_keeps_its_values_unless_it_leaves_open_what_they_are(kind, kept):
    assert keeps(kind) is kept
