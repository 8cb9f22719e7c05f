"""A service is what its interface or its list of methods says, and the object behind it stays unknown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import pytest

import penstock
from penstock.errors import Unimplemented
from penstock.service import ServiceDescription
from tests.calls.kit import linked

T = TypeVar("T")
URL = "memory://exposed"


class Price(penstock.Struct):
    value: float


class IPrices(Protocol):
    """Prices of things."""

    async def quote(self, symbol: str, digits: int = 2) -> Price: ...
    def watch(self, symbol: str) -> AsyncIterator[Price]: ...
    def total(self, prices: AsyncIterator[Price]) -> Awaitable[float]: ...
    async def named(self, *, symbol: str = "ACME") -> str: ...


class AbstractPrices(ABC):
    @abstractmethod
    async def quote(self, symbol: str, digits: int = 2) -> Price: ...


class Table:
    """The implementation: it inherits nothing, declares no types, and has more methods."""

    async def quote(self, symbol, digits):
        return Price(len(symbol) + digits)

    async def watch(self, symbol):
        yield Price(len(symbol))

    async def total(self, prices):
        return sum([price.value async for price in prices])

    async def named(self, *, symbol):
        return symbol

    async def reset(self, *args: Any) -> None:
        raise AssertionError("no caller may reset it")


async def prices_of(peer: penstock.Peer) -> list[Any]:
    prices = peer.service(IPrices)
    return [
        await prices.quote("ABC"),
        await prices.quote("ABC", digits=1),
        [price async for price in prices.watch("ABC")],
        await prices.total([Price(1), Price(2)]),
        await prices.named(),
        await prices.named(symbol="ABC"),
    ]


EXPECTED = [Price(5), Price(4), [Price(3)], 3, "ACME", "ABC"]


async def test_a_service_is_served_as_its_interface_which_is_all_that_the_client_imports():
    """FAULTS E3: by `serve(impl, as_=IPrices)`."""
    async with penstock.serve(Table(), as_=IPrices, listen=URL), penstock.connect(URL) as peer:
        assert await prices_of(peer) == EXPECTED
        with pytest.raises(Unimplemented, match="unknown method 'IPrices/reset'; known methods"):
            await peer.call("IPrices/reset")
        with pytest.raises(Unimplemented, match="unknown method 'Table/quote'"):
            await peer.call("Table/quote", "A")
        described = msgspec.convert(await peer.call("Penstock/describe"), list[ServiceDescription])
        assert (described[0].name, described[0].doc) == ("IPrices", "Prices of things.")
        assert described[0].methods[0].response == {"$ref": "#/$defs/Price"}


async def test_a_client_offers_a_service_by_its_interface_too():
    """FAULTS E3: by `exposed`, wherever a service can stand."""

    class Caller:
        async def call(self) -> int:
            return len(await prices_of(penstock.context().peer))

    async with (
        penstock.serve(Caller(), listen=URL),
        penstock.connect(URL, services=[penstock.exposed(Table(), as_=IPrices)]) as peer,
    ):
        assert await peer.service(Caller).call() == len(EXPECTED)


async def test_an_abstract_class_and_a_generic_protocol_are_interfaces():
    class Reader(Protocol[T]):
        async def read(self, value: T) -> T: ...

    class Store:
        async def quote(self, symbol, digits):
            return Price(1)

        async def read(self, value):
            assert isinstance(value, Price)
            return value

    store = Store()
    both = penstock.exposed(store, as_=AbstractPrices), penstock.exposed(store, as_=Reader[Price])
    async with linked(*both) as pair:
        assert await pair.stub(AbstractPrices).quote("A") == Price(1)
        assert await pair.stub(Reader[Price]).read(Price(2)) == Price(2)


async def test_only_the_exposed_methods_are_served_and_no_stranger_learns_of_the_others():
    """FAULTS E5: an allow-list. The types of the other methods do not matter."""

    class Mixed:
        async def read(self) -> int:
            return 1

        async def write(self, anything: complex) -> None: ...

    for served in (penstock.exposed(Mixed(), "read"), penstock.exposed(penstock.exposed(Mixed(), "read"), "read")):
        async with linked(served) as pair:
            assert await pair.peer.call("Mixed/read") == 1
            with pytest.raises(Unimplemented, match=r"unknown method 'Mixed/write'; known methods: Mixed/read, "):
                await pair.peer.call("Mixed/write")
    async with penstock.serve(Mixed(), expose=["read"], listen=URL), penstock.connect(URL) as peer:
        assert await peer.call("Mixed/read") == 1


def interface(source: str) -> type[Any]:
    space: dict[str, Any] = {"AsyncIterator": AsyncIterator}
    exec(f"class IBad:\n    {source}: ...", space)
    return space["IBad"]


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("async def other(self) -> int", "Table has no method 'other', which IBad/other needs"),
        ("async def quote(self, symbol: str) -> int", r"Table\.quote does not implement IBad/quote: missing .* 'digits'"),
        ("async def named(self, symbol: str) -> int", r"Table\.named does not implement IBad/named: too many"),
        ("async def watch(self, symbol: str) -> int", r"Table\.watch .*: it gives a stream, where one result is declared"),
        ("def plain(self) -> AsyncIterator[int]", r"Plain\.plain .*: it is not async; write `async def`"),
        ("def typed(self) -> AsyncIterator[int]", r"Plain\.typed .*: it gives one result, where a stream is declared"),
        ("async def quote(self, a: complex, b: int) -> int", r"IBad\.quote: parameter `a`: complex cannot travel"),
    ],
)
def test_an_object_that_does_not_implement_its_interface_is_refused(method, text):
    """FAULTS E3."""

    class Plain(Table):
        def plain(self): ...

        async def typed(self) -> int: ...

    with pytest.raises(TypeError, match=text):
        penstock.exposed(Plain() if "Plain" in text else Table(), as_=interface(method))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["quotes"], r"Table has no public method 'quotes' to expose; did you mean 'quote'\?"),
        (["_private"], "Table has no public method '_private' to expose; known names: "),
        (["__init__"], "Table has no public method '__init__' to expose"),
        (["quote", "reset"], r"Table\.reset: parameter `\*args.*` has no fixed shape"),
    ],
)
def test_a_name_that_cannot_be_exposed_is_refused(names, text):
    with pytest.raises(TypeError, match=text):
        penstock.exposed(Table(), *names)


async def test_what_makes_no_sense_is_refused():
    with pytest.raises(TypeError, match=r"as_ and expose are for one service, and 2 are given; use penstock\.exposed for each"):
        async with penstock.serve(Table(), Table(), as_=IPrices, listen=URL):
            pass
    with pytest.raises(TypeError, match=r"Table is a class; serve an object of it: Table\(\)"):
        penstock.exposed(Table, as_=IPrices)
    assert repr(penstock.exposed(Table(), as_=AbstractPrices)).startswith("<AbstractPrices: quote of <")


class Store(Generic[T]):
    async def put(self, value: T) -> T: ...


def test_an_interface_that_leaves_a_type_open_is_refused():
    with pytest.raises(TypeError, match="T is left open"):
        penstock.exposed(Store(), as_=Store)


async def test_an_object_that_has_any_attribute_is_not_taken_for_an_actor():
    class Proxy:
        async def get(self) -> int:
            return 1

        def __getattr__(self, name: str) -> Any:
            return self.get

    async with linked(Proxy()) as pair:
        assert await pair.stub(Proxy).get() == 1
