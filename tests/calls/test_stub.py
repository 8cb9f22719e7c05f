"""A stub stands for its class: the same methods, and a clear word for everything else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator

import pytest

from penstock.calls import Stream
from tests.calls.kit import linked


class Prices:
    async def quote(self, symbol: str) -> float:
        """Return the last price."""
        return 1.5

    async def watch(self) -> AsyncIterator[float]:
        yield 1.5

    async def record(self, prices: AsyncIterator[float]) -> int:
        return len([price async for price in prices])


@pytest.fixture
async def stub():
    async with linked(Prices()) as pair:
        yield pair.peer.service(Prices)


async def test_a_method_has_its_name_and_its_text(stub):
    assert stub.quote.__name__ == "quote"
    assert stub.quote.__doc__ == "Return the last price."
    assert stub.quote is stub.quote


async def test_what_the_service_has_not_the_stub_has_not(stub):
    with pytest.raises(AttributeError, match=r"unknown method 'quot' of Prices; did you mean 'quote'\?"):
        stub.quot  # noqa: B018 - that is the case under test
    assert not hasattr(stub, "aclose")
    assert not hasattr(stub, "_quote")
    assert not hasattr(stub, "__len__")


async def test_a_stub_says_what_it_is(stub):
    assert repr(stub) == "<Prices at memory://test, 3 methods>"


async def test_a_call_that_streams_begins_when_it_is_made_and_the_others_when_they_are_awaited(stub):
    assert isinstance(stub.watch(), Stream)
    quoting, recording = stub.quote("A"), stub.record([1.0])
    assert (await quoting, await recording) == (1.5, 1)


async def test_a_stub_is_no_value(stub):
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(stub)


async def test_a_copy_of_a_stub_is_a_stub(stub):
    assert await copy.copy(stub).quote("A") == 1.5
