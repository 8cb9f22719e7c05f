"""A stream in one process ends, fails or is cancelled, and the three are never confused."""

from __future__ import annotations

import pytest

import penstock
from penstock import Aborted, Cancelled, EndOfStream, NotFound, StreamCancelled, StreamClosed
from penstock.streams import Statistics
from tests.streams.kit import ended, started, stopped


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
    assert [await source.receive(), await source.receive()] == [1, 2]
    with pytest.raises(NotFound, match="gone"):
        await anext(aiter(source))
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
