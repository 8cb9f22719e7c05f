"""A stream in one process: the bound, the order, the four outcomes."""

from __future__ import annotations

import asyncio
import gc

import pytest

import penstock
from penstock import Aborted, Busy, Cancelled, EndOfStream, NotFound, StreamCancelled, StreamClosed, WouldBlock
from penstock.streams import Statistics
from tests.streams.kit import depth, ended, rest, started, stopped

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


# ── the four outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_close_ends_the_stream_after_what_is_buffered():
    sink, source = penstock.pipe()
    await sink.send_many([1, 2])
    sink.close()
    sink.close()
    assert source.statistics().state == "ended"
    assert [item async for item in source] == [1, 2]
    for _ in range(3):
        with pytest.raises(EndOfStream):
            await source.receive()
        with pytest.raises(EndOfStream):
            source.receive_nowait()
    assert [item async for item in source] == []
    assert [batch async for batch in source.batches()] == []


async def test_fail_raises_the_very_error_after_what_is_buffered():
    sink, source = penstock.pipe()
    error = NotFound("gone", {"id": 7})
    await sink.send_many([1, 2])
    sink.fail(error)
    assert source.statistics().state == "failed"
    taken = []
    with pytest.raises(NotFound, match="gone"):
        async for item in source:
            taken.append(item)  # noqa: PERF401 - the loop raises
    assert taken == [1, 2]
    with pytest.raises(NotFound) as raised:
        await source.receive()
    assert raised.value.details == {"id": 7}
    with pytest.raises(NotFound):
        await anext(source.batches())


async def test_a_stream_may_fail_with_any_exception():
    sink, source = penstock.pipe()
    sink.fail(ValueError("not a penstock error"))
    with pytest.raises(ValueError, match="not a penstock error"):
        await source.receive()


async def test_a_producer_that_trips_over_the_end_of_another_stream_does_not_end_its_own():
    inner_sink, inner = penstock.pipe()
    inner_sink.close()
    sink, source = penstock.pipe()
    with pytest.raises(EndOfStream):
        async with sink:
            await sink.send(await inner.receive())
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one is open; that it is no end is not
        await source.receive()
    assert not isinstance(raised.value, EndOfStream)


@pytest.mark.parametrize("leave", ["aclose", "async with", "drop"])
async def test_a_consumer_that_leaves_cancels_the_stream(leave):
    sink, source = penstock.pipe(1)
    sink.send_nowait(0)
    sender = await started(sink.send(1))
    if leave == "aclose":
        await source.aclose()
        await source.aclose()
    elif leave == "async with":
        async with source:
            pass
    else:
        del source
    assert isinstance(await ended(sender), StreamCancelled)
    for send in (sink.send(2), sink.send_many([2])):
        with pytest.raises(StreamCancelled):
            await send
    with pytest.raises(StreamCancelled):
        sink.send_nowait(2)
    assert sink.statistics() == Statistics("cancelled", 1, 0, 1, 1, 0, 0)


async def test_a_source_that_was_closed_says_so_to_who_receives_from_it():
    _sink, source = penstock.pipe()
    waiting = await started(source.receive())
    await source.aclose()
    assert isinstance(await ended(waiting), StreamClosed)
    with pytest.raises(StreamClosed):
        await source.receive()
    with pytest.raises(StreamClosed):
        async for _ in source:
            pass


async def test_closing_the_source_makes_an_end_that_was_not_reached_a_cancellation():
    sink, source = penstock.pipe()
    await sink.send(1)
    sink.close()
    await source.aclose()
    assert sink.statistics().state == "cancelled"
    with pytest.raises(StreamClosed):
        await source.receive()


async def test_closing_the_source_after_the_end_changes_nothing():
    sink, source = penstock.pipe()
    sink.close()
    await source.aclose()
    assert sink.statistics().state == "ended"
    with pytest.raises(EndOfStream):
        await source.receive()


@pytest.mark.parametrize("ending", ["close", "fail"])
async def test_whoever_waits_to_send_is_refused_when_the_sink_is_closed(ending):
    sink, source = penstock.pipe(1)
    await sink.send(1)
    senders = [await started(sink.send(number)) for number in (2, 3)]
    sink.close() if ending == "close" else sink.fail(NotFound("x"))
    for sender in senders:
        assert isinstance(await ended(sender), StreamClosed)
    with pytest.raises(StreamClosed):
        await sink.send(4)
    with pytest.raises(StreamClosed):
        sink.send_nowait(4)
    assert await source.receive() == 1
    with pytest.raises(EndOfStream if ending == "close" else NotFound):
        await source.receive()


async def test_the_first_outcome_counts():
    sink, source = penstock.pipe()
    sink.close()
    sink.fail(NotFound("too late"))
    with pytest.raises(EndOfStream):
        await source.receive()
    sink, source = penstock.pipe()
    sink.fail(NotFound("first"))
    sink.close()
    with pytest.raises(NotFound):
        await source.receive()


async def test_a_sink_that_is_dropped_fails_the_stream_with_aborted():
    sink, source = penstock.pipe()
    await sink.send(1)
    del sink
    assert await source.receive() == 1
    with pytest.raises(Aborted, match="dropped"):
        await source.receive()


async def test_a_sink_that_is_closed_and_dropped_ends_normally():
    sink, source = penstock.pipe()
    sink.close()
    del sink
    assert [item async for item in source] == []


async def test_a_sink_as_context_closes_or_fails_by_how_it_is_left():
    sink, source = penstock.pipe()
    async with sink:
        await sink.send(1)
    assert [item async for item in source] == [1]

    sink, source = penstock.pipe()
    with pytest.raises(NotFound):
        async with sink:
            raise NotFound("inside")
    with pytest.raises(NotFound, match="inside"):
        await source.receive()


async def test_a_producer_that_is_cancelled_never_looks_like_an_end():
    sink, source = penstock.pipe(1)

    async def produce():
        async with sink:
            await sink.send_many(range(10))

    await stopped(await started(produce()))
    assert await source.receive() == 0
    with pytest.raises(Cancelled):
        await source.receive()


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
