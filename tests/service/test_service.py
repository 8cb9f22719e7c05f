"""A class is read once, before any call: kinds from the annotations, and what cannot travel is refused with its name."""

from __future__ import annotations

import asyncio
import collections.abc
import functools
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any, Protocol

import pytest

import penstock
from penstock.errors import Unimplemented
from penstock.service import service_of
from tests.calls.kit import collected, linked


class Price(penstock.Struct):
    value: float


class EveryForm:
    """Each way to write a stream, as result and as parameter."""

    async def unary(self, a: int, b: str = "x") -> Price: ...
    async def unary_without_hints(self, a): ...
    async def unary_none(self) -> None: ...

    async def generator_iterator(self) -> AsyncIterator[Price]:
        yield Price(1)

    async def generator_iterable(self) -> AsyncIterable[Price]:
        yield Price(1)

    async def generator_generator(self) -> AsyncGenerator[Price, None]:
        yield Price(1)

    async def generator_typing(self) -> typing.AsyncIterator[Price]:
        yield Price(1)

    async def generator_bare(self) -> AsyncIterator:
        yield Price(1)

    async def generator_without_hints(self):
        yield Price(1)

    async def generator_quoted(self) -> "AsyncIterator[Price]":  # noqa: UP037 - quoted twice, as some editors leave it
        yield Price(1)

    async def coroutine(self) -> AsyncIterator[Price]:
        return self.generator_iterator()

    def plain(self) -> AsyncIterator[Price]:
        return self.generator_iterator()

    def plain_source(self) -> penstock.Source[Price]:
        sink, source = penstock.pipe()
        sink.send_nowait(Price(1))
        sink.close()
        return source

    def plain_stream(self) -> penstock.Stream[Price]:
        return self.generator_iterator()

    async def takes_iterator(self, prices: AsyncIterator[Price]) -> int: ...
    async def takes_iterable(self, prices: AsyncIterable[Price]) -> int: ...
    async def takes_typing(self, prices: typing.AsyncIterable[Price]) -> int: ...
    async def takes_collections(self, prices: collections.abc.AsyncIterator[Price]) -> int: ...
    async def takes_source(self, prices: penstock.Source[Price]) -> int: ...
    async def takes_bare(self, prices: AsyncIterator) -> int: ...
    async def takes_more(self, before: int, prices: AsyncIterator[Price], after: int = 1, *, named: str = "n") -> int: ...

    async def both(self, prices: AsyncIterator[Price]) -> AsyncIterator[int]:
        yield 1

    def both_plain(self, prices: penstock.Source[Price]) -> AsyncIterator[int]: ...

    def no_method(self) -> int: ...
    async def _private(self) -> complex: ...

    @property
    def value(self) -> int:
        return 1

    attribute = 3


KINDS = {
    "unary": ("unary", "unary_without_hints", "unary_none"),
    "server_streaming": (
        "generator_iterator",
        "generator_iterable",
        "generator_generator",
        "generator_typing",
        "generator_bare",
        "generator_without_hints",
        "generator_quoted",
        "coroutine",
        "plain",
        "plain_source",
        "plain_stream",
    ),
    "client_streaming": (
        "takes_iterator",
        "takes_iterable",
        "takes_typing",
        "takes_collections",
        "takes_source",
        "takes_bare",
        "takes_more",
    ),
    "bidirectional": ("both", "both_plain"),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names])
def test_the_kind_of_a_method_follows_from_its_annotations(kind, name):
    method = service_of(EveryForm).methods[name]
    assert method.kind.label == kind
    assert method.target == f"EveryForm/{name}"
    item = Any if "bare" in name or "without_hints" in name else Price
    if method.streams_requests:
        assert method.request is item
    elif name != "unary_none":
        assert method.response is item


def test_what_is_no_public_async_method_is_no_method():
    expected = {name for names in KINDS.values() for name in names}
    assert set(service_of(EveryForm).methods) == expected


@pytest.mark.parametrize("name", KINDS["server_streaming"])
async def test_every_form_of_a_server_stream_can_be_called(name):
    async with linked(EveryForm()) as pair:
        items, error = await collected(getattr(pair.stub(EveryForm), name)())
        assert error is None
        assert items in ([Price(1)], [{"value": 1.0}])


def test_parameters_keep_their_names_types_and_defaults_and_the_stream_its_place():
    arguments = service_of(EveryForm).methods["takes_more"].arguments
    assert [(p.name, p.type, p.required, p.keyword) for p in arguments.parameters] == [
        ("before", int, True, False),
        ("after", int, False, False),
        ("named", str, False, True),
    ]


def test_a_service_is_called_as_its_class_or_as_it_says():
    class Plain:
        async def a(self) -> int: ...

    class Named:
        service_name = "other.Name"

        async def a(self) -> int: ...

    assert service_of(Plain).name == "Plain"
    assert service_of(Named).methods["a"].target == "other.Name/a"


def test_methods_are_inherited_and_overridden_as_in_python():
    class Base:
        async def a(self) -> int: ...
        async def b(self) -> int: ...

    class Derived(Base):
        async def b(self) -> str: ...

    methods = service_of(Derived).methods
    assert {name: method.response for name, method in methods.items()} == {"a": int, "b": str}
    assert methods["a"].target == "Derived/a"


async def test_a_protocol_is_enough_for_a_stub():
    class Quotes(Protocol):
        service_name = "Live"

        async def quote(self, symbol: str) -> Price: ...
        def watch(self) -> AsyncIterator[Price]: ...

    class Live:
        async def quote(self, symbol: str) -> Price:
            return Price(2)

        async def watch(self) -> AsyncIterator[Price]:
            yield Price(3)

    async with linked(Live()) as pair:
        stub = pair.stub(Quotes)
        assert await stub.quote("A") == Price(2)
        assert [price async for price in stub.watch()] == [Price(3)]


def test_a_decorated_method_is_read_through_its_wrapper():
    def decorated(method):
        @functools.wraps(method)
        async def wrapper(*args, **kwargs):
            return await method(*args, **kwargs)

        return wrapper

    class Decorated:
        @decorated
        async def a(self, x: int) -> str: ...

    method = service_of(Decorated).methods["a"]
    assert method.response is str
    assert [p.name for p in method.arguments.parameters] == ["x"]


def test_a_plain_method_is_none_however_its_result_is_called():
    class AsyncThing:
        pass

    class DataSource(penstock.Struct):
        x: int

    class Mixed:
        async def a(self) -> int: ...

        def thing(self) -> AsyncThing: ...

        def info(self) -> DataSource: ...

    Mixed.thing.__annotations__["return"] = AsyncThing
    Mixed.info.__annotations__["return"] = DataSource
    assert set(service_of(Mixed).methods) == {"a"}


def test_an_unknown_method_is_told_with_its_owner_and_a_hint():
    service = service_of(EveryForm)
    name, method = next(iter(service.methods.items()))
    assert service.method(name) is method
    with pytest.raises(Unimplemented) as raised:
        service.method(f"{name}x")
    assert raised.value.message == f"unknown method '{name}x' of EveryForm; did you mean {name!r}?"
    assert raised.value.started is False
    with pytest.raises(Unimplemented, match=r"^unknown method 'zzzzzz' of every/1 \(EveryForm\); known methods: "):
        service.method("zzzzzz", of="every/1")


def test_reading_a_class_needs_no_event_loop():
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert service_of(EveryForm) is service_of(EveryForm)
