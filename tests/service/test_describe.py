"""A service is described in plain values and JSON Schema."""

from __future__ import annotations

from collections.abc import AsyncIterator

import penstock
from penstock.service import describe, service_of


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


class TakesARef:
    async def put(self, thing: penstock.SourceRef[int]) -> penstock.SourceRef[int]: ...


def test_a_service_is_described_with_methods_kinds_and_types():
    prices = describe(service_of(Prices))
    assert (prices.name, prices.doc) == ("Prices", "Prices of things.")
    methods = {method.name: method for method in prices.methods}
    assert {name: method.kind for name, method in methods.items()} == {
        "quote": "unary",
        "watch": "server_streaming",
        "record": "client_streaming",
        "trade": "bidirectional",
    }
    quote = methods["quote"]
    assert (quote.target, quote.doc) == ("Prices/quote", "Return one.")
    assert [(p.name, p.required, p.schema) for p in quote.parameters] == [
        ("symbol", True, {"type": "string"}),
        ("digits", False, {"type": "integer", "default": 2}),
    ]
    assert quote.response == methods["watch"].response == methods["record"].request == {"$ref": "#/$defs/Price"}
    assert quote.request is None
    assert methods["trade"].request == {"type": "string"}
    assert [p.name for p in methods["trade"].parameters] == ["fast"]
    assert prices.definitions["Price"]["properties"]["value"]["type"] == "number"


def test_a_type_without_a_schema_is_described_by_its_title():
    (put,) = describe(service_of(TakesARef)).methods
    assert put.parameters[0].schema == put.response == {"title": "SourceRef"}
