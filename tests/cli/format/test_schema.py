"""The name of a type, and an example of it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import msgspec
import pytest

from penstock.cli._format import _schema as schema
from penstock.codec import json_schemas


class Price(msgspec.Struct):
    symbol: str
    value: float = 1.0


class Tree(msgspec.Struct):
    label: str
    leaves: list[Tree]


KINDS = [
    (str, "str", "text"),
    (int, "int", 1),
    (Annotated[int, msgspec.Meta(ge=5)], "int", 5),
    (float, "float", 1.5),
    (bool, "bool", True),
    (bytes, "bytes", "AAEC"),
    (None, "None", None),
    (int | None, "int | None", 1),
    (list[int], "list[int]", [1]),
    (list, "list", []),
    (dict[str, int], "dict[str, int]", {}),
    (tuple[int, str], "tuple[int, str]", [1, "text"]),
    (Literal["a", "b"], '"a" | "b"', "a"),
    (Price, "Price", {"symbol": "text"}),
    (list[Price], "list[Price]", [{"symbol": "text"}]),
    (dt.date, "date", "text"),
    (object, "any", None),
]


@pytest.mark.parametrize(("kind", "name", "_example"), KINDS)
def test_a_type_is_named_as_it_is_written(kind, name, _example):
    schemas, _definitions = json_schemas([kind])
    assert schema.type_name(schemas[0]) == name


@pytest.mark.parametrize(("kind", "_name", "example"), KINDS)
def test_an_example_fits_its_type(kind, _name, example):
    schemas, definitions = json_schemas([kind])
    made = schema.example(schemas[0], definitions)
    assert made == example
    if kind is not dt.date:  # no date of ours would be better than one of theirs
        msgspec.json.decode(msgspec.json.encode(made), type=kind)


def test_an_example_of_what_contains_itself_ends():
    schemas, definitions = json_schemas([Tree])
    assert schema.example(schemas[0], definitions)["label"] == "text"
