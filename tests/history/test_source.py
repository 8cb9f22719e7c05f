"""A durable source yields what was recorded from an offset on, then what is recorded, once each, and waits without a clock."""

from __future__ import annotations

import asyncio

import pytest

from penstock import watch_backpressure
from penstock.errors import Busy, EndOfStream, InvalidArgument, OutOfRange, StreamClosed, Unavailable, WouldBlock
from penstock.history import History
from penstock.retention import PagedSource
from tests.history.kit import blocks, fill, made, numbers, rest


async def take(source, count):
    return [await source.receive() for _ in range(count)]


async def test_it_yields_what_is_there_and_then_what_comes(path):
    async with History(path) as history:
        await blocks(history, 3, 4)
        source = history.stream()
        assert numbers(await take(source, 12)) == list(range(12))
        waiting = asyncio.ensure_future(source.receive())
        await rest()
        assert not waiting.done()
        fill(history, 1)
        assert (await waiting).offset == 12


async def test_it_goes_on_at_an_offset_after_a_restart(path):
    async with History(path) as history:
        await blocks(history, 3, 4)
        seen = numbers(await take(history.stream(), 5))
    async with History(path) as history:
        fill(history, 3)
        seen += numbers(await take(history.stream(since=seen[-1] + 1), 10))
    assert seen == list(range(15))


async def test_it_yields_only_the_events_of_its_actor_and_wakes_for_no_other(path):
    async with History(path) as history:
        source = history.stream("b")
        waiting = asyncio.ensure_future(source.receive())
        await blocks(history, 5, 10, actor="a")
        await rest()
        assert not waiting.done()
        fill(history, 1, actor="b")
        assert (await waiting).offset == 50
        fill(history, 1, actor="a")
        fill(history, 1, actor="b")
        assert (await source.receive()).offset == 52


async def test_blocks_without_its_actor_are_not_read_while_it_follows(path):
    async with History(path) as history:
        fill(history, 1, actor="b")
        source = history.stream("b")
        await source.receive()
        waiting = asyncio.ensure_future(source.receive())
        await rest()
        reads = []
        source._read, read = lambda *question: (reads.append(question), read(*question))[1], source._read
        await blocks(history, 5, 10, actor="a")
        await rest()
        assert not reads
        await blocks(history, 1, 1, actor="b")
        assert (await waiting).offset == 51
        assert len(reads) == 1


async def test_it_can_begin_with_what_is_new_though_something_waits(path):
    async with History(path) as history:
        fill(history, 5)
        source = history.stream(since=history.next_offset)
        waiting = asyncio.ensure_future(source.receive())
        await rest()
        fill(history, 1)
        assert (await waiting).offset == 5


async def test_kinds_and_texts_choose(path):
    async with History(path) as history:
        fill(history, 3)
        history.record("counter", "log", {"text": "Here"})
        fill(history, 3)
        assert (await history.stream(kinds=["log"]).receive()).offset == 3
        assert (await history.stream(search="here").receive()).offset == 3


async def test_without_following_it_ends(path):
    async with History(path) as history:
        fill(history, 300)
        assert numbers([event async for event in history.stream(follow=False)]) == list(range(300))
        assert [event async for event in history.stream(since=300, follow=False)] == []
        source = history.stream(since=299, follow=False)
        await source.receive()
        with pytest.raises(EndOfStream):
            await source.receive()


async def test_it_reads_ahead_one_page_whatever_is_recorded(path):
    async with History(path) as history:
        await blocks(history, 3, 500)
        source = history.stream()
        await source.receive()
        now = source.statistics()
        assert (now.state, now.received, now.sent, now.buffer_size) == (
            "open",
            1,
            PagedSource.page_items,
            PagedSource.page_items,
        )
        assert now.buffered == PagedSource.page_items - 1


async def test_many_consumers_each_get_all(path):
    async with History(path) as history:
        consumers = [asyncio.ensure_future(take(history.stream("a"), 600)) for _ in range(10)]
        for _ in range(6):
            fill(history, 100, actor="a")
            await rest()
        assert all(numbers(seen) == list(range(600)) for seen in await asyncio.gather(*consumers))


