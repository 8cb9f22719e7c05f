"""How a call has ended, for interceptors on either side and for the handler: ended, failed, cancelled, deadline or lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock import Actor, ActorSystem, Cancelled, NotFound, options
from penstock.calls._scope import CLEANUP_S
from tests.calls.kit import linked, rest

KINDS = ["unary", "watch", "watch at rest", "record", "trade", "ask", "actor watch"]
#: What is done to a call, and its outcome.
ENDS = {
    "return": "ended",
    "raise": "failed",
    "raise a time-out of its own": "failed",
    "raise a loss of its own": "failed",
    "raise Cancelled": "cancelled",
    "cancel": "cancelled",
    "deadline": "deadline",
    "loss": "lost",
}
ERRORS: dict[str, Callable[[], Exception]] = {
    "raise": lambda: NotFound("no such thing"),
    "raise a time-out of its own": lambda: penstock.DeadlineExceeded("of the handler"),
    "raise a loss of its own": lambda: penstock.ConnectionLost("of the handler"),
    "raise Cancelled": lambda: Cancelled("by the handler"),
}


class Seen:
    """The outcomes that were seen, by what has seen them."""

    def __init__(self) -> None:
        self.by: dict[str, Any] = {}

    def interceptor(self, name: str, error: Exception | None = None):
        @asynccontextmanager
        async def around(call: penstock.CallInfo) -> AsyncIterator[None]:
            assert call.outcome is None
            try:
                yield
            finally:
                if "!" not in call.target:
                    self.by[name] = call.outcome
            if error is not None:
                raise error

        return around


class Works(Actor):
    service_name = "Works"

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    async def unary(self, end: str) -> int:
        async with self._noted():
            await self._work(end)
        return 1

    async def record(self, items: AsyncIterator[int], end: str) -> int:
        async with self._noted():
            async for _ in items:
                await self._work(end)
        return 1

    async def stream(self, end: str) -> AsyncIterator[int]:
        async with self._noted():
            yield 1
            await self._work(end)

    async def items_at_rest(self, end: str) -> AsyncIterator[int]:
        """Waits at its yield for a consumer that takes no more, unless it ends by itself."""
        async with self._noted():
            yield 1
            if end in ERRORS or end == "return":
                await self._work(end)
                return
            for number in range(1000):
                yield number

    async def trade(self, items: AsyncIterator[int], end: str) -> AsyncIterator[int]:
        async with self._noted():
            async for item in items:
                yield item
                await self._work(end)

    async def _work(self, end: str) -> None:
        if end in ERRORS:
            error = ERRORS[end]()
            raise error
        if end != "return":
            await asyncio.sleep(1000)

    @asynccontextmanager
    async def _noted(self) -> AsyncIterator[None]:
        call = penstock.context()
        try:
            yield
        finally:
            self.seen.by["handler"] = call.outcome
            self.seen.by["call"] = call


class Service:
    """The same methods as a service."""

    service_name = "Service"
    __init__ = Works.__init__
    unary, record, stream, items_at_rest, trade = Works.unary, Works.record, Works.stream, Works.items_at_rest, Works.trade
    _work, _noted = Works._work, Works._noted


async def one_and_wait() -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(1000)


async def first_of(stream: Any, *, stays: bool = False) -> None:
    async for _ in stream:
        if stays:
            await asyncio.sleep(1000)


def begin(pair: Any, actor: Any, kind: str, end: str) -> Awaitable[Any]:
    changes: dict[str, Any] = {"timeout": 1} if end == "deadline" else {}
    stub = pair.stub(Service, **changes)
    if kind.startswith("a"):
        stub = options(actor, **changes) if changes else actor
    if kind in {"unary", "ask"}:
        return stub.unary(end)
    if kind == "record":
        return stub.record([1] if end == "return" else one_and_wait(), end)
    if kind == "trade":
        return first_of(stub.trade([1] if end == "return" else one_and_wait(), end))
    if kind == "watch at rest":
        stays = end not in ERRORS and end != "return"
        return first_of(options(stub, buffer_size=2).items_at_rest(end), stays=stays)
    return first_of(stub.stream(end))


@asynccontextmanager
async def works(seen: Seen, **interceptors: Any) -> AsyncIterator[tuple[Any, Any]]:
    async with ActorSystem() as system:
        await system.spawn(Works, seen, name="works")
        async with linked(Service(seen), system, gate=False, **interceptors) as pair:
            yield pair, pair.peer.actor(Works, "works")


async def run_to_its_end(seen: Seen, kind: str, end: str, **interceptors: Any) -> None:
    with contextlib.suppress(penstock.ConnectionLost):
        async with works(seen, **interceptors) as (pair, actor):
            task = asyncio.ensure_future(begin(pair, actor, kind, end))
            await rest()
            if end == "cancel":
                task.cancel()
            elif end == "loss":
                pair.served._scope.session.abort()
                pair.peer._scope.session.lose(penstock.ConnectionLost("cut"))
                pair.served._scope.session.lose(penstock.ConnectionLost("cut"))
            await asyncio.wait([task])
            await asyncio.sleep(2)
            if end == "loss" and kind in {"record", "trade"}:
                await asyncio.sleep(CLEANUP_S)  # the time for its next request
            task.cancelled() or task.exception()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_interceptor_of_the_callee_and_the_handler_know_how_the_call_ended(kind, end):
    """FAULTS A7"""
    seen = Seen()
    await run_to_its_end(seen, kind, end, interceptors=[seen.interceptor("outer"), seen.interceptor("inner")])
    assert (seen.by["outer"], seen.by["inner"]) == (ENDS[end], ENDS[end])
    if kind != "ask":  # a message goes on when its asker has left
        by_itself = end == "return" or end in ERRORS
        assert seen.by["handler"] == (None if by_itself else ENDS[end])
        assert seen.by["call"].outcome == ENDS[end]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS[:5])
async def test_an_interceptor_of_the_caller_knows_how_the_call_ended(kind, end):
    """FAULTS A7"""
    seen = Seen()
    await run_to_its_end(seen, kind, end, client_interceptors=[seen.interceptor("outer"), seen.interceptor("inner")])
    told = {"raise a time-out of its own": "deadline", "raise a loss of its own": "failed"}.get(end, ENDS[end])
    assert (seen.by["outer"], seen.by["inner"]) == (told, told)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_without_interceptors_knows_how_its_call_ended(kind, end):
    """FAULTS A7"""
    seen = Seen()
    await run_to_its_end(seen, kind, end)
    if kind != "ask":
        assert seen.by["call"].outcome == ENDS[end]


@pytest.mark.parametrize("side", ["interceptors", "client_interceptors"])
@pytest.mark.parametrize("kind", ["unary", "watch", "record", "trade"])
async def test_an_outer_interceptor_sees_the_outcome_that_an_inner_one_has_made(kind, side):
    """FAULTS A7"""
    seen = Seen()
    around = [seen.interceptor("outer"), seen.interceptor("inner", NotFound("replaced"))]
    await run_to_its_end(seen, kind, "return", **{side: around})
    assert (seen.by["inner"], seen.by["outer"]) == ("ended", "failed")


async def test_an_interceptor_knows_of_a_result_that_cannot_travel():
    """FAULTS A7"""

    class Odd:
        async def get(self) -> Any:
            return object()

    seen = Seen()
    async with linked(Odd(), interceptors=[seen.interceptor("outer")], gate=False) as pair:
        with pytest.raises(penstock.Internal):
            await pair.stub(Odd).get()
    assert seen.by["outer"] == "failed"


async def test_an_interceptor_knows_that_the_server_has_closed():
    """FAULTS A7"""
    seen = Seen()
    async with works(seen, interceptors=[seen.interceptor("outer")]) as (pair, actor):
        task = asyncio.ensure_future(begin(pair, actor, "unary", "cancel"))
        await rest()
        await pair.server.aclose(0)
        await asyncio.gather(task, return_exceptions=True)
    assert (seen.by["outer"], seen.by["call"].outcome) == ("cancelled", "cancelled")
