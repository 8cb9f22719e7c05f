"""From what people write to what a method takes: by name, by place, or as the one argument."""

from __future__ import annotations

import pytest

import penstock
from penstock.errors import InvalidArgument
from penstock.node._payload import payload_of
from penstock.service import arguments_of, service_of


class Point(penstock.Struct):
    x: int
    y: int = 0


class Takes:
    async def nothing(self) -> None: ...
    async def one(self, count: int) -> None: ...
    async def maybe(self, count: int = 1) -> None: ...
    async def point(self, point: Point) -> None: ...
    async def listed(self, values: list[int]) -> None: ...
    async def mapped(self, values: dict[str, int]) -> None: ...
    async def two(self, a: int, b: str = "") -> None: ...
    async def named(self, *, key: int) -> None: ...


METHODS = service_of(Takes).methods


@pytest.mark.parametrize(
    ("method", "params", "arguments"),
    [
        ("nothing", None, ((), {})),
        ("nothing", {}, ((), {})),
        ("nothing", [], ((), {})),
        ("one", {"count": 5}, ((), {"count": 5})),
        ("one", 5, ((5,), {})),
        ("one", [5], ((5,), {})),
        ("maybe", None, ((), {})),
        ("maybe", {}, ((), {})),
        ("maybe", [], ((), {})),
        ("point", {"x": 1}, (({"x": 1},), {})),
        ("point", {"point": {"x": 1}}, ((), {"point": {"x": 1}})),
        ("listed", {"values": [1, 2]}, ((), {"values": [1, 2]})),
        ("listed", [1, 2], (([1, 2],), {})),
        ("mapped", {"a": 1}, (({"a": 1},), {})),
        ("mapped", {"values": 1}, (({"values": 1},), {})),
        ("two", {"a": 1, "b": "x"}, ((), {"a": 1, "b": "x"})),
        ("two", [1, "x"], ((1, "x"), {})),
        ("two", [1], ((1,), {})),
        ("two", 1, ((1,), {})),
        ("named", {"key": 1}, ((), {"key": 1})),
    ],
)
def test_parameters_are_a_payload_that_the_method_takes(method, params, arguments):
    """FAULTS D5: `penstock request` means what `ask` and `penstock call` mean."""
    assert payload_of(METHODS[method], params) == params
    assert arguments_of(METHODS[method], params) == arguments


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("nothing", [1], "1 arguments where 0 are taken"),
        ("nothing", {"a": 1}, "arguments where 0 are taken"),
        ("one", None, "argument `count` is missing"),
        ("one", {}, "missing argument `count`"),
        ("one", {"cuont": 5}, "`cuont`|`count`"),
        ("one", "five", "argument `count`: Expected `int`, got `str`"),
        ("one", [5, 6], "2 arguments where 1 are taken"),
        (
            "listed",
            [[1, 2]],
            r"argument `values`: Expected `int`, got `array` - at .*; the list is the one argument here",
        ),
        ("maybe", {"count": None}, "argument `count`: Expected `int`, got `None`"),
        ("two", {"a": 1, "c": 2}, "unknown argument `c`"),
        ("two", {"a": "x"}, "argument `a`: Expected `int`, got `str`"),
    ],
)
def test_what_does_not_fit_is_told(method, params, reason):
    with pytest.raises(InvalidArgument, match=reason):
        payload_of(METHODS[method], params)
