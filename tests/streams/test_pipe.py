"""A stream in one process: the bound, the order, one receiver."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock import Busy, EndOfStream, NotFound, WouldBlock
from penstock.streams import Statistics
from tests.streams.kit import depth, rest, started, stopped

# ── the bound ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 2, 3, 16, 257])
async def test_the_sender_is_exactly_buffer_size_ahead_of_a_consumer_that_stalls(size):
    sink, source = penstock.pipe(size)
    sending = await started(sink.send_many(range(3 * size)))
    for consumed in range(size):
        now = source.statistics()
        assert (now.sent - consumed, now.buffered, now.credit, now.waiting_senders) == (size, size, 0, 1)
        assert await source.receive() == consumed
        await rest()
    await stopped(sending)


async def test_the_bound_holds_for_many_senders_together():
    sink, source = penstock.pipe(3)
    senders = [await started(sink.send(number)) for number in range(10)]
    assert source.statistics() == Statistics("open", 3, 3, 3, 0, 0, 7)
    assert [sender.done() for sender in senders] == [True] * 3 + [False] * 7
    assert [await source.receive() for _ in range(10)] == list(range(10))
    await asyncio.gather(*senders)


async def test_a_late_sender_does_not_overtake_one_that_waits():
    sink, source = penstock.pipe(1)
    sink.send_nowait("first")
    waiting = await started(sink.send("second"))
    assert source.receive_nowait() == "first"
    # the room is reserved: neither a sender that does not wait nor one that comes now gets it
    with pytest.raises(WouldBlock):
        sink.send_nowait("pushy")
    late = asyncio.ensure_future(sink.send("third"))
    assert [await source.receive(), await source.receive()] == ["second", "third"]
    await asyncio.gather(waiting, late)


@pytest.mark.parametrize("size", [0, -1])
async def test_a_pipe_holds_at_least_one_item(size):
    with pytest.raises(ValueError, match="at least one"):
        penstock.pipe(size)


async def test_send_nowait_refuses_when_full_and_receive_nowait_when_empty():
    sink, source = penstock.pipe(1)
    with pytest.raises(WouldBlock):
        source.receive_nowait()
    sink.send_nowait(1)
    with pytest.raises(WouldBlock):
        sink.send_nowait(2)
    assert source.receive_nowait() == 1
    sink.send_nowait(3)
    assert source.statistics().sent == 2


@pytest.mark.parametrize("item", [None, b"", "", 0, False, [], EndOfStream(), StopAsyncIteration])
async def test_anything_is_an_item(item):
    sink, source = penstock.pipe(8)
    await sink.send(item)
    sink.send_nowait(item)
    await sink.send_many([item, item])
    sink.close()
    assert [source.receive_nowait(), await source.receive()] == [item, item]
    assert [received async for received in source] == [item, item]


async def test_items_pass_by_reference():
    sink, source = penstock.pipe()
    item = object()
    await sink.send(item)
    assert await source.receive() is item


async def test_a_consumer_that_waits_is_woken_by_every_way_to_send():
    for send in ("send", "send_nowait", "send_many"):
        sink, source = penstock.pipe(4)
        receiving = await started(source.receive())
        if send == "send_nowait":
            sink.send_nowait(1)
        else:
            await (sink.send(1) if send == "send" else sink.send_many([1]))
        assert await receiving == 1


# ── loops and batches ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_a_loop_keeps_the_source_open_and_the_next_loop_goes_on():
    sink, source = penstock.pipe(8)
    await sink.send_many(range(6))
    sink.close()
    async for item in source:
        if item == 2:
            break
    assert await source.receive() == 3
    assert [item async for item in source] == [4, 5]


@pytest.mark.parametrize(("max_items", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (256, [7])])
async def test_a_batch_is_what_is_there_up_to_max_items(max_items, sizes):
    sink, source = penstock.pipe(16)
    await sink.send_many(range(7))
    sink.close()
    batches = [batch async for batch in source.batches(max_items)]
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(7))


async def test_a_source_is_its_own_iterator_too():
    sink, source = penstock.pipe()
    await sink.send_many([1, 2])
    sink.close()
    assert [await anext(source), await anext(source)] == [1, 2]
    with pytest.raises(StopAsyncIteration):
        await anext(source)
    assert await anext(source, "nothing") == "nothing"


async def test_a_batch_does_not_wait_for_more():
    sink, source = penstock.pipe(16)
    batches = source.batches(10)
    coming = await started(anext(batches))
    await sink.send(1)
    assert await coming == [1]
    await batches.aclose()


async def test_a_batch_frees_as_many_senders_as_it_has_items():
    sink, source = penstock.pipe(4)
    senders = [await started(sink.send(number)) for number in range(9)]
    batches = source.batches(4)
    assert await anext(batches) == [0, 1, 2, 3]
    await rest()
    assert source.statistics().buffered == 4
    assert source.statistics().waiting_senders == 1
    assert [await anext(batches), await anext(batches)] == [[4, 5, 6, 7], [8]]
    await asyncio.gather(*senders)
    await batches.aclose()


@pytest.mark.parametrize("max_items", [0, -3])
async def test_a_batch_holds_at_least_one_item(max_items):
    _sink, source = penstock.pipe()
    with pytest.raises(ValueError, match="at least one"):
        await anext(source.batches(max_items))


# ── one receiver ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_receiver_is_refused_and_the_first_is_not_disturbed():
    sink, source = penstock.pipe()
    first = await started(source.receive())
    for second in (source.receive(), anext(aiter(source)), anext(source.batches())):
        with pytest.raises(Busy):
            await second
    await sink.send("for the first")
    assert await first == "for the first"


async def test_a_receiver_may_follow_one_that_was_cancelled():
    sink, source = penstock.pipe()
    assert isinstance(await stopped(await started(source.receive())), asyncio.CancelledError)
    second = await started(source.receive())
    await sink.send(1)
    assert await second == 1


# ── what is seen, what is kept ────────────────────────────────────────────────────────────────────────────────────────


async def test_statistics_are_the_same_from_both_ends():
    sink, source = penstock.pipe(4)
    assert source.statistics() == sink.statistics() == Statistics("open", 4, 0, 0, 0, 4, 0)
    await sink.send_many("abc")
    await source.receive()
    assert source.statistics() == sink.statistics() == Statistics("open", 4, 2, 3, 1, 2, 0)
    assert "2 of 4 buffered" in repr(source)
    assert "open" in repr(sink)


async def test_a_loop_that_asks_after_the_end_again_and_again_does_not_grow():
    sink, source = penstock.pipe()
    sink.fail(NotFound("gone"))
    depths = set()
    for _ in range(20):
        with pytest.raises(NotFound) as raised:
            await source.receive()
        depths.add(depth(raised.value))
    assert len(depths) == 1


async def test_a_stream_that_is_over_needs_no_collector():
    class Item:
        alive = 0

        def __init__(self):
            Item.alive += 1

        def __del__(self):
            Item.alive -= 1

    gc.disable()
    try:
        sink, source = penstock.pipe(4)
        await sink.send_many(Item() for _ in range(4))
        async for _ in source:
            break
        del _, sink, source
        await rest()
        assert Item.alive == 0
    finally:
        gc.enable()
