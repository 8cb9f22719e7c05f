"""The same between event loops that share nothing but sockets: three of them, the third reached by way of the second."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import penstock
from penstock.refs import SinkRef, SourceRef
from tests.refs.kit import Exchange, Price, Producer


class Middle:
    """Sends on what it gets from `origin`."""

    def __init__(self, origin: Any) -> None:
        self.origin = origin

    async def numbers(self) -> SourceRef[int]:
        return await self.origin.numbers()

    async def entrance(self) -> SinkRef[int]:
        return await self.origin.entrance()


@contextlib.contextmanager
def elsewhere(serving: Callable[[Callable[[str], None]], Awaitable[None]]) -> Iterator[str]:
    """Run a server on a loop and a thread of its own until the block is left."""
    begun, urls, stop = threading.Event(), [], []

    async def run() -> None:
        async with asyncio.timeout(30):
            stopped = asyncio.Event()
            stop.append((asyncio.get_running_loop(), stopped))

            def ready(url: str) -> None:
                urls.append(url)
                begun.set()

            work = asyncio.ensure_future(serving(ready))
            await stopped.wait()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert begun.wait(10)
        yield urls[0]
    finally:
        loop, stopped = stop[0]
        loop.call_soon_threadsafe(stopped.set)
        thread.join(20)


@contextlib.asynccontextmanager
async def _serving(service: object, ready: Callable[[str], None]) -> AsyncIterator[None]:
    async with penstock.serve(service, listen="tcp://127.0.0.1:0") as server:
        ready(server.urls[0])
        yield


def test_a_stream_crosses_three_event_loops_each_way():
    exchange: list[Exchange] = []
    filled: list[list[int]] = []

    async def origin(ready: Callable[[str], None]) -> None:
        exchange.append(Exchange())
        async with _serving(exchange[0], ready):
            filled.append([item async for item in exchange[0].source])
            await asyncio.Event().wait()

    def middle(url: str) -> Callable[[Callable[[str], None]], Awaitable[None]]:
        async def run(ready: Callable[[str], None]) -> None:
            async with penstock.connect(url) as peer, _serving(Middle(peer.service(Exchange)), ready):
                await asyncio.Event().wait()

        return run

    async def end(first: str, second: str) -> None:
        async with penstock.connect(first) as near, penstock.connect(second) as far:
            prices = await near.service(Exchange).prices()
            assert [price async for price in prices] == [Price("a", 1.0), Price("b", 2.0)]
            assert await near.service(Exchange).total(SourceRef(Producer(1000))) == 499_500
            entrance = await far.service(Middle).entrance()
            async with entrance:
                await entrance.send_many(range(1000))
            numbers = await far.service(Middle).numbers()
            async with numbers.claim(buffer_size=4) as source:
                assert [await source.receive() for _ in range(3)] == [0, 1, 2]
            async with asyncio.timeout(5):
                while not (exchange[0].producer.stopped.is_set() and filled):
                    await near.service(Exchange).give()  # a round trip
            assert exchange[0].producer.produced <= 3 + 2 * 4 + 2

    with elsewhere(origin) as first, elsewhere(middle(first)) as second:
        asyncio.run(end(first, second))
    assert filled == [list(range(1000))]
