"""The sending end of a remote stream: credit, turns, and the iterators it feeds from."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import InvalidArgument, NotFound, StreamClosed, WouldBlock
from penstock.session import status_of
from tests.calls.kit import Log, ended, rest, started
from tests.session.kit import Joined


@pytest.fixture
async def joined():
    async with Joined() as joined:
        yield joined


async def opened(joined, window=8):
    joined.window = window
    end = joined.open()
    await rest()
    return end.sink, joined.accepted[-1].source


async def test_there_is_no_credit_before_the_callee_has_accepted(joined):
    end = joined.open()
    with pytest.raises(WouldBlock):
        end.sink.send_nowait(1)
    sending = asyncio.ensure_future(end.sink.send(1))
    await asyncio.sleep(0)
    assert not sending.done()
    await sending


async def test_a_sink_feeds_exactly_as_far_as_there_is_credit(joined):
    sink, source = await opened(joined, window=5)
    taken = 0

    async def items():
        nonlocal taken
        while True:
            taken += 1
            yield taken

    feeding = await started(sink.feed(items()))
    assert taken == 5
    for consumed in range(1, 30):
        await source.receive()
        await rest()
        assert taken - consumed <= 5
    feeding.cancel()
    await ended(feeding)


async def test_a_sender_whose_item_cannot_be_encoded_after_its_wait_gives_its_place_to_the_next(joined):
    end = joined.open()
    sending = [asyncio.ensure_future(end.sink.send(item)) for item in (object(), 1, 2)]
    await rest()
    assert isinstance(sending[0].exception(), InvalidArgument)
    assert [sent.done() for sent in sending] == [True] * 3
    assert await joined.accepted[-1].source.receive() == 1


@pytest.mark.parametrize("where", ["waiting for credit", "inside the iterator", "in a turn of its own"])
async def test_a_feed_that_is_cancelled_closes_its_iterator(joined, where):
    sink, _source = await opened(joined, window=3)
    log = Log()

    async def items():
        try:
            while True:
                yield bytes(100_000) if where == "in a turn of its own" else 1
                if where == "inside the iterator":
                    await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    feeding = asyncio.ensure_future(sink.feed(items()))
    if where == "in a turn of its own":
        await asyncio.sleep(0)
    else:
        await rest()
    feeding.cancel()
    assert isinstance(await ended(feeding), asyncio.CancelledError)
    await rest()
    assert log == ["closed"]


@pytest.mark.parametrize("over", ["close", "fail", "finish"])
async def test_a_feed_whose_stream_is_over_stops_and_closes_its_iterator(joined, over):
    sink, _source = await opened(joined, window=3)
    log = Log()

    async def items():
        try:
            while True:
                yield 1
        finally:
            log.append("closed")

    feeding = await started(sink.feed(items()))
    if over == "close":
        sink.close()
    elif over == "fail":
        sink.finish(NotFound("x"))
    else:
        sink.finish(StreamClosed("x"))
    assert isinstance(await ended(feeding), NotFound if over == "fail" else StreamClosed)
    assert log == ["closed"]


async def test_a_producer_that_never_waits_lets_others_have_a_turn(joined):
    joined.window_bytes = 100_000_000
    sink, source = await opened(joined, window=100_000)
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.ensure_future(other())

    async def items():
        for _ in range(1000):
            yield bytes(1000)

    await sink.feed(items())
    assert turns >= 1000 * 1000 // (64 * 1024)
    before = turns
    await sink.send_many(bytes(20_000) for _ in range(100))
    assert turns - before >= 90
    running.cancel()
    await source.aclose()


async def test_the_program_may_change_an_object_after_it_was_sent(joined):
    sink, source = await opened(joined)
    item = {"n": 1}
    await sink.send(item)
    item["n"] = 2
    await sink.send(item)
    assert [await source.receive(), await source.receive()] == [{"n": 1}, {"n": 2}]


async def test_statistics_of_the_sink_follow_the_consumer(joined):
    sink, source = await opened(joined, window=4)
    waiting = await started(sink.send_many(range(6)))
    now = sink.statistics()
    assert (now.state, now.buffer_size, now.buffered, now.sent, now.received, now.credit, now.waiting_senders) == (
        ("open", 4, 4, 4, 0, 0, 1)
    )
    for _ in range(4):
        await source.receive()
    await waiting
    await rest()
    now = sink.statistics()
    assert (now.sent, now.received, now.credit, now.waiting_senders) == (6, 4, 2, 0)
    assert "6 sent, 4 consumed, credit 2" in repr(sink)


async def test_after_its_own_close_a_sink_refuses(joined):
    sink, source = await opened(joined)
    await sink.send(1)
    sink.close()
    sink.close()
    with pytest.raises(StreamClosed):
        await sink.send(2)
    with pytest.raises(StreamClosed):
        sink.send_nowait(2)
    with pytest.raises(StreamClosed):
        await sink.send_many([2])
    await rest()
    assert joined.accepted[0].events[-1] == ("ended", 0)
    assert source.receive_nowait() == 1


@pytest.mark.parametrize(
    ("error", "details"),
    [
        (NotFound("x", {"a": [1, {"b": None}]}), {"a": [1, {"b": None}]}),
        (NotFound("x", {"a": object}), {"a": ascii(object)}),
        (NotFound("x", {1: 2}), {"1": "2"}),
        (NotFound("x", {"\ud800": "\ud800"}), None),
    ],
    ids=["plain", "object", "number", "surrogate"],
)
def test_an_error_always_has_a_form_that_travels(error, details):
    import msgspec

    status = status_of(error)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(status), type=type(status))
    assert (again.code, again.reason) == (5, "not_found")
    if details is not None:
        assert msgspec.msgpack.decode(again.details) == details


def test_a_long_message_is_cut():
    assert len(status_of(NotFound("x" * 1_000_000)).message) < 10_000


async def test_items_of_two_senders_never_mix(joined):
    """Each `send` is one item, whole, whoever sends beside it."""
    sink, source = await opened(joined, window=3)

    async def send(name, size):
        for number in range(20):
            await sink.send([name, number, bytes(size)])

    sending = [asyncio.ensure_future(send(name, size)) for name, size in (("a", 10), ("b", 30_000), ("c", 100_000))]
    seen = {"a": [], "b": [], "c": []}
    for _ in range(60):
        name, number, _ = await source.receive()
        seen[name].append(number)
    assert seen == {name: list(range(20)) for name in "abc"}
    await asyncio.gather(*sending)
    assert not penstock.streams.Statistics(*sink.statistics()).waiting_senders


async def test_pressure_is_told_once_for_all_the_senders_that_wait(joined):
    sink, source = await opened(joined, window=1)
    edges: list[bool] = []
    penstock.watch_backpressure(sink, edges.append)

    async def send_ten():
        for number in range(10):
            await sink.send(number)

    sending = [asyncio.ensure_future(send_ten()) for _ in range(3)]
    for _ in range(30):
        await source.receive()
        await rest()
    await asyncio.gather(*sending)
    assert edges == [True, False]


async def test_closing_waits_for_the_write_and_says_when_the_connection_was_lost_before_it(joined):
    """It returned in silence, as if the last items were on their way."""
    sink, _source = await opened(joined)
    joined.client.pause_writing()
    await sink.send("kept here")
    closing = await started(sink.aclose())
    assert not closing.done()
    joined.server.link.abort()
    with pytest.raises(penstock.ConnectionLost):
        await closing
