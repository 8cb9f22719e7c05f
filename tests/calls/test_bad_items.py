"""Items that do not fit their type: a typed outcome after the items before them, and no other call is harmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import InvalidArgument
from tests.calls.kit import Log, collected, linked, rest


class Loose:
    """The same methods without types: a peer that does not keep to what was declared."""

    service_name = "Strict"

    async def watch(self, items: list) -> AsyncIterator:
        for item in items:
            yield item

    async def hold(self, items: list) -> AsyncIterator:
        for item in items:
            yield item
        await asyncio.Event().wait()

    async def unary(self, item) -> None:
        return item

    async def record(self, items: AsyncIterator) -> int: ...

    async def trade(self, items: AsyncIterator) -> AsyncIterator: ...


Loose.unary.__annotations__.pop("return")


class Strict:
    def __init__(self):
        self.log = Log()

    async def watch(self, items: list) -> AsyncIterator[int]: ...

    async def hold(self, items: list) -> AsyncIterator[int]: ...

    async def unary(self, item) -> int: ...

    async def record(self, items: AsyncIterator[int]) -> int:
        total = 0
        try:
            async for item in items:
                total += item
        except InvalidArgument:
            self.log.append("the handler saw it")
            raise
        return total

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item

    async def patient(self, items: AsyncIterator[int]) -> int:
        while True:
            try:
                await items.receive()
            except InvalidArgument:
                return -1


BAD_PLACES = [0, 1, 2, 5]


def spoiled(place):
    items = list(range(6))
    items[place] = "bad"
    return items


@pytest.mark.parametrize("method", ["watch", "hold"])
@pytest.mark.parametrize("place", BAD_PLACES)
async def test_a_response_that_does_not_decode_is_data_loss_after_the_items_before_it(place, method):
    async with linked(Loose()) as pair:
        items, error = await collected(getattr(pair.stub(Strict), method)(spoiled(place)))
        assert items == list(range(place))
        assert type(error) is penstock.DataLoss
        assert f"item {place} does not fit its type" in error.message
        with pytest.raises(penstock.DataLoss):
            await pair.stub(Strict).unary("bad")
        assert await pair.stub(Strict).unary(3) == 3


@pytest.mark.parametrize("place", BAD_PLACES)
async def test_reading_on_after_a_response_that_does_not_decode_is_the_same_error_again(place):
    async with linked(Loose()) as pair:
        stream = pair.stub(Strict).watch(spoiled(place))
        for number in range(place):
            assert await stream.receive() == number
        for _ in range(3):
            with pytest.raises(penstock.DataLoss, match=f"item {place}"):
                await stream.receive()
        assert stream.statistics().state == "failed"


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("place", BAD_PLACES)
async def test_a_request_that_does_not_decode_is_invalid_in_the_handler_and_at_the_caller(place, later):
    strict = Strict()

    async def requests():
        for item in spoiled(place):
            yield item
            if later:
                await rest()

    async with linked(strict) as pair:
        with pytest.raises(InvalidArgument, match=f"item {place} does not fit its type"):
            await pair.stub(Strict).record(requests())
        assert strict.log == ["the handler saw it"]
        items, error = await collected(pair.stub(Strict).trade(requests()))
        assert items == list(range(place))
        assert type(error) is InvalidArgument
        assert await pair.stub(Strict).patient(requests()) == -1
        assert await pair.stub(Strict).record([1, 2]) == 3
