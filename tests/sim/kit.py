"""The oracle of the simulations: items with a running hash, checked at both ends, for all four kinds of calls."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import penstock
from penstock.testing import SimulatedNetwork
from tests.calls.kit import Pair, linked, rest

URL = "sim://client@server"
KINDS = ["unary", "watch", "record", "trade"]


class Sample(penstock.Struct, frozen=True):
    """An item that knows its place: `chain` is the hash over everything up to it."""

    number: int
    chain: bytes
    payload: bytes


class Chain:
    """A running hash, on either side of a stream."""

    def __init__(self) -> None:
        self.count = 0
        self.hash = b""

    def next(self, size: int) -> Sample:
        """Make the next item."""
        payload = bytes((self.count + place) % 251 for place in range(min(size, 64))) * max(size // 64, 1)
        self._advance(payload)
        return Sample(self.count - 1, self.hash, payload)

    def check(self, sample: Sample) -> None:
        """Check that this item, and no other, comes next."""
        assert sample.number == self.count, f"item {sample.number} where {self.count} is next"
        self._advance(sample.payload)
        assert sample.chain == self.hash, f"item {sample.number} is not what was sent"

    def _advance(self, payload: bytes) -> None:
        self.hash = hashlib.blake2b(self.hash + self.count.to_bytes(8, "big") + payload, digest_size=8).digest()
        self.count += 1


class Total(penstock.Struct, frozen=True):
    """What came in: how many, and their hash."""

    count: int
    chain: bytes


class Line:
    """The service under test: it counts what it made, and how its handlers ended."""

    def __init__(self) -> None:
        self.produced = 0
        self.begun = 0
        self.closed = 0
        self.cancelled = 0

    @asynccontextmanager
    async def _handled(self) -> AsyncIterator[None]:
        self.begun += 1
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.closed += 1

    async def unary(self, count: int, size: int = 8, pause_s: float = 0.0) -> Total:
        async with self._handled():
            chain = Chain()
            for _ in range(count):
                chain.next(size)
                await asyncio.sleep(pause_s)
            return Total(chain.count, chain.hash)

    async def watch(self, count: int, size: int = 8, pause_s: float = 0.0) -> AsyncIterator[Sample]:
        async with self._handled():
            chain = Chain()
            for _ in range(count):
                self.produced += 1
                yield chain.next(size)
                if pause_s:
                    await asyncio.sleep(pause_s)

    async def record(self, samples: AsyncIterator[Sample], pause_s: float = 0.0) -> Total:
        async with self._handled():
            chain = Chain()
            async for sample in samples:
                chain.check(sample)
                if pause_s:
                    await asyncio.sleep(pause_s)
            return Total(chain.count, chain.hash)

    async def trade(self, samples: AsyncIterator[Sample], pause_s: float = 0.0) -> AsyncIterator[Sample]:
        async with self._handled():
            chain = Chain()
            async for sample in samples:
                chain.check(sample)
                yield sample
                if pause_s:
                    await asyncio.sleep(pause_s)


class Requests:
    """A stream of requests that is counted, and says when it was closed."""

    def __init__(self, count: int, size: int = 8, pause_s: float = 0.0) -> None:
        self.count = count
        self.size = size
        self.pause_s = pause_s
        self.produced = 0
        self.open = 0

    async def __aiter__(self) -> AsyncIterator[Sample]:
        chain = Chain()
        self.open += 1
        try:
            for _ in range(self.count):
                self.produced += 1
                yield chain.next(self.size)
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)
        finally:
            self.open -= 1


class Run:
    """One call of any kind from begin to end: how far it came, and how it ended."""

    def __init__(self, stub: Any, kind: str, *, count: int = 20, size: int = 8, pause_s: float = 0.0) -> None:
        self.stub = stub
        self.kind = kind
        self.wanted = count
        self.size = size
        self.pause_s = pause_s
        self.requests = Requests(count, size, pause_s)
        self.seen = Chain()
        self.stream: Any = None
        self.outcome: BaseException | None = None
        self.ended_at: float | None = None

    async def go(self) -> Run:
        """Make the call and read it to its end; what it failed with is kept."""
        try:
            await getattr(self, f"_{self.kind}")()
        except Exception as error:  # noqa: BLE001 - the scenario judges it
            self.outcome = error
        except asyncio.CancelledError as error:
            self.outcome = error
            raise
        finally:
            self.ended_at = asyncio.get_running_loop().time()
        return self

    async def _unary(self) -> None:
        self._total(await self.stub.unary(self.wanted, self.size, self.pause_s))

    async def _record(self) -> None:
        self._total(await self.stub.record(self.requests))

    async def _watch(self) -> None:
        self.stream = self.stub.watch(self.wanted, self.size, self.pause_s)
        await self._read(self.stream)

    async def _trade(self) -> None:
        self.stream = self.stub.trade(self.requests)
        await self._read(self.stream)

    async def _read(self, samples: AsyncIterable[Sample]) -> None:
        async for sample in samples:
            self.seen.check(sample)

    def _total(self, total: Total) -> None:
        while self.seen.count < total.count:
            self.seen.next(self.size)
        assert self.seen.hash == total.chain

    def check_complete(self) -> None:
        """It ended normally, so all of it must be here."""
        assert self.outcome is None, self.outcome
        assert self.seen.count == self.wanted

    def check_typed(self, *errors: type[BaseException]) -> None:
        """It ended normally with all of it, or with one of `errors` after a part of it."""
        if self.outcome is None:
            self.check_complete()
        else:
            assert isinstance(self.outcome, errors), repr(self.outcome)


@asynccontextmanager
async def world(seed: int, *, gate: bool = True, network: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[World]:
    """A simulated network with a server and a client on it."""
    line = Line()
    with SimulatedNetwork(seed, **(network or {})) as simulated:
        async with linked(line, url=options.pop("url", URL), gate=gate, client_reconnect=None, **options) as pair:
            await pair.served._scope.session.ready  # its HELLO may still be on the way
            yield World(simulated, pair, line)
    await rest()
    assert line.closed == line.begun, "a handler was never closed"


class World:
    """What a scenario plays with."""

    def __init__(self, network: SimulatedNetwork, pair: Pair, line: Line) -> None:
        self.network = network
        self.pair = pair
        self.line = line

    def run(self, kind: str, *, count: int = 20, size: int = 8, pause_s: float = 0.0, **options: Any) -> Run:
        """Prepare a call; `go()` makes it."""
        return Run(self.pair.stub(Line, **options), kind, count=count, size=size, pause_s=pause_s)
