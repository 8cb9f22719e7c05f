"""Values to bytes and back: two codecs, typed, by value and by batch."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.codec import JSON, MSGPACK, as_travelled, by_number

CODECS = [MSGPACK, JSON]


class Price(penstock.Struct):
    symbol: str
    value: float
    size: int = 1


class Newer(penstock.Struct):
    symbol: str
    value: float
    size: int = 1
    venue: str = "?"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Row(TypedDict):
    id: int
    name: str


class Pair(NamedTuple):
    left: int
    right: str


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class Foreign(pydantic.BaseModel):
    """A class that msgspec does not know."""

    value: int


VALUES = [
    (None, None),
    (bool, True),
    (int, -(2**63)),
    (int, 2**64 - 1),
    (float, 0.1),
    (str, "penstock ✓"),
    (bytes, b"\0\xff" * 10),
    (bytes, b""),
    (list[int], [1, 2]),
    (dict[str, list[int]], {"a": [1]}),
    (tuple[int, str], (1, "x")),
    (set[int], {1, 2}),
    (int | str | None, "x"),
    (Price, Price("A", 1.5)),
    (Point, Point(1, 2)),
    (Row, {"id": 1, "name": "x"}),
    (Pair, Pair(1, "x")),
    (Side, Side.SELL),
    (Literal["a", "b"], "b"),
    (dt.datetime, dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)),
    (dt.timedelta, dt.timedelta(seconds=1.5)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (uuid.UUID, uuid.UUID(int=7)),
    (Annotated[int, msgspec.Meta(ge=0)], 3),
    (Foreign, Foreign(value=3)),
    (list[Foreign], [Foreign(value=1), Foreign(value=2)]),
]


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda value: getattr(value, "__name__", None))
def test_a_value_comes_back_as_it_was_alone_and_in_a_batch(codec, kind, value):
    decode = codec.decode_for(kind)
    assert decode.value(codec.encode(value)) == value
    assert decode.batch(codec.encode([value, value])) == [value, value]


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_encode_into_appends(codec):
    buffer = bytearray(b"before")
    codec.encode_into(1, buffer, -1)
    assert bytes(buffer) == b"before" + codec.encode(1)


def test_bytes_are_raw_in_msgpack():
    item = bytes(range(256))
    assert item in MSGPACK.encode(item)
    assert len(MSGPACK.encode(item)) <= len(item) + 5


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_reader_of_another_version_ignores_unknown_fields_and_fills_in_missing_ones(codec):
    assert codec.decode_for(Price).value(codec.encode(Newer("A", 1.0, 2, "XETRA"))) == Price("A", 1.0, 2)
    assert codec.decode_for(Newer).value(codec.encode(Price("A", 1.0))) == Newer("A", 1.0, 1, "?")


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_decoded_value_does_not_depend_on_the_memory_it_came_from(codec):
    memory = bytearray(codec.encode([Price("symbol", 1.0), Price("other", 2.0)]))
    prices = codec.decode_for(Price).batch(memoryview(memory))
    memory[:] = bytes(len(memory))
    assert prices == [Price("symbol", 1.0), Price("other", 2.0)]


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_bad_batch_gives_the_items_before_the_bad_one_and_its_error(codec):
    items, error = codec.decode_for(int).one_by_one(codec.encode([1, 2, "x", 4]))
    assert items == [1, 2]
    assert "Expected `int`, got `str`" in str(error)
    assert codec.decode_for(int).one_by_one(codec.encode([1, 2])) == ([1, 2], None)


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_bad_batch_of_a_type_that_validates_itself_is_an_error_like_any_other(codec):
    items, error = codec.decode_for(Foreign).one_by_one(codec.encode([{"value": 1}, {"value": 2}]))
    assert items == [Foreign(value=1), Foreign(value=2)]
    assert error is None
    with pytest.raises((msgspec.DecodeError, ValueError, TypeError, KeyError)):
        codec.decode_for(Foreign).value(codec.encode({"wrong": 1}))


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@pytest.mark.parametrize("value", [object(), [object()], lambda: None, 1 + 2j])
def test_the_error_of_a_value_that_cannot_travel_names_its_type(codec, value):
    with pytest.raises(TypeError, match=r"a \w+ cannot travel; use a penstock\.Struct"):
        codec.encode(value)


def test_codecs_are_found_by_their_number_on_the_wire():
    assert by_number(0) is MSGPACK
    assert by_number(1) is JSON
    with pytest.raises(KeyError):
        by_number(2)


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_the_decoder_of_a_type_is_made_once(codec):
    assert codec.decode_for(Price) is codec.decode_for(Price)
    assert codec.decode_for(list[int]) is codec.decode_for(list[int])


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_a_type_that_has_no_hash_can_be_decoded_too(codec):
    described = Annotated[int, msgspec.Meta(ge=0, extra={"unit": "s"})]
    assert codec.decode_for(described).value(codec.encode(3)) == 3


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_types_that_are_equal_in_python_and_differ_here_are_kept_apart(codec):
    assert codec.decode_for(Literal[1]).value(codec.encode(1)) == 1
    with pytest.raises(msgspec.ValidationError):
        codec.decode_for(bool).value(codec.encode(1))
    with pytest.raises(msgspec.ValidationError):
        codec.decode_for(list[bool]).value(codec.encode([1]))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@given(items=st.lists(PLAIN, max_size=6))
def test_plain_values_of_any_kind_come_back(codec, items):
    encodable = [item for item in items if _travels(item)]
    assert codec.decode_for(Any).batch(codec.encode(encodable)) == encodable


def _travels(item: object) -> bool:
    """Text may hold halves of surrogate pairs in Python and nowhere else."""
    try:
        str(item).encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_travel_in_msgpack(value):
    assert MSGPACK.decode_for(float).value(MSGPACK.encode(value)) == value


@pytest.mark.parametrize("codec", CODECS, ids=repr)
@given(noise=st.binary(max_size=40))
def test_noise_is_a_value_or_one_of_the_errors_that_callers_catch(codec, noise):
    for kind in (Any, Price, int, dict[str, int]):
        try:
            codec.decode_for(kind).batch(noise)
        except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
            continue


@pytest.mark.parametrize(("codec", "nest"), [(MSGPACK, b"\x91"), (JSON, b"[")], ids=["msgpack", "json"])
def test_nesting_without_end_is_an_error_like_any_other(codec, nest):
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        codec.decode_for(Any).value(nest * 100_000)


class Base(msgspec.Struct):
    a: int


class Derived(Base):
    b: int = 2


class Tagged(msgspec.Struct, tag="one"):
    a: int


class TaggedDerived(Tagged):
    b: int = 2


class OtherTag(msgspec.Struct, tag="two"):
    a: int


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Whole(int): ...


class Real(float): ...


class Raw(bytes): ...


@pytest.mark.parametrize("codec", [MSGPACK, JSON])
@pytest.mark.parametrize(("value", "kind"), [(Text("x"), str), (Whole(3), int), (Real(1.5), float), (Raw(b"x"), bytes)])
def test_an_instance_of_a_subclass_of_a_builtin_type_travels_as_its_base(codec, value, kind):
    """FAULTS D4"""
    back = codec.decode_for(list[kind]).value(codec.encode([value]))[0]
    assert back == value
    assert type(back) is kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Derived(1), Base),
        ([Derived(1)], list[Base]),
        ({"x": Derived(1)}, dict[str, Base]),
        (Derived(1), Base | None),
        ({"a": 1}, Base),
        ([1, 2], tuple[int, ...]),
        ({1, 2}, list[int]),
        (5, float),
        (None, Base | None),
        (TaggedDerived(1), Tagged | OtherTag),
        (Base(1), dict),
        (Derived(1), dict[str, int]),
        (uuid.UUID(int=5), str),
        ([Derived(1), {"a": 2}], list[Base]),
    ],
)
def test_a_value_that_stays_is_what_it_would_be_after_a_journey(value, kind):
    """FAULTS D4"""
    travelled = MSGPACK.decode_for(kind).value(MSGPACK.encode(value))
    assert as_travelled(value, kind) == travelled
    assert type(as_travelled(value, kind)) is type(travelled)


@pytest.mark.parametrize(
    ("value", "kind"), [("5", int), (5.0, int), (True, int), (b"x", str), ({"a": "x"}, Base), ([1], dict), (object(), Base)]
)
def test_a_value_that_would_not_arrive_is_refused_here_too(value, kind):
    with pytest.raises((msgspec.ValidationError, TypeError)):
        as_travelled(value, kind)
