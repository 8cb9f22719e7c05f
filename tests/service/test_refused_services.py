"""What cannot be served is refused before the first call, at `serve` and at the stub, naming method and parameter."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator

import pytest

import penstock
from tests.calls.kit import linked


class Good:
    async def unary(self, a: int) -> int: ...


class BadParameter:
    async def put(self, name: str, lock: threading.Lock) -> int: ...


class BadResult:
    async def put(self) -> dict[str, complex]: ...


class BadItem:
    async def put(self) -> AsyncIterator[threading.Lock]:
        yield


class BadRequest:
    async def put(self, locks: AsyncIterator[list[threading.Lock]]) -> int: ...


class BadField:
    async def put(self, order: Order) -> int: ...


class Order(penstock.Struct):
    id: int
    lock: threading.Lock


class TwoStreams:
    async def put(self, a: AsyncIterator[int], b: AsyncIterator[int]) -> int: ...


class OptionalStream:
    async def put(self, a: AsyncIterator[int] | None = None) -> int: ...


class Variadic:
    async def put(self, *values: int) -> int: ...


class VariadicNames:
    async def put(self, **values: int) -> int: ...


class NoSuchHint:
    async def put(self, value: Nowhere) -> int: ...  # noqa: F821 - that is the case under test


class NothingToCall:
    def plain(self) -> int: ...


REFUSED = [
    (BadParameter, r"BadParameter\.put: parameter `lock`: .*cannot travel"),
    (BadResult, r"BadResult\.put: its result: complex cannot travel"),
    (BadItem, r"BadItem\.put: its result: .*cannot travel"),
    (BadRequest, r"BadRequest\.put: the items of parameter `locks`: .*cannot travel"),
    (BadField, r"BadField\.put: parameter `order`: .*cannot travel"),
    (TwoStreams, r"TwoStreams\.put: parameter `b` is a second stream"),
    (OptionalStream, r"OptionalStream\.put: parameter `a`: .*cannot travel"),
    (Variadic, r"Variadic\.put: parameter `\*values.*` has no fixed shape"),
    (VariadicNames, r"VariadicNames\.put: parameter `\*\*values.*` has no fixed shape"),
    (NoSuchHint, r"NoSuchHint\.put: a type hint that cannot be resolved: .*Nowhere"),
    (NothingToCall, r"NothingToCall has no public async method"),
]


@pytest.mark.parametrize(("cls", "message"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
async def test_what_cannot_travel_is_refused_by_serve_and_by_the_stub_naming_method_and_parameter(cls, message):
    with pytest.raises(TypeError, match=message):
        async with penstock.serve(cls(), listen="memory://refused"):
            pass
    with pytest.raises(TypeError, match=message):
        async with penstock.connect("memory://refused", services=[cls()]):
            pass
    async with linked(Good()) as pair:
        with pytest.raises(TypeError, match=message):
            pair.peer.service(cls)


async def test_a_refused_service_leaves_no_listener_behind():
    with pytest.raises(TypeError):
        async with penstock.serve(BadResult(), listen="memory://refused"):
            pass
    with pytest.raises(penstock.Unavailable):
        async with penstock.connect("memory://refused"):
            pass


async def test_two_services_of_one_name_are_refused():
    class Twin:
        service_name = "Good"

        async def unary(self, a: int) -> int: ...

    with pytest.raises(ValueError, match="two services answer to Good/unary"):
        async with penstock.serve(Good(), Twin(), listen="memory://twins"):
            pass


async def test_positional_only_parameters_work_or_are_refused_before_the_first_call():
    class PositionalOnly:
        async def double(self, x: int, /) -> int:
            return 2 * x

    try:
        async with linked(PositionalOnly()) as pair:
            assert await pair.stub(PositionalOnly).double(4) == 8
            assert await pair.peer.call("PositionalOnly/double", 5) == 10
    except TypeError as refused:
        assert "PositionalOnly.double: parameter `x`" in str(refused)  # noqa: PT017 - either is right, silence is not
