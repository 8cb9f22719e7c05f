"""What the tests of the TypeScript client connect to: `python -m tests.clients.serving URL...` serves until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import penstock
from tests.clients.market import Market
from tests.clients.screen import Director


class Counter(penstock.Actor):
    """An actor with a state, a method that fails, and one that streams."""

    def __init__(self) -> None:
        self.n = 0
        self.ticks = self.port("ticks", overflow="drop_oldest", buffer_size=3)

    async def add(self, k: int = 1) -> int:
        self.n += k
        return self.n

    async def fail(self) -> None:
        raise penstock.FailedPrecondition("it cannot")

    async def slow(self) -> int:
        await asyncio.sleep(0.1)
        return self.n

    async def up(self, n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    async def publish(self, n: int) -> None:
        for number in range(n):
            await self.ticks.send(number)


class Barber(penstock.Actor):
    """An actor that takes channels."""

    async def on_channel(self, channel: penstock.Channel[str]) -> None:
        if channel.payload == "beard":
            await channel.reject("no beards on Friday")
            return
        await channel.accept({"price": 20})
        if channel.payload == "in a hurry":
            await channel.send("done")
            channel.close_send()
            await channel.receive()
            raise penstock.ResourceExhausted("there is no time")
        async for wish in channel:
            if wish == "enough":
                await channel.close("the shop is closed")
                return
            await channel.send(f"{wish}: done")


class Ends:
    """Ends of streams as values."""

    def __init__(self) -> None:
        self.made = 0
        self.left = 0
        self.heard: list[object] = []

    async def source(self, n: int) -> penstock.SourceRef[int]:
        return penstock.SourceRef(self._numbers(n))

    async def _numbers(self, n: int) -> AsyncIterator[int]:
        self.made = 0
        try:
            for number in range(n):
                self.made += 1
                yield number
        finally:
            self.left += 1

    async def sink(self) -> penstock.SinkRef[int]:
        """Give an end whose items `taken` tells."""
        sink, source = penstock.pipe(4)
        self.heard = []
        self.hearing = asyncio.create_task(self._hear(source))
        return penstock.SinkRef(sink)

    async def _hear(self, source: penstock.Source[int]) -> None:
        try:
            async for number in source:
                self.heard.append(number)
        except penstock.PenstockError as error:
            self.heard.append(type(error).__name__)

    async def taken(self) -> list[object]:
        await self.hearing
        return self.heard

    async def counts(self) -> list[int]:
        return [self.made, self.left]


class Runs(Market):
    """Streams that are kept."""

    async def start(self, name: str, n: int, pause_ms: float = 0) -> int:
        """Make a stream of `n` numbers under a name; a second call finds the first one's. Return how many are kept."""
        stream = penstock.retained(name, self._numbers(n, pause_ms))
        return stream.next_offset

    async def _numbers(self, n: int, pause_ms: float) -> AsyncIterator[int]:
        for number in range(n):
            yield number
            if pause_ms:
                await asyncio.sleep(pause_ms / 1000)

    async def append(self, name: str, items: list[int]) -> int:
        """Append items to a stream, as to the durable one of `--kept`, and return the offset of the next one."""
        stream: penstock.Retained[int] = penstock.retained(name)
        await stream.send_many(items)
        await stream.flush()
        return stream.next_offset

    async def end(self, name: str) -> None:
        """End a stream that was appended to."""
        penstock.retained(name).close()


async def main(urls: list[str], kept: str | None) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings = penstock.Settings(origins=("*",))
    if kept:
        penstock.retained("kept", durable=kept)
    async with penstock.ActorSystem() as system:
        await system.spawn(Counter, name="counters/blue")
        await system.spawn(Barber, name="barber")
        runs = penstock.exposed(Runs(), as_=Runs)
        async with penstock.serve(runs, Market(), Director(), Ends(), system, listen=urls, settings=settings) as server:
            for url in server.urls:
                sys.stdout.write(f"at {url}\n")
            sys.stdout.flush()
            await stopping.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--kept", metavar="PATH", help="the file of a durable stream")
    given = parser.parse_args()
    asyncio.run(main(given.urls, given.kept))
