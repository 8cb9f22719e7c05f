"""A server says what it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

import penstock
from penstock.service import ServiceDescription
from tests.calls.kit import linked


class Price(penstock.Struct):
    symbol: str
    value: float = 0.0


class Prices:
    """Prices of things."""

    async def quote(self, symbol: str, digits: int = 2) -> Price:
        """Return one."""

    async def watch(self) -> AsyncIterator[Price]: ...

    async def record(self, prices: AsyncIterator[Price]) -> int: ...

    async def trade(self, orders: AsyncIterator[str], *, fast: bool) -> AsyncIterator[Price]: ...


class Other:
    async def a(self) -> None: ...


class Validated:
    """A type of another library: it knows how to validate and dump itself, and has no schema."""

    def model_dump(self): ...

    @classmethod
    def model_validate(cls, value): ...


class TakesValidated:
    async def put(self, thing: Validated) -> Validated: ...


async def described(pair):
    return {one.name: one for one in msgspec.convert(await pair.peer.call("Penstock/describe"), list[ServiceDescription])}


async def test_every_service_is_described_with_methods_kinds_and_types():
    async with linked(Prices(), Other()) as pair:
        found = await described(pair)
        assert {"Prices", "Other"} <= set(found)
        prices = found["Prices"]
        assert prices.doc == "Prices of things."
        methods = {method.name: method for method in prices.methods}
        assert {name: method.kind for name, method in methods.items()} == {
            "quote": "unary",
            "watch": "server_streaming",
            "record": "client_streaming",
            "trade": "bidirectional",
        }
        quote = methods["quote"]
        assert (quote.target, quote.doc) == ("Prices/quote", "Return one.")
        assert [(p.name, p.required, p.schema["type"]) for p in quote.parameters] == [
            ("symbol", True, "string"),
            ("digits", False, "integer"),
        ]
        assert quote.response == methods["watch"].response == methods["record"].request == {"$ref": "#/$defs/Price"}
        assert quote.request is None
        assert methods["trade"].request == {"type": "string"}
        assert [p.name for p in methods["trade"].parameters] == ["fast"]
        assert prices.definitions["Price"]["properties"]["value"]["type"] == "number"


async def test_a_type_without_a_schema_does_not_hide_the_others():
    async with linked(TakesValidated(), Other()) as pair:
        found = await described(pair)
        assert {"TakesValidated", "Other"} <= set(found)


async def test_the_name_of_the_description_is_taken():
    class Impostor:
        service_name = "Penstock"

        async def describe(self) -> int: ...

    with pytest.raises(ValueError, match="Penstock/describe"):
        async with penstock.serve(Impostor(), listen="memory://impostor"):
            pass
