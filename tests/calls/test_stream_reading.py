"""A stream of responses at its caller: items, batches, time, and the stream of requests that goes with it."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import Busy, EndOfStream, IdleTimeout
from penstock.streams import Statistics
from tests.calls.kit import Log, collected, ended, rest, started
from tests.calls.numbers import Numbers

# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_none_and_empty_bytes_are_items(pair):
    expected = [None, b"", b"x", None, b"y" * 100_000, b"", None]
    assert [item async for item in pair.stub(Numbers).mixed()] == expected
    assert [item async for batch in pair.stub(Numbers).mixed().batches(2) for item in batch] == expected


@pytest.mark.parametrize("size", [4, 1024, 16 * 1024 - 4, 16 * 1024, 64 * 1024, 300_000, 1_048_576])
async def test_items_of_any_size_arrive_in_order(pair, size):
    count = min(200, 8_000_000 // size)
    number = 0
    async for chunk in pair.stub(Numbers).chunks(count, size):
        assert chunk == number.to_bytes(4, "big") * (size // 4)
        number += 1
    assert number == count


@pytest.mark.parametrize("max_items", [1, 3, 256, 10_000])
async def test_batches_hold_all_items_in_order(pair, max_items):
    batches = [batch async for batch in pair.stub(Numbers).count(1000).batches(max_items)]
    assert [item for batch in batches for item in batch] == list(range(1000))
    assert max(map(len, batches)) <= max_items


async def test_a_receive_cancelled_at_any_turn_loses_no_item(pair):
    stream = pair.stub(Numbers, buffer_size=3).count(60)
    taken = []
    for attempt in range(2000):
        receiving = asyncio.ensure_future(stream.receive())
        for _ in range(attempt % 5):
            await asyncio.sleep(0)
        receiving.cancel()
        outcome = await ended(receiving)
        if isinstance(outcome, EndOfStream):
            break
        if not isinstance(outcome, asyncio.CancelledError):
            taken.append(outcome)
    assert taken == list(range(60))


async def test_a_second_receiver_is_refused_and_the_first_is_not_disturbed(pair):
    stream = pair.stub(Numbers).endless(pause_s=1)
    assert await stream.receive() == 0
    first = await started(stream.receive())
    with pytest.raises(Busy):
        await stream.receive()
    with pytest.raises(Busy):
        await anext(stream.batches())
    assert await first == 1
    await stream.aclose()


async def test_receive_nowait_takes_what_is_here(pair):
    stream = pair.stub(Numbers).count(2)
    with pytest.raises(penstock.WouldBlock):
        stream.receive_nowait()
    await rest()
    assert [stream.receive_nowait(), stream.receive_nowait()] == [0, 1]
    with pytest.raises(EndOfStream):
        stream.receive_nowait()


async def test_a_stub_may_be_awaited_where_the_service_is_a_coroutine(pair):
    assert [item async for item in await pair.stub(Numbers).count(3)] == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
async def test_statistics_tell_how_the_stream_stands(pair, numbers, size):
    stream = pair.stub(Numbers, buffer_size=size).endless()
    await rest()
    assert stream.statistics() == Statistics("open", size, size, size, 0, 0, 0)
    for consumed in range(1, 3 * size):
        await stream.receive()
        await rest()
        now = stream.statistics()
        assert now.received == consumed
        assert now.buffered == now.sent - now.received <= size
        assert numbers.produced - consumed <= size
    assert f"{stream.statistics().buffered} of {size} buffered" in repr(stream)
    await stream.aclose()


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_wait_that_is_cancelled_while_the_stream_gets_its_last_look_fails_nothing(pair):
    stream = pair.stub(Numbers, idle_timeout=2).endless(pause_s=5)
    assert await stream.receive() == 0
    waiting = await started(stream.receive())
    await asyncio.sleep(1.9995)
    waiting.cancel()
    await asyncio.sleep(4)
    assert await stream.receive() == 1
    stream.cancel()


async def test_idle_timeout_is_the_time_without_an_item_while_somebody_waits(pair, numbers):
    stream = pair.stub(Numbers, idle_timeout=2).endless(pause_s=1.5)
    assert [await stream.receive() for _ in range(4)] == [0, 1, 2, 3]
    await asyncio.sleep(100)  # nobody waits: the consumer is slow, the stream is not idle
    assert await stream.receive() == 4
    await stream.aclose()
    stream = pair.stub(Numbers, idle_timeout=2).endless(pause_s=2.5)
    items, error = await collected(stream)
    assert len(items) == 1
    assert type(error) is IdleTimeout
    await rest()
    assert numbers.log[-2:] == ["cancelled", "closed"]


async def test_a_deadline_is_for_the_whole_call_however_busy_it_is(pair, numbers):
    items, error = await collected(pair.stub(Numbers, timeout=10).endless(pause_s=1))
    assert len(items) == 10
    assert type(error) is penstock.DeadlineExceeded
    await rest()
    assert numbers.log == ["begun", "cancelled", "closed"]
    assert not pair.left_over()


async def test_a_deadline_that_passes_while_the_consumer_is_away_is_found_after_the_items(pair):
    stream = pair.stub(Numbers, timeout=1, buffer_size=5).endless()
    await asyncio.sleep(5)
    items, error = await collected(stream)
    assert items == [0, 1, 2, 3, 4]
    assert type(error) is penstock.DeadlineExceeded


async def test_a_stream_that_ends_in_time_forgets_its_deadline(pair):
    assert [item async for item in pair.stub(Numbers, timeout=1000, idle_timeout=1000).count(3)] == [0, 1, 2]
    await rest()
    timers = asyncio.get_running_loop()._scheduled
    assert not [timer for timer in timers if not timer.cancelled() and 500 < timer.when() < 2000]


# ── the stream of requests ────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_the_responses_closes_the_requests(pair, numbers):
    log = Log()

    async def requests():
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            log.append("requests closed")

    async for item in pair.stub(Numbers, buffer_size=4).mirror(requests()):
        if item == 10:
            break
    await rest()
    assert log == ["requests closed"]
    assert numbers.log == ["closed"]


async def test_aclose_returns_when_the_requests_are_closed(pair):
    log = Log()

    async def requests():
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            log.append("closed")

    stream = pair.stub(Numbers).mirror(requests())
    assert await stream.receive() == 1
    await stream.aclose()
    assert log == ["closed"]


async def test_what_the_requests_raise_is_the_outcome_of_the_call(pair, numbers):
    async def requests():
        yield 1
        raise ZeroDivisionError("mine")

    items, error = await collected(pair.stub(Numbers).mirror(requests()))
    assert items in ([], [1])
    assert type(error) is ZeroDivisionError
    await rest()
    assert numbers.log == ["closed"]


@pytest.mark.parametrize("kind", ["list", "generator", "async generator", "source", "empty"])
async def test_requests_may_be_any_iterable_or_a_source(pair, kind):
    async def generator():
        for number in range(1000):
            yield number

    sink, source = penstock.pipe(4)
    sending = asyncio.ensure_future(sink.send_many(range(1000)))
    sending.add_done_callback(lambda _: sink.close())
    requests = {
        "list": list(range(1000)),
        "generator": (number for number in range(1000)),
        "async generator": generator(),
        "source": source,
        "empty": [],
    }[kind]
    expected = [] if kind == "empty" else list(range(1000))
    assert [item async for item in pair.stub(Numbers).mirror(requests)] == expected
    await source.aclose()
    await ended(sending)


async def test_an_item_that_is_here_after_a_stall_is_no_idle_stream(pair):
    stream = pair.stub(Numbers, idle_timeout=2).endless(pause_s=1)
    assert await stream.receive() == 0
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().advance, 10)
    assert [await stream.receive() for _ in range(2)] == [1, 2]
    await stream.aclose()
