"""`sys.exit()` in a handler is an error of its call: the server, the loop and all other calls go on (FAULTS H11)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import penstock
from penstock import Cancelled, Internal
from tests.calls.kit import linked


class Exits:
    """Each handler calls `sys.exit`, at one moment or another."""

    async def unary(self) -> None:
        sys.exit(3)

    async def late(self) -> None:
        await asyncio.sleep(1)
        raise SystemExit

    async def watch(self) -> AsyncIterator[int]:
        yield 1
        sys.exit("enough")

    async def record(self, items: AsyncIterator[int]) -> int:
        async for _ in items:
            sys.exit(3)
        return 0

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item
            sys.exit(3)

    async def fine(self) -> str:
        return "fine"


class Quiet:
    service_name = "Exits"

    async def unary(self) -> None: ...

    async def late(self) -> None: ...

    async def watch(self) -> AsyncIterator[int]:
        yield 1

    async def record(self, items: AsyncIterator[int]) -> int:
        return len([item async for item in items])

    async def trade(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item

    async def fine(self) -> str:
        return "fine"


def calls(stub: Exits):
    async def read(stream):
        return [item async for item in stream]

    return [stub.unary(), stub.late(), read(stub.watch()), stub.record([1]), read(stub.trade([1]))]


@pytest.mark.parametrize("expose", [False, True])
async def test_an_exit_in_a_handler_is_the_error_of_its_call(expose):
    """FAULTS H11."""
    async with linked(Exits(), expose_errors=expose) as pair:
        results = await asyncio.gather(*calls(pair.stub(Exits)), return_exceptions=True)
        assert [type(result) for result in results] == [Internal] * 5
        assert expose == all("SystemExit" in str(result) for result in results)
        assert await pair.stub(Exits).fine() == "fine"


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_exit_in_an_interceptor_is_the_error_of_its_call(moment):
    """FAULTS H11: an interceptor of the callee is code of the handler's side."""

    @asynccontextmanager
    async def exits(call: penstock.CallInfo):
        if moment == "before" and call.target != "Exits/fine":
            sys.exit(1)
        yield
        if call.target != "Exits/fine":
            sys.exit(1)

    async with linked(Quiet(), interceptors=[exits]) as pair:
        with pytest.raises(Internal):
            await pair.stub(Exits).unary()
        assert await pair.stub(Exits).fine() == "fine"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("way", "error"), [(SystemExit, RuntimeError), (asyncio.CancelledError, Cancelled)])
async def test_an_exit_in_an_interceptor_of_the_caller_is_the_error_of_its_call(moment, way, error):
    """It ended the event loop of the caller's program, and a `CancelledError` ended the task in silence."""
    exits_now = True

    @asynccontextmanager
    async def exits(_call: penstock.CallInfo):
        if exits_now and moment == "before":
            raise way
        yield
        if exits_now:
            raise way

    async with linked(Quiet(), client_interceptors=[exits]) as pair:
        stub = pair.stub(Exits)
        for made in calls(stub):
            with pytest.raises(error, match="an interceptor" if error is Cancelled else "SystemExit"):
                await made
        exits_now = False
        assert await stub.fine() == "fine"
