"""A loop over a source outlives a step that was cut, says its failure again, and tells its source when it is left."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock.errors import Busy, NotFound, StreamCancelled, StreamClosed
from penstock.streams import Port, Source
from tests.streams.kit import ended, rest, started, stopped


class Told(Source[int]):
    """A source over a pipe, which counts how often one of its loops was left."""

    def __init__(self, source):
        self.source, self.left = source, 0

    def _take(self, max_items):
        return self.source._take(max_items)

    async def _readable(self):
        await self.source._readable()

    def _on_loop_left(self):
        self.left += 1

    async def aclose(self):
        await self.source.aclose()

    def statistics(self):
        return self.source.statistics()

    def _watch(self, on_change):
        self.source._watch(on_change)


@pytest.fixture
async def told():
    sink, source = penstock.pipe()
    return sink, Told(source)


def loops(source):
    return [aiter(source), source.batches(1)]


@pytest.mark.parametrize("kind", [0, 1])
async def test_a_step_that_timed_out_leaves_its_item_to_the_next_step(told, kind):
    """FAULTS A2"""
    sink, source = told
    loop = loops(source)[kind]
    for number in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(loop), 1)
        await sink.send(number)
        assert await anext(loop) in (number, [number])
    assert source.left == 0
    sink.close()
    with pytest.raises(StopAsyncIteration):
        await anext(loop)
    assert source.left == 1


@pytest.mark.parametrize("kind", [0, 1])
async def test_a_step_cancelled_before_it_began_leaves_the_loop_as_it_was(told, kind):
    """FAULTS A2"""
    sink, source = told
    loop = loops(source)[kind]
    for number in range(2):
        never_begun = asyncio.ensure_future(anext(loop))
        never_begun.cancel()
        assert isinstance(await ended(never_begun), asyncio.CancelledError)
        await sink.send(number)
        assert await anext(loop) in (number, [number])


async def test_a_failure_is_said_again_and_no_end_follows_it(told):
    """FAULTS A2"""
    sink, source = told
    for loop in loops(source):
        sink.fail(NotFound("gone"))
        for _ in range(3):
            with pytest.raises(NotFound):
                await anext(loop)


async def test_a_closed_source_is_no_end_for_its_loop(told):
    _sink, source = told
    loop = aiter(source)
    waiting = await started(anext(loop))
    await source.aclose()
    for outcome in (await ended(waiting), await ended(asyncio.ensure_future(anext(loop)))):
        assert isinstance(outcome, StreamClosed)


async def test_a_task_that_was_refused_may_come_again_and_its_loop_was_never_left(told):
    sink, source = told
    first, second = aiter(source), aiter(source)
    waiting = await started(anext(first))
    with pytest.raises(Busy):
        await anext(second)
    await sink.send(1)
    assert await waiting == 1
    await sink.send(2)
    assert await anext(second) == 2
    del second
    await rest()
    assert source.left == 1
    waiting = await started(anext(first))
    with pytest.raises(Busy):
        await anext(aiter(source))
    await stopped(waiting)
    assert source.left == 1


@pytest.mark.parametrize("how", ["break", "return", "error", "cancelled", "cancelled and kept", "aclose", "dropped", "cut"])
async def test_a_source_is_told_once_when_a_loop_over_it_is_left(told, how):
    sink, source = told
    await sink.send(1)

    async def loop():
        iterator = aiter(source)
        if how in {"aclose", "dropped", "cut"}:
            assert await anext(iterator) == 1
            if how == "cut":
                await ended(asyncio.ensure_future(asyncio.wait_for(anext(iterator), 1)))
            if how == "aclose":
                await iterator.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(iterator)
            return
        del iterator
        async for _ in source:
            if how == "break":
                break
            if how == "return":
                return
            if how == "error":
                raise ValueError

    task = await started(loop())
    kept = await stopped(task) if how.startswith("cancelled") else await ended(task)
    if how != "cancelled and kept":
        del kept, task
    await rest()
    assert source.left == 1


async def test_a_loop_that_was_made_and_not_used_leaves_its_source_alone(told):
    sink, source = told
    for loop in loops(source):
        assert aiter(loop) is loop
        await loop.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(loop)
    del loop
    await rest()
    assert source.left == 0
    await sink.send(1)
    assert await anext(aiter(source)) == 1


async def test_the_first_item_of_an_iterator_that_nothing_else_holds(told):
    sink, source = told
    waiting = asyncio.ensure_future(anext(aiter(source)))
    await rest()
    assert source.left == 0
    await sink.send(1)
    assert await waiting == 1
    del waiting
    await rest()
    assert source.left == 1


async def test_a_subscription_outlives_a_step_that_was_cut():
    """FAULTS A2"""
    port = Port("p")
    loop = aiter(port.subscribe())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(loop), 1)
    await port.send(1)
    assert await anext(loop) == 1
    del loop
    await rest()
    assert port.subscribers == 0


async def test_a_loop_is_freed_without_the_collector(told):
    sink, source = told
    gc.collect()
    gc.disable()
    try:
        before = sum(type(thing).__name__ == "Iteration" for thing in gc.get_objects())
        for number in range(5):
            await sink.send(number)
            async for _ in source:
                break
            for loop in loops(source):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(loop), 1)
            del loop
        await rest()
        assert sum(type(thing).__name__ == "Iteration" for thing in gc.get_objects()) <= before + 1
    finally:
        gc.enable()


async def test_a_consumer_that_left_by_its_time_out_frees_the_sender():
    sink, source = penstock.pipe(1)
    await sink.send(1)
    waiting = await started(sink.send(2))
    del source
    assert isinstance(await ended(waiting), StreamCancelled)
