"""A deadline travels: to the callee, from there into nested calls, and it only gets nearer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import DeadlineExceeded
from tests.calls.kit import collected, ended, linked, now, rest, started

STEPS = ["unary", "watch", "record", "trade"]


class Far:
    """The far end of a chain."""

    def __init__(self):
        self.remaining = []
        self.cancelled = 0

    async def _look(self, wait):
        self.remaining.append(penstock.context().time_remaining())
        if wait:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise

    async def unary(self, wait: bool = False) -> int:
        await self._look(wait)
        return 1

    async def watch(self, wait: bool = False) -> AsyncIterator[int]:
        yield 1
        await self._look(wait)

    async def record(self, items: AsyncIterator[int], wait: bool = False) -> int:
        async for _ in items:
            await self._look(wait)
        return 1

    async def trade(self, items: AsyncIterator[int], wait: bool = False) -> AsyncIterator[int]:
        async for item in items:
            yield item
            await self._look(wait)


class Near:
    """Calls the far end while it is called itself."""

    def __init__(self, far, spend=0.0, **options):
        self.far = penstock.options(far, **options) if options else far
        self.spend = spend

    async def relay(self, step: str, wait: bool = False) -> list[int]:
        await asyncio.sleep(self.spend)
        match step:
            case "unary":
                return [await self.far.unary(wait)]
            case "watch":
                return [item async for item in self.far.watch(wait)]
            case "record":
                return [await self.far.record([1], wait)]
            case _:
                return [item async for item in self.far.trade([1], wait)]

    async def stream(self, wait: bool = False) -> AsyncIterator[int]:
        async for item in self.far.watch(wait):
            yield item

    async def in_the_background(self) -> None:
        self.background = asyncio.create_task(self._later())

    async def _later(self):
        await asyncio.sleep(10)
        return await self.far.unary()


def chain(spend=0.0, **options):
    return _Chain(spend, options)


class _Chain:
    """client → near → far"""

    def __init__(self, spend, options):
        self.spend, self.options = spend, options

    async def __aenter__(self):
        self.far = Far()
        self.to_far = linked(self.far, url="memory://far")
        pair = await self.to_far.__aenter__()
        self.near = Near(pair.stub(Far), self.spend, **self.options)
        self.to_near = linked(self.near, url="memory://near")
        self.pair = await self.to_near.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.to_near.__aexit__(*error)
        await self.to_far.__aexit__(*error)


@pytest.mark.parametrize("step", STEPS)
async def test_what_is_left_of_a_deadline_is_the_deadline_of_a_nested_call(step):
    async with chain(spend=2) as c:
        assert await c.pair.stub(Near, timeout=5).relay(step) == [1]
        assert c.far.remaining == [pytest.approx(3, abs=0.02)]


@pytest.mark.parametrize("step", STEPS)
async def test_a_nested_call_ends_with_the_deadline_of_the_outer_one_at_every_hop(step):
    async with chain(spend=1) as c:
        begun = now()
        with pytest.raises(DeadlineExceeded):
            await c.pair.stub(Near, timeout=3).relay(step, True)
        assert now() - begun == pytest.approx(3, abs=0.02)
        await rest()
        assert c.far.cancelled == 1


@pytest.mark.parametrize(("outer", "inner", "left"), [(10, 2, 2), (2, 10, 2), (None, 2, 2), (2, None, 2), (None, None, None)])
async def test_the_nearer_deadline_counts(outer, inner, left):
    async with chain(**({"timeout": inner} if inner else {})) as c:
        stub = c.pair.stub(Near, timeout=outer) if outer else c.pair.stub(Near)
        await stub.relay("unary")
        assert c.far.remaining == [left if left is None else pytest.approx(left, abs=0.02)]


async def test_a_deadline_propagates_through_a_stream_and_frees_every_hop():
    async with chain() as c:
        items, error = await collected(c.pair.stub(Near, timeout=3).stream(True))
        assert (items, type(error)) == ([1], DeadlineExceeded)
        await rest()
        assert c.far.cancelled == 1


async def test_cancelling_propagates_through_every_hop():
    async with chain() as c:
        async for _ in c.pair.stub(Near).stream(True):
            break
        await rest()
        assert c.far.cancelled == 1
        for step in STEPS:
            call = await started(c.pair.stub(Near).relay(step, True))
            call.cancel()
            await ended(call)
            await rest()
        assert c.far.cancelled == 5


async def test_a_nested_call_of_a_handler_whose_time_is_up_is_never_made():
    async with chain(spend=5) as c:
        with pytest.raises(DeadlineExceeded):
            await c.pair.stub(Near, timeout=5).relay("unary")
        await asyncio.sleep(1)
        assert c.far.remaining == []


@pytest.mark.parametrize("step", STEPS)
async def test_a_handler_that_is_stuck_does_not_hold_its_caller_past_the_deadline(step):
    class Stuck(Far):
        service_name = "Far"

        async def _look(self, wait):
            for _ in range(3):
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    continue

    async with linked(Stuck()) as pair:
        begun = now()
        stub = pair.stub(Far, timeout=0.5)
        if step in {"unary", "record"}:
            with pytest.raises(DeadlineExceeded):
                await (stub.unary(True) if step == "unary" else stub.record([1], True))
        else:
            _, error = await collected(stub.watch(True) if step == "watch" else stub.trade([1], True))
            assert type(error) is DeadlineExceeded
        assert now() - begun == pytest.approx(0.5, abs=0.02)
        await asyncio.sleep(5)


async def test_a_deadline_is_a_time_and_not_a_duration_however_long_the_way_is():
    """Half of the time is spent before the call leaves; the callee has what is left."""
    async with linked(Far()) as pair:
        far = pair.stub(Far, timeout=4)
        assert await far.unary() == 1
        stream = far.watch()
        await asyncio.sleep(2)
        assert [item async for item in stream] == [1]


async def test_metadata_do_not_travel_into_nested_calls_by_themselves():
    class Middle:
        def __init__(self, far):
            self.far = far

        async def relay(self) -> dict[str, str]:
            return await self.far.metadata()

    class End:
        async def metadata(self) -> dict[str, str]:
            return penstock.context().metadata

    async with linked(End(), url="memory://end") as end, linked(Middle(end.stub(End)), url="memory://middle") as middle:
        assert await middle.stub(Middle, metadata={"secret": "x"}).relay() == {}


async def test_what_a_handler_leaves_running_is_not_bound_by_its_deadline():
    class Starter:
        async def start(self) -> None:
            self.task = asyncio.ensure_future(self.later())

        async def later(self) -> int:
            await asyncio.sleep(5)
            return await penstock.context().peer.call("Far/unary")

    far, starter = Far(), Starter()
    async with linked(starter, client_services=[far]) as pair:
        await penstock.options(pair.stub(Starter), timeout=1).start()
        assert await starter.task == 1
        assert far.remaining == [None]
