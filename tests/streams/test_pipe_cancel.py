"""Cancelling, at every await point of a pipe: a cancelled send never delivers, a cancelled receive never loses."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock import StreamCancelled, StreamClosed
from tests.loops import LOOP
from tests.streams.kit import ended, rest, started, stopped


async def drained(sink, source):
    sink.close()
    return [item async for item in source]


@pytest.mark.skipif(LOOP == "eager", reason="an eager task begins at once")
async def test_a_send_cancelled_before_it_begins_delivers_nothing():
    sink, source = penstock.pipe()
    sending = asyncio.ensure_future(sink.send(1))
    assert isinstance(await stopped(sending), asyncio.CancelledError)
    assert await drained(sink, source) == []


async def test_a_send_cancelled_while_it_waits_delivers_nothing_and_leaves_its_place():
    sink, source = penstock.pipe(1)
    await sink.send(0)
    first, second, third = [await started(sink.send(number)) for number in (1, 2, 3)]
    assert isinstance(await stopped(second), asyncio.CancelledError)
    assert source.statistics().waiting_senders == 2
    assert [await source.receive() for _ in range(3)] == [0, 1, 3]
    await asyncio.gather(first, third)
    assert await drained(sink, source) == []


async def test_a_send_woken_and_cancelled_in_one_turn_delivers_nothing_and_passes_the_room_on():
    sink, source = penstock.pipe(1)
    await sink.send(0)
    first, second = [await started(sink.send(number)) for number in (1, 2)]
    assert source.receive_nowait() == 0  # wakes the first
    first.cancel()
    assert isinstance(await ended(first), asyncio.CancelledError)
    await second
    assert await drained(sink, source) == [2]


async def test_room_passes_through_any_number_of_senders_cancelled_in_one_turn():
    sink, source = penstock.pipe(2)
    await sink.send_many([0, 1])
    senders = [await started(sink.send(number)) for number in range(2, 12)]
    assert [source.receive_nowait(), source.receive_nowait()] == [0, 1]
    for sender in senders[:8]:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    assert source.statistics().credit == 0
    assert await drained(sink, source) == [10, 11]


async def test_room_freed_while_nobody_is_left_is_credit_again():
    sink, source = penstock.pipe(1)
    await sink.send(0)
    sender = await started(sink.send(1))
    assert source.receive_nowait() == 0
    await stopped(sender)
    assert source.statistics().credit == 1
    sink.send_nowait(2)
    assert await drained(sink, source) == [2]


@pytest.mark.parametrize("order", ["cancel first", "close first"])
@pytest.mark.parametrize("over", ["close", "fail", "aclose"])
async def test_a_send_cancelled_in_the_turn_the_stream_ends_leaves_no_trace(order, over):
    sink, source = penstock.pipe(1)
    await sink.send(0)
    senders = [await started(sink.send(number)) for number in (1, 2)]

    async def finish():
        if over == "aclose":
            await source.aclose()
        else:
            sink.close() if over == "close" else sink.fail(ValueError("x"))

    if order == "cancel first":
        senders[0].cancel()
        await finish()
    else:
        await finish()
        senders[0].cancel()
    outcomes = [await ended(sender) for sender in senders]
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert isinstance(outcomes[1], StreamCancelled if over == "aclose" else StreamClosed)
    gc.collect()  # an exception that nobody retrieved would be told now
    await rest()


async def test_a_woken_send_is_refused_when_the_stream_ends_before_its_turn():
    sink, source = penstock.pipe(1)
    await sink.send(0)
    sender = await started(sink.send(1))
    assert source.receive_nowait() == 0
    sink.close()
    assert isinstance(await ended(sender), StreamClosed)
    assert [item async for item in source] == []


async def test_a_cancelled_send_many_has_delivered_all_it_took_but_the_item_that_waited():
    for turns in range(6):
        sink, source = penstock.pipe(2)
        items = iter(range(10))
        sending = asyncio.ensure_future(sink.send_many(items))
        await rest()
        for _ in range(turns):
            source.receive_nowait()
            await rest()
        await stopped(sending)
        delivered = turns + len(await drained(sink, source))
        assert next(items) == delivered + 1  # the item that had to wait was taken, and is not delivered


async def test_a_send_many_that_is_refused_has_delivered_all_it_took_but_the_item_that_waited():
    sink, source = penstock.pipe(2)
    items = iter(range(10))
    sending = await started(sink.send_many(items))
    sink.close()
    assert isinstance(await ended(sending), StreamClosed)
    assert [item async for item in source] == [0, 1]
    assert next(items) == 3  # item 2 had to wait: it was taken, and is not delivered


async def test_a_receive_cancelled_at_any_turn_leaves_its_item_to_the_next():
    sink, source = penstock.pipe(4)
    expected = list(range(60))
    sending = asyncio.ensure_future(sink.send_many(expected))
    taken = []
    for attempt in range(1000):
        receiving = asyncio.ensure_future(source.receive())
        for _ in range(attempt % 4):
            await asyncio.sleep(0)
        outcome = await stopped(receiving)
        if not isinstance(outcome, asyncio.CancelledError):
            taken.append(outcome)
        if len(taken) == len(expected):
            break
    assert taken == expected
    await sending


async def test_a_receive_woken_and_cancelled_in_one_turn_leaves_the_item():
    sink, source = penstock.pipe()
    receiving = await started(source.receive())
    sink.send_nowait(1)
    assert isinstance(await stopped(receiving), asyncio.CancelledError)
    assert source.receive_nowait() == 1


async def test_a_loop_cancelled_where_it_waits_leaves_the_source_open_and_whole():
    sink, source = penstock.pipe()
    taken = []

    async def consume():
        async for item in source:
            taken.append(item)  # noqa: PERF401 - it is cancelled

    consuming = await started(consume())
    await sink.send(1)
    await rest()
    sink.send_nowait(2)
    await stopped(consuming)
    assert taken == [1]
    assert await source.receive() == 2


async def test_a_batch_woken_and_cancelled_in_one_turn_leaves_the_items():
    sink, source = penstock.pipe()
    batches = source.batches()
    coming = await started(anext(batches))
    await sink.send_many([1, 2])
    await stopped(coming)
    assert source.receive_nowait() == 1
    assert source.statistics().buffered == 1


async def test_timeouts_around_receive_and_send_lose_and_double_nothing():
    sink, source = penstock.pipe(2)
    accepted, taken = [], []

    async def produce():
        for number in range(200):
            try:
                async with asyncio.timeout(0.003 * (number % 3)):
                    await sink.send(number)
                accepted.append(number)
            except TimeoutError:
                continue
        sink.close()

    async def consume():
        while True:
            try:
                async with asyncio.timeout(0.002):
                    taken.append(await source.receive())
            except TimeoutError:
                continue
            except penstock.EndOfStream:
                return
            await asyncio.sleep(0.004)

    await asyncio.gather(produce(), consume())
    assert taken == accepted
    assert 0 < len(accepted) < 200
