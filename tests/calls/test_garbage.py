"""What a call leaves behind: nothing that waits for the garbage collector, whose pauses are everybody's latency."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator

import pytest

import penstock
from tests.calls.kit import linked, rest

CALLS = 10
TYPES = {
    *("Call", "CallInfo", "RemoteSink", "RemoteSource", "RemoteStream", "ServerCall", "StreamHandle", "Unary", "WeakEndpoint"),
    "WireStream",
}


class Service:
    async def echo(self, value: int) -> int:
        return value

    async def count(self, items: int) -> AsyncIterator[int]:
        for number in range(items):
            yield number

    async def fail(self) -> AsyncIterator[int]:
        yield 1
        raise penstock.NotFound("x")

    async def total(self, items: AsyncIterator[int]) -> int:
        return sum([item async for item in items])

    async def mirror(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item


async def unary(stub):
    await stub.echo(1)


async def failed_unary(stub):
    with contextlib.suppress(penstock.InvalidArgument):
        await stub.echo("x")


async def loop_to_the_end(stub):
    async for _ in stub.count(3):
        pass


async def receive_to_the_end(stub):
    stream = stub.count(1)
    await stream.receive()
    with contextlib.suppress(penstock.EndOfStream):
        await stream.receive()


async def break_(stub):
    async for _ in stub.count(100_000):
        break


async def failed_stream(stub):
    with contextlib.suppress(penstock.NotFound):
        async for _ in stub.fail():
            pass


async def client_streaming(stub):
    await stub.total([1, 2])


async def bidirectional(stub):
    async for _ in stub.mirror([1, 2]):
        pass


@pytest.mark.parametrize(
    "call", [unary, failed_unary, loop_to_the_end, receive_to_the_end, break_, failed_stream, client_streaming, bidirectional]
)
async def test_a_call_that_is_over_needs_no_collector(call):
    await nothing_waits_for_the_collector(call)


@pytest.mark.parametrize("call", [failed_unary, failed_stream])
async def test_an_error_that_an_interceptor_of_the_callee_swallows_needs_no_collector(call):
    @contextlib.asynccontextmanager
    async def swallowing(_call: penstock.CallInfo) -> AsyncIterator[None]:
        with contextlib.suppress(penstock.StatusError):
            yield

    async def tolerant(stub):
        with contextlib.suppress(penstock.Aborted):
            await call(stub)

    await nothing_waits_for_the_collector(tolerant, interceptors=[swallowing])


async def nothing_waits_for_the_collector(call, **options):
    async with linked(Service(), **options) as pair:
        stub = pair.stub(Service)
        await call(stub)
        gc.collect()
        gc.disable()
        try:
            before = _alive()
            for _ in range(CALLS):
                await call(stub)
            await rest()
            left = _alive() - before
        finally:
            gc.enable()
        assert not {name: count for name, count in left.items() if count > 1}  # the last one may be held by a local


def _alive() -> Counter[str]:
    return Counter(type(found).__name__ for found in gc.get_objects() if type(found).__name__ in TYPES)


async def test_thousands_of_calls_leave_nothing_in_either_session():
    async with linked(Service()) as pair:
        stub = pair.stub(Service, timeout=60)
        for _ in range(150):
            for call in (unary, failed_unary, loop_to_the_end, break_, failed_stream, client_streaming, bidirectional):
                await call(stub)
        await rest()
        assert not pair.left_over()


def test_the_classes_that_are_watched_are_there():
    gc.unfreeze()  # classes are frozen while a test runs
    assert {cls.__name__ for cls in gc.get_objects() if isinstance(cls, type)} >= TYPES
