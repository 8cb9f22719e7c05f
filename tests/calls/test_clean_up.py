"""Clean-up that takes its time: whoever is told to stop is told once, and its `finally` may await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock.testing import SimulatedNetwork
from tests.calls.kit import Log, collected, ended, linked, rest, started

KINDS = ["unary", "watch", "record", "trade"]


class Careful:
    """Each handler waits for ever, and needs a second to clean up."""

    def __init__(self):
        self.log = Log()

    async def _wait(self):
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("cleaning")
            await asyncio.sleep(1)
            self.log.append("clean")

    async def unary(self) -> None:
        await self._wait()

    async def watch(self) -> AsyncIterator[int]:
        yield 1
        await self._wait()

    async def record(self, items: AsyncIterator[int]) -> None:
        await self._wait()

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        yield 1
        await self._wait()

    async def stalled(self) -> AsyncIterator[int]:
        """Waits for credit, not inside itself."""
        try:
            while True:
                yield 1
        finally:
            self.log.append("cleaning")
            await asyncio.sleep(1)
            self.log.append("clean")

    async def closes_early(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        yield await items.receive()
        await items.aclose()
        await asyncio.sleep(0.2)
        yield 0
        await asyncio.sleep(0.2)

    async def returns_early(self, items: AsyncIterator[int]) -> int:
        return await items.receive()


async def never():
    await asyncio.Event().wait()
    yield 0


def begin(stub, kind):
    if kind in {"unary", "record"}:
        return asyncio.ensure_future(stub.unary() if kind == "unary" else stub.record(never()))
    stream = {"watch": stub.watch, "stalled": stub.stalled, "trade": lambda: stub.trade(never())}[kind]()
    return asyncio.ensure_future(collected(stream) if kind != "stalled" else asyncio.sleep(1e6, stream))


@pytest.mark.parametrize("latency_s", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_past_its_deadline_is_cancelled_once_on_any_network(kind, latency_s):
    """The callee's own clock and the caller's word arrive one after the other, in either order."""
    service = Careful()
    with SimulatedNetwork(1, latency_s=(latency_s, latency_s)):
        async with linked(service, url="sim://server") as pair:
            await ended(begin(pair.stub(Careful, timeout=2), kind))
            await asyncio.sleep(3)
            assert service.log == ["cleaning", "clean"]


@pytest.mark.parametrize("second", ["lost", "deadline", "server closes"])
@pytest.mark.parametrize("kind", [*KINDS, "stalled"])
async def test_a_handler_whose_caller_has_left_is_not_cancelled_again(kind, second):
    service = Careful()
    async with linked(service, gate=False) as pair:
        calling = begin(pair.stub(Careful, timeout=1.5) if second == "deadline" else pair.stub(Careful), kind)
        await asyncio.sleep(1)
        calling.cancel()
        await ended(calling)
        del calling
        await asyncio.sleep(0.3)
        assert service.log == ["cleaning"]
        if second == "lost":
            pair.served._scope.session.link.abort()
        elif second == "server closes":
            await asyncio.wait([asyncio.ensure_future(pair.server.aclose(grace_s=5))])
        await asyncio.sleep(3)
        assert service.log == ["cleaning", "clean"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_whose_connection_is_lost_is_not_cancelled_again_when_the_server_closes(kind):
    service = Careful()
    async with linked(service, gate=False, client_reconnect=None) as pair:
        calling = begin(pair.stub(Careful), kind)
        await rest()
        pair.served._scope.session.link.abort()
        await ended(calling)
        await asyncio.sleep(0.5)
        await pair.server.aclose(grace_s=5)
        await rest()
        assert service.log == ["cleaning", "clean"]


class Requests:
    """Requests that need a second to clean up."""

    def __init__(self):
        self.log = Log()

    async def __aiter__(self):
        try:
            while True:
                yield 1
                await asyncio.sleep(0.01)
        finally:
            self.log.append("cleaning")
            await asyncio.sleep(1)
            self.log.append("clean")


@pytest.mark.parametrize("latency_s", [0.0, 0.05])
@pytest.mark.parametrize("how", ["closes_early", "returns_early", "cancel", "deadline", "aclose", "break"])
async def test_requests_that_are_not_wanted_any_more_are_closed_once(how, latency_s):
    requests = Requests()
    with SimulatedNetwork(1, latency_s=(latency_s, latency_s), split=0.5):
        async with linked(Careful(), url="sim://server") as pair:
            stub = pair.stub(Careful, buffer_size=4)
            if how == "closes_early":
                assert await collected(stub.closes_early(requests)) == ([1, 0], None)
            elif how == "returns_early":
                assert await stub.returns_early(requests) == 1
            elif how == "cancel":
                calling = await started(stub.record(requests))
                await asyncio.sleep(1)
                calling.cancel()
                await ended(calling)
            elif how == "deadline":
                await collected(penstock.options(stub, timeout=1).trade(requests))
            elif how == "aclose":
                stream = stub.trade(requests)
                await stream.receive()
                await stream.aclose()
            else:
                async for _ in stub.trade(requests):
                    break
            await asyncio.sleep(5)
            assert requests.log == ["cleaning", "clean"]


async def test_leaving_the_client_waits_for_the_requests_to_clean_up():
    requests = Requests()
    async with linked(Careful(), gate=False) as pair:
        stream = pair.stub(Careful).trade(requests)
        await stream.receive()
        stream.cancel()
        await asyncio.sleep(0.2)
    assert requests.log == ["cleaning", "clean"]


async def test_requests_that_outlive_their_handler_do_not_end_they_are_closed():
    class Leaver:
        def __init__(self) -> None:
            self.read: list[object] = []

        async def take(self, items: AsyncIterator[int]) -> int:
            async def go_on() -> None:
                try:
                    async for item in items:
                        await asyncio.sleep(1)
                        self.read.append(item)
                except penstock.PenstockError as error:
                    self.read.append(error)
                else:
                    self.read.append("an end")

            self.task = asyncio.ensure_future(go_on())
            await asyncio.sleep(2.5)
            return 1

    leaver = Leaver()
    async with linked(leaver) as pair:
        assert await pair.stub(Leaver).take(range(1000)) == 1
        await leaver.task
        assert isinstance(leaver.read[-1], penstock.StreamClosed)
