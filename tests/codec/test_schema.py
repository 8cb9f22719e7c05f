"""A service is described whatever the default values of its types are."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import pydantic
import pytest

from penstock.codec import MSGPACK, json_schemas
from penstock.service import describe, service_of

T = TypeVar("T")


class Model(pydantic.BaseModel):
    x: int = 1


class Odd(msgspec.Struct):
    """A Struct with a default that JSON does not have."""

    name: str
    raw: msgspec.Raw = msgspec.Raw(b"1")
    count: int = 3
    tags: list[str] = []


class Box(msgspec.Struct, Generic[T]):
    content: T
    raw: msgspec.Raw = msgspec.Raw(b"1")


class Node(msgspec.Struct, tag=True):
    odd: Odd
    next: Node | None = None


class Row(NamedTuple):
    odds: list[Odd]
    by_name: dict[str, Odd]
    either: Annotated[Odd | int, msgspec.Meta(description="one of two")] = 3


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]

ODD = {
    "raw": msgspec.Raw(b"{broken"),
    "raw inside": [msgspec.Raw(b"1")],
    "nan": math.nan,
    "inf inside": {"a": [math.inf]},
    "big": 2**70,
    "surrogate": "\ud800",
    "keys": {(1, 2): 3},
    "cycle": CYCLE,
    "deep": DEEP,
    "object": object(),
    "class": int,
    "path": pathlib.Path("a"),
    "Ext": msgspec.msgpack.Ext(1, b"a"),
}


def described(hint: Any, default: Any = ...) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of one parameter and the definitions, after a journey; both have to be JSON."""

    class Service:
        async def put(self, one: Any = default) -> None: ...

    if default is ...:
        Service.put.__defaults__ = ()
    Service.put.__annotations__["one"] = hint
    description = describe(service_of(Service))
    assert MSGPACK.decode_for(type(description)).value(MSGPACK.encode(description)) == description
    json.dumps(msgspec.to_builtins(description), allow_nan=False)
    return description.methods[0].parameters[0].schema, description.definitions


@pytest.mark.parametrize("default", ODD.values(), ids=ODD)
def test_a_default_that_json_does_not_have_is_left_out(default):
    assert described(Any, default) == ({}, {})
    kind = msgspec.defstruct("Kind", [("a", int), ("b", Any, msgspec.field(default_factory=lambda: default)), ("c", int, 3)])
    plain = msgspec.defstruct(
        "Kind", [("a", int), ("b", Any, default)] if not isinstance(default, list | dict) else [("a", int)]
    )
    assert described(kind)[1]["Kind"]["required"] == ["a"]
    schema, definitions = described(plain)
    assert schema == {"$ref": "#/$defs/Kind"}
    assert definitions["Kind"]["properties"]["a"] == {"type": "integer"}
    assert "default" not in definitions["Kind"]["properties"].get("b", {})


def test_a_default_is_shown_as_it_travels():
    @dataclasses.dataclass
    class Holds:
        model: Model = dataclasses.field(default_factory=Model)

    assert described(Model, Model())[0]["default"] == {"x": 1}
    kind = msgspec.defstruct("Kind", [("model", Model, Model())])
    assert described(kind)[1]["Kind"]["properties"]["model"] == {"$ref": "#/$defs/Model", "default": {"x": 1}}
    assert described(Holds)[1]["Holds"]["properties"]["model"] == {"$ref": "#/$defs/Model"}


def test_the_other_fields_and_types_are_described_as_always():
    (node, number, odd, odds), definitions = json_schemas([Node, int, Odd, list[Odd]])
    assert (node, number, odd) == ({"$ref": "#/$defs/Node"}, {"type": "integer"}, {"$ref": "#/$defs/Odd"})
    assert odds == {"type": "array", "items": odd}
    assert list(definitions) == ["Node", "Odd"]
    assert definitions["Odd"] == {
        "title": "Odd",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "raw": {},
            "count": {"type": "integer", "default": 3},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        },
        "required": ["name"],
    }
    assert definitions["Node"]["properties"] == {
        "type": {"enum": ["Node"]},
        "odd": {"$ref": "#/$defs/Odd"},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}], "default": None},
    }


def test_a_class_inside_collections_is_referred_to():
    (_row,), definitions = json_schemas([Row])
    odd = {"$ref": "#/$defs/Odd"}
    assert definitions["Row"]["prefixItems"] == [
        {"type": "array", "items": odd},
        {"type": "object", "additionalProperties": odd},
        {"anyOf": [odd, {"type": "integer"}], "default": 3},
    ]


def test_each_use_of_a_generic_class_has_a_definition():
    (one, two, three), definitions = json_schemas([Box[int], Box[str], Box[list[Odd]]])
    assert [one["$ref"], two["$ref"]] == ["#/$defs/Box_int_", "#/$defs/Box_str_"]
    fields = [definitions[each["$ref"].rpartition("/")[2]]["properties"]["content"] for each in (one, two, three)]
    assert fields == [{"type": "integer"}, {"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/Odd"}}]


def test_classes_of_one_name_have_a_definition_each():
    others = [msgspec.defstruct("Odd", [(name, float, math.nan)]) for name in "xyz"]
    schemas, definitions = json_schemas([Odd, *others])
    assert len(definitions) == 4
    fields = [set(definitions[each["$ref"].rpartition("/")[2]]["properties"]) for each in schemas]
    assert fields == [{"name", "raw", "count", "tags"}, {"x"}, {"y"}, {"z"}]