async def test_leaving_a_loop_leaves_nothing_behind_and_a_second_loop_goes_on(path):
    async with History(path) as history:
        fill(history, 10)
        source = history.stream()
        async for event in source:
            if event.offset == 3:
                break
        assert not history._recorder.bell.waiting
        assert (await source.receive()).offset == 4


async def test_a_cancelled_wait_loses_nothing(path):
    async with History(path) as history:
        source = history.stream()
        for _ in range(3):
            waiting = asyncio.ensure_future(source.receive())
            await rest()
            waiting.cancel()
            await asyncio.wait([waiting])
        assert not history._recorder.bell.waiting
        fill(history, 2)
        reading = asyncio.ensure_future(source.receive())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert numbers(await take(source, 2)) == [0, 1]


async def test_a_removed_offset_is_out_of_range_and_names_the_first_there_is(path):
    async with History(path, keep_bytes=300_000) as history:
        await blocks(history, 40, 20, size=1000)
        first = (await history.events(limit=1))[0].offset
        with pytest.raises(
            OutOfRange, match=f"event 0 was removed by retention; the first event of the file has offset {first}"
        ):
            await history.stream(since=0).receive()
        assert (await history.stream().receive()).offset == first


async def test_a_consumer_that_retention_overtakes_is_told(path):
    async with History(path, keep_bytes=300_000) as history:
        fill(history, 300)
        source = history.stream()
        await source.receive()
        await blocks(history, 40, 20, size=1000)
        with pytest.raises(OutOfRange, match="removed by retention"):
            await take(source, 300)
        with pytest.raises(OutOfRange):
            await source.receive()
        assert source.statistics().state == "failed"


async def test_an_offset_beyond_the_end_is_out_of_range(path):
    await made(path, 1, 3)
    async with History(path) as history:
        with pytest.raises(OutOfRange, match="event 4 is not recorded yet"):
            await history.stream(since=4).receive()


async def test_an_offset_below_zero_is_no_offset(path):
    await made(path, 1, 3)
    async with History(path) as history:
        with pytest.raises(InvalidArgument, match=r"since is -1; it is the offset to begin at: 0 or more, or None"):
            await history.stream(since=-1).receive()
        with pytest.raises(InvalidArgument):
            await history.events(since=-1)


async def test_closing_the_history_is_no_end_and_says_where_to_go_on(path):
    async with History(path) as history:
        fill(history, 2)
        source = history.stream()
        await take(source, 2)
        waiting = asyncio.ensure_future(source.receive())
        await rest()
    with pytest.raises(Unavailable, match="since=2"):
        await waiting


async def test_a_closed_source_gives_nothing_more(path):
    async with History(path) as history:
        fill(history, 5)
        async with history.stream() as source:
            await source.receive()
        with pytest.raises(StreamClosed):
            await source.receive()
        assert source.statistics().state == "cancelled"


async def test_closing_it_wakes_who_waits(path):
    async with History(path) as history:
        source = history.stream()
        waiting = asyncio.ensure_future(source.receive())
        await rest()
        await source.aclose()
        with pytest.raises(StreamClosed):
            await waiting


async def test_it_has_one_receiver(path):
    async with History(path) as history:
        source = history.stream()
        waiting = asyncio.ensure_future(source.receive())
        await rest()
        with pytest.raises(Busy):
            await source.receive()
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_batches_and_nowait_take_what_is_here(path):
    async with History(path) as history:
        fill(history, 10)
        source = history.stream()
        with pytest.raises(WouldBlock):
            source.receive_nowait()
        async for batch in source.batches(4):
            assert numbers(batch) == [0, 1, 2, 3]
            break
        assert source.receive_nowait().offset == 4
        assert watch_backpressure(source, lambda paused: None) is source
        assert "5 buffered" in repr(source)
