"""The public API as a type checker sees it: mypy --strict and pyright read this file, nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, assert_type

import penstock


class Price(penstock.Struct):
    symbol: str
    value: float


class Summary(penstock.Struct):
    count: int


class Quotes(Protocol):
    async def quote(self, symbol: str) -> Price: ...


class Prices:
    async def quote(self, symbol: str) -> Price:
        return Price(symbol=symbol, value=1.0)

    async def watch(self, symbol: str) -> AsyncIterator[Price]:
        yield Price(symbol=symbol, value=1.0)

    async def record(self, prices: AsyncIterator[Price]) -> Summary:
        return Summary(count=len([price async for price in prices]))

    async def trade(self, orders: AsyncIterator[Price]) -> AsyncIterator[Summary]:
        async for _ in orders:
            yield Summary(count=1)


async def some_prices() -> AsyncIterator[Price]:
    yield Price(symbol="A", value=1.0)


async def a_pipe_in_one_process() -> None:
    sink: penstock.Sink[int]
    source: penstock.Source[int]
    sink, source = penstock.pipe(buffer_size=4)
    await sink.send(1)
    sink.send_nowait(2)
    await sink.send_many([3, 4])
    sink.close()
    assert_type(await source.receive(), int)
    async for item in source:
        assert_type(item, int)
    async for batch in source.batches(max_items=8):
        assert_type(batch, list[int])


async def a_server() -> None:
    async with penstock.serve(Prices(), listen=["tcp://127.0.0.1:0", "memory://typing"]) as server:
        assert_type(server, penstock.Server)
        for url in server.urls:
            assert_type(url, str)
        await server.wait_closed()
        await server.aclose(grace_s=1)


async def a_stub_has_the_type_of_its_service(peer: penstock.Peer) -> None:
    assert_type(peer.service(Quotes), Quotes)
    assert_type(peer.actor(Quotes, "quotes"), Quotes)
    prices = peer.service(Prices)
    assert_type(prices, Prices)
    assert_type(await prices.quote("A"), Price)
    assert_type(await prices.record(some_prices()), Summary)
    async for price in prices.watch("A"):
        assert_type(price, Price)
    stream = penstock.Stream.of(prices.watch("A"))  # FAULTS E4
    assert_type(stream, penstock.Stream[Price])
    async for batch in stream.batches():
        assert_type(batch, list[Price])
    async with penstock.Stream[Price].of(prices.watch("A")) as same:
        assert_type(await same.receive(), Price)
    async for summary in prices.trade(some_prices()):
        assert_type(summary, Summary)


async def options_keep_the_type(prices: Prices) -> None:
    slow = penstock.options(
        prices, timeout=5, idle_timeout=1, buffer_size=8, buffer_bytes=65536, priority="bulk", metadata={"trace": "1"}
    )
    assert_type(slow, Prices)


async def calls_by_name() -> None:
    async with penstock.connect("tcp://127.0.0.1:7700", timeout=3) as peer:
        assert_type(peer, penstock.Peer)
        assert_type(await peer.call("Prices/quote", "A"), Any)
        async with peer.stream("Prices/watch", "A") as stream:
            assert_type(stream, penstock.Stream[Any])
            async for item in stream:
                assert_type(item, Any)
        call = peer.open("Prices/trade")
        await call.send(Price(symbol="A", value=1.0))
        call.close_send()
        call.cancel()


async def a_channel(channel: penstock.Channel[Price]) -> None:
    await channel.accept({"hello": channel.initiator})
    await channel.send(Summary(count=1))
    assert_type(await channel.receive(), Price)
    async for message in channel:
        assert_type(message, Price)
    async for batch in channel.batches():
        assert_type(batch, list[Price])
    async with channel as same:
        assert_type(same, penstock.Channel[Price])
    assert_type(channel.reason, str)
    channel.close_send()
    await channel.close("done")


def what_a_handler_can_ask() -> None:
    context = penstock.context()
    assert_type(context, penstock.CallInfo)
    assert_type(context.peer, penstock.Peer | None)
    assert_type(context.deadline, float | None)
    assert_type(context.time_remaining(), float | None)
    assert_type(context.draining, bool)


@asynccontextmanager
async def an_interceptor(call: penstock.CallInfo) -> AsyncIterator[None]:
    assert_type(call.peer, penstock.Peer | None)
    call.metadata["trace"] = "1"
    yield


async def a_connection_with_an_interceptor() -> None:
    async with penstock.connect("memory://typing", interceptors=[an_interceptor]) as peer:
        assert_type(peer, penstock.Peer)
