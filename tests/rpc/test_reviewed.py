"""What a reader found: each of these hung, lost an outcome, or took the connection with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import Cancelled, DataLoss, InvalidArgument, PenstockError, Unavailable
from tests.rpc.kit import linked, rest, started


class Even(penstock.Struct):
    value: int

    def __post_init__(self) -> None:
        assert self.value % 2 == 0, "odd"


class Desk:
    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun = 0

    async def count(self) -> AsyncIterator[int]:
        for number in range(1_000_000):
            yield number

    async def silent(self) -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 0

    async def check(self, even: Even) -> int:
        return even.value

    async def wrong(self) -> Even:
        even = Even(2)
        even.value = 3
        return even

    async def slow(self) -> int:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            await self.open.wait()
        return 0


@asynccontextmanager
async def around(_call: penstock.CallInfo) -> AsyncIterator[None]:
    yield


async def test_the_consumer_of_an_intercepted_stream_is_told_when_its_peer_is_closed():
    async with linked(Desk(), gate=False, client_interceptors=[around]) as pair:
        stream = penstock.Stream.of(pair.stub(Desk).silent())
        waiting = await started(stream.receive())
        await pair.peer.aclose()
        with pytest.raises((Cancelled, Unavailable)):
            await asyncio.wait_for(waiting, 1)


async def test_nothing_comes_after_a_cancel_inside_the_loop():
    async with linked(Desk()) as pair:
        stream = penstock.Stream.of(pair.stub(Desk).count())
        taken = []
        with pytest.raises(PenstockError):  # noqa: PT012 - the loop raises
            async for item in stream:
                taken.append(item)
                if item == 2:
                    stream.cancel()
        assert taken == [0, 1, 2]


async def test_a_type_that_checks_itself_may_raise_what_it_likes():
    async with linked(Desk()) as pair:
        stub = pair.stub(Desk)
        with pytest.raises(InvalidArgument, match="odd"):
            await pair.peer.call("Desk/check", {"value": 3})
        with pytest.raises(DataLoss, match="odd"):
            await stub.wrong()
        assert await stub.check(Even(4)) == 4


async def test_a_call_that_arrives_while_a_peer_closes_is_refused():
    desk = Desk()
    async with linked(Desk(), gate=False, client_services=[desk]) as pair:
        (served,) = pair.server.peers
        first = asyncio.ensure_future(served.call("Desk/slow"))
        await rest()
        closing = asyncio.ensure_future(pair.peer.aclose())
        await rest()
        with pytest.raises(Unavailable) as raised:
            await served.call("Desk/slow")
        assert not raised.value.started
        desk.open.set()
        await closing
        await asyncio.gather(first, return_exceptions=True)
        assert desk.begun == 1
