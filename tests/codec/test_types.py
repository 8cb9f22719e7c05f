"""A type that cannot travel is refused before the first call, and the message says where and why."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

import attrs
import pytest

import penstock
from penstock.codec import MSGPACK, check_type, json_schemas
from tests.codec.test_codec import VALUES, Foreign, Price

T = TypeVar("T")


class Tree(penstock.Struct):
    value: int
    children: list[Tree]


class HoldsALock(penstock.Struct):
    name: str
    lock: threading.Lock


@dataclasses.dataclass
class HoldsAFile:
    lines: list[dict[str, io.StringIO]]


class Box(penstock.Struct, Generic[T]):
    content: T


class Left(penstock.Struct):
    x: int


class Right(penstock.Struct):
    y: int


class Tagged(penstock.Struct, tag=True):
    x: int


class AlsoTagged(penstock.Struct, tag=True):
    y: int


class Unknown:
    """Nothing that can travel."""


class NamesWhatIsNotThere(penstock.Struct):
    x: NotAnywhere  # noqa: F821 - that is the case under test


@pytest.mark.parametrize("kind", [kind for kind, _ in VALUES], ids=str)
def test_a_type_whose_values_come_back_as_they_were_is_accepted(kind):
    check_type(kind, "here")


@pytest.mark.parametrize(
    "kind", [Any, Tree, list[Tree], Box[int], Box[Price], Tagged | AlsoTagged, Foreign | None, list[Any]], ids=str
)
def test_recursive_generic_and_tagged_types_are_accepted(kind):
    check_type(kind, "here")


@pytest.mark.parametrize(
    "kind",
    [
        complex,
        Unknown,
        asyncio.Lock,
        Callable[[int], int],
        list[Unknown],
        dict[str, tuple[int, Unknown]],
        Unknown | None,
        HoldsALock,
        HoldsAFile,
        Box[Unknown],
        Left | Right,
        NamesWhatIsNotThere,
        "not a type",
    ],
    ids=str,
)
def test_a_type_that_cannot_travel_is_refused_and_the_place_is_named(kind):
    with pytest.raises(TypeError, match=r"^Orders\.put: parameter `order`: .*cannot travel"):
        check_type(kind, "Orders.put: parameter `order`")


@pytest.mark.parametrize(
    ("kind", "part"), [(HoldsALock, "lock"), (HoldsAFile, "StringIO"), (dict[str, Unknown], "Unknown")], ids=str
)
def test_the_part_that_cannot_travel_is_named(kind, part):
    with pytest.raises(TypeError, match=part):
        check_type(kind, "here")


def test_schemas_share_their_definitions():
    schemas, definitions = json_schemas([Price, list[Price], int, Foreign])
    assert schemas[0] == {"$ref": "#/$defs/Price"}
    assert schemas[1] == {"type": "array", "items": {"$ref": "#/$defs/Price"}}
    assert schemas[2] == {"type": "integer"}
    assert schemas[3] == {"$ref": "#/$defs/Foreign"}
    assert set(definitions) == {"Price", "Foreign"}
    assert definitions["Price"]["required"] == ["symbol", "value"]


# ── advice ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NotFrozen(penstock.Struct):
    x: int


class Frozen(penstock.Struct, frozen=True):
    x: int


class WithAStream(penstock.Struct):
    items: AsyncIterator[int]


@pytest.mark.parametrize(
    "kind",
    [
        tuple[int, AsyncIterator[int]],
        AsyncIterator[int] | None,
        list[AsyncIterable[int]],
        WithAStream,
    ],
    ids=str,
)
def test_a_stream_inside_another_type_is_refused_with_the_ref_to_use(kind):
    """FAULTS E6."""
    with pytest.raises(
        TypeError, match=r"a stream is a parameter or a result of its own; inside other types, use a penstock\.Source"
    ):
        check_type(kind, "here")


def test_an_iterator_is_refused_with_what_to_use():
    for kind in (Iterator[int], Generator[int, None, None], Iterable[int]):
        with pytest.raises(TypeError, match="use a list, or an AsyncIterator for a stream"):
            check_type(kind, "here")


@pytest.mark.parametrize(
    "kind", [dict[NotFrozen, int], set[list[int]], frozenset[NotFrozen], list[set[dict[str, int]]]], ids=str
)
def test_keys_and_items_of_sets_that_are_not_hashable_are_refused_at_once(kind):
    with pytest.raises(TypeError, match="it is not hashable"):
        check_type(kind, "here")
    check_type(dict[Frozen, int], "here")
    check_type(set[tuple[int, str]], "here")


class SomeActor(penstock.Actor):
    pass


@pytest.mark.parametrize(
    ("kind", "ref"),
    [
        (dict[str, penstock.Source[int]], "SourceRef"),
        (penstock.Sink[int], "SinkRef"),
        (list[SomeActor], "ActorRef"),
        (penstock.Stream[int] | None, "SourceRef"),
    ],
    ids=str,
)
def test_an_object_that_stays_in_its_process_is_refused_with_its_ref(kind, ref):
    with pytest.raises(TypeError, match=rf"cannot travel; use a penstock\.{ref}$"):
        check_type(kind, "here")


@attrs.define
class Public:
    x: int
    tags: list[str] = attrs.field(factory=list)


@attrs.define
class Private:
    x: int
    _y: int = 3


@attrs.define
class OfItself:
    x: int
    y: int = attrs.field(default=attrs.Factory(lambda self: self.x, takes_self=True))


def test_a_class_of_attrs_travels_whole_or_is_refused():
    check_type(Public, "here")
    assert MSGPACK.decode_for(Public).value(MSGPACK.encode(Public(1, ["a"]))) == Public(1, ["a"])
    with pytest.raises(TypeError, match="Private would arrive without its private field `_y`; name it without an underscore"):
        check_type(list[Private], "here")
    with pytest.raises(TypeError, match=r"here: OfItself cannot travel: .*takes_self"):
        check_type(OfItself, "here")


@pytest.mark.parametrize("kind", [set, frozenset, set[Any], list[set[Any]], dict[str, frozenset[object]]], ids=str)
def test_a_set_of_anything_is_refused(kind):
    """FAULTS H4: a peer would fill it with arrays that hash alike: 4,000 of them took 0.6 s."""
    with pytest.raises(TypeError, match="name their type"):
        check_type(kind, "here")


@dataclasses.dataclass(init=False)
class NeedsMore:
    a: int

    def __init__(self, a: int) -> None:
        self.__post_init__(a)

    def __post_init__(self, a: int) -> None:
        self.a = a


def test_a_dataclass_that_needs_more_than_its_fields_is_refused():
    with pytest.raises(TypeError, match="here: NeedsMore cannot be made of its fields: __post_init__ is called without arg"):
        check_type(list[NeedsMore], "here")
