"""A stream of responses at its caller: every way to leave it frees the producer, and each outcome is what it is."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock import Cancelled, ConnectionLost, EndOfStream, PenstockError, StreamClosed
from tests.calls.kit import collected, ended, linked, rest, started
from tests.calls.numbers import Numbers
from tests.session.kit import held_for_peer
from tests.streams.kit import depth

# ── every way to leave frees the producer ─────────────────────────────────────────────────────────────────────────────


async def by_break(stream):
    async for _ in stream:
        break


async def by_break_of_batches(stream):
    async for _ in stream.batches():
        break


async def by_exception(stream):
    async def trip():
        async for _ in stream:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await trip()


async def by_return(stream):
    async def first():
        async for item in stream:
            return item
        return None

    assert await first() == 0


async def by_cancelled_task(stream):
    async def consume():
        async for _ in stream:
            await asyncio.Event().wait()

    consuming = await started(consume())
    consuming.cancel()
    await ended(consuming)


async def by_timeout(stream):
    async def read_slowly():
        async for _ in stream:
            await asyncio.sleep(0.3)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read_slowly(), 1)


async def by_aclose(stream):
    await stream.receive()
    await stream.aclose()


async def by_cancel(stream):
    await stream.receive()
    stream.cancel()
    stream.cancel()


async def by_context(stream):
    async with stream:
        await stream.receive()


async def by_exception_in_context(stream):
    async def trip():
        async with stream:
            await stream.receive()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await trip()


async def by_closing_the_iterator(stream):
    iterator = aiter(stream)
    await anext(iterator)
    await iterator.aclose()


LEAVE = [
    by_break,
    by_break_of_batches,
    by_exception,
    by_return,
    by_cancelled_task,
    by_timeout,
    by_aclose,
    by_cancel,
    by_context,
    by_exception_in_context,
    by_closing_the_iterator,
]


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
async def test_leaving_in_any_way_runs_the_finally_of_the_producer(pair, numbers, leave, kept):
    stream = pair.stub(Numbers, buffer_size=4).endless()
    if kept:
        await leave(stream)
        await rest()
        assert stream.statistics().state == "cancelled"
    else:
        leaving = leave(stream)
        del stream
        await leaving
        await rest()
    assert numbers.log == ["begun", "closed"]
    assert not pair.left_over()


async def test_a_producer_that_waits_inside_is_cancelled_there(pair, numbers):
    async for _ in pair.stub(Numbers).endless(pause_s=1):
        break
    await rest()
    assert numbers.log == ["begun", "cancelled", "closed"]


@pytest.mark.parametrize("how", ["never read", "read once", "kept as an iterator"])
async def test_forgetting_a_stream_frees_the_producer_without_the_collector(pair, numbers, how):
    gc.disable()
    try:
        stream = pair.stub(Numbers).endless()
        if how == "read once":
            await stream.receive()
        elif how == "kept as an iterator":
            stream = aiter(stream)
            await anext(stream)
        await rest()
        assert numbers.log == ["begun"]
        del stream
        await rest()
        assert numbers.log == ["begun", "closed"]
    finally:
        gc.enable()


async def test_the_bytes_of_items_that_nobody_read_are_given_back(pair):
    for method in ("count", "fail_after"):
        stream = getattr(pair.stub(Numbers), method)(100)
        await stream.receive()
        await rest()
        assert stream.statistics().buffered == 99
        del stream
        await rest()
        assert held_for_peer(pair.peer._scope.session) == 0
    stream = pair.stub(Numbers).count(100)
    await rest()
    stream.cancel()
    assert held_for_peer(pair.peer._scope.session) == 0


async def test_a_stream_cancelled_before_it_left_is_never_heard_of(pair, numbers):
    stream = pair.stub(Numbers).endless()
    stream.cancel()
    await rest()
    assert numbers.log == []


# ── each outcome is what it is ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_normal_end_is_an_end_again_and_again(pair):
    stream = pair.stub(Numbers).count(3)
    assert [await stream.receive() for _ in range(3)] == [0, 1, 2]
    for _ in range(3):
        with pytest.raises(EndOfStream):
            await stream.receive()
    assert stream.statistics().state == "ended"
    stream.cancel()
    assert stream.statistics().state == "ended"
    assert [item async for item in pair.stub(Numbers).count(0)] == []


async def test_a_failure_comes_after_the_items_and_stays(pair):
    stream = pair.stub(Numbers).fail_after(3)
    assert [await stream.receive() for _ in range(3)] == [0, 1, 2]
    for _ in range(3):
        with pytest.raises(penstock.NotFound) as raised:
            await stream.receive()
        assert raised.value.details == {"after": 3}
    assert stream.statistics().state == "failed"


@pytest.mark.parametrize("all_here", [True, False])
async def test_an_own_cancel_never_looks_like_an_end(pair, all_here):
    stream = pair.stub(Numbers).count(5) if all_here else pair.stub(Numbers).endless()
    await stream.receive()
    await rest()
    stream.cancel()
    assert stream.statistics().state == "cancelled"
    for _ in range(2):
        with pytest.raises((Cancelled, StreamClosed)):
            await stream.receive()
    with pytest.raises((Cancelled, StreamClosed)):
        async for _ in stream:
            pass


async def test_a_consumer_that_waits_when_another_task_cancels_is_told(pair):
    stream = pair.stub(Numbers).one_and_wait()
    consuming = await started(collected(stream))
    stream.cancel()
    items, error = await ended(consuming)
    assert items == [1]
    assert isinstance(error, Cancelled)


@pytest.mark.parametrize("end", ["client", "server"])
async def test_a_lost_connection_is_lost_after_the_items_that_came(numbers, end):
    async with linked(numbers, gate=False, client_reconnect=None) as pair:
        streams = [pair.stub(Numbers, buffer_size=5).endless() for _ in range(3)]
        await rest()
        (pair.peer if end == "client" else pair.served)._scope.session.link.abort()
        await rest()
        errors = []
        for stream in streams:
            items, error = await collected(stream)
            assert len(items) == 5
            if end == "server":
                assert type(error) is ConnectionLost
            assert isinstance(error, PenstockError)
            errors.append(error)
        assert len(set(map(id, errors))) == 3  # each its own, or tracebacks would mix
        assert numbers.log.count("closed") == 3
        with pytest.raises(penstock.Unavailable) as raised:
            await pair.stub(Numbers).echo(1)
        assert raised.value.started is False


async def test_calls_on_a_lost_connection_raise_without_growing(numbers):
    async with linked(numbers, gate=False, client_reconnect=None) as pair:
        pair.served._scope.session.link.abort()
        await rest()
        depths = set()
        for _ in range(20):
            with pytest.raises(penstock.Unavailable) as raised:
                await pair.stub(Numbers).echo(1)
            depths.add(depth(raised.value))
            with pytest.raises(penstock.Unavailable):
                pair.stub(Numbers).count(1)
        assert len(depths) == 1


async def test_reading_after_the_end_again_and_again_does_not_grow(pair):
    stream = pair.stub(Numbers).fail_after(0)
    depths = set()
    for _ in range(20):
        with pytest.raises(penstock.NotFound) as raised:
            await stream.receive()
        depths.add(depth(raised.value))
    assert len(depths) == 1


async def test_nothing_comes_after_a_cancel_inside_the_loop(pair):
    stream = pair.stub(Numbers).count(1_000_000)
    taken = []
    with pytest.raises(PenstockError):  # noqa: PT012 - the loop raises
        async for item in stream:
            taken.append(item)
            if item == 2:
                stream.cancel()
    assert taken == [0, 1, 2]
