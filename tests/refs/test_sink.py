"""A `SinkRef` is fed where it arrives: items wait for the consumer, and the stream ends as its sender says."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import msgspec
import pytest

import penstock
from penstock import ConnectionLost, FailedPrecondition, StreamCancelled, StreamClosed
from penstock.errors import Aborted, NotFound, OutOfRange, StatusError
from penstock.refs import RECLAIM_S, SinkRef, offers
from tests.calls.kit import collected, ended, linked, rest, started
from tests.refs.kit import Exchange


async def test_here_it_is_the_sink_itself():
    sink, source = penstock.pipe(2)
    ref: SinkRef[int] = SinkRef(sink)
    await ref.put(1)
    ref.send_nowait(2)
    with pytest.raises(penstock.WouldBlock):
        ref.send_nowait(3)
    ref.complete()
    assert [item async for item in source] == [1, 2]


async def test_what_is_no_sink_is_refused():
    with pytest.raises(TypeError, match="PipeSource is not a Sink"):
        SinkRef(penstock.pipe()[1])  # type: ignore[arg-type]


async def test_it_is_fed_where_it_arrives_and_completed_there(apart):
    sink, source = penstock.pipe(2)
    async with linked(Exchange()) as pair:
        filling = await started(pair.stub(Exchange).fill(SinkRef(sink), 1000))
        assert [item async for item in source] == list(range(1000))
        await filling
    assert len(offers()) == 0


@pytest.mark.parametrize("size", [1, 4])
async def test_put_waits_at_the_bound(apart, size):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).entrance()
        sink = ref.claim(buffer_size=size)
        sending = await started(sink.send_many(range(100)))
        await rest()
        assert sink.statistics().sent <= 4 + 1 + size  # the pipe's own, one in hand, what may be under way
        assert not sending.done()
        assert [await exchange.source.receive() for _ in range(100)] == list(range(100))
        await sending
        sink.close()
        assert [item async for item in exchange.source] == []


async def test_what_was_put_arrives_though_the_ref_is_forgotten_after_complete(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref: Any = await pair.stub(Exchange).entrance()
        await ref.put(1)
        await ref.put(2)
        ref.complete()
        with pytest.raises(StreamClosed):
            await ref.put(3)
        del ref
        gc.collect()
        assert [item async for item in exchange.source] == [1, 2]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OutOfRange("no more", {"at": 3}), OutOfRange, "no more"),
        (LookupError("my own words"), penstock.Unknown, "my own words"),
    ],
)
async def test_a_failure_arrives_typed_after_the_items(apart, error, kind, message):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).entrance()
        await ref.put(1)
        ref.fail(error)
        items, outcome = await collected(exchange.source)
        assert (items, type(outcome), str(outcome)) == ([1], kind, message)
        if kind is OutOfRange:
            assert outcome.details == {"at": 3}


async def test_a_ref_that_is_forgotten_uncompleted_is_a_failure_and_never_an_end(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref: Any = await pair.stub(Exchange).entrance()
        await ref.put(1)
        await rest()
        del ref
        gc.collect()
        items, outcome = await collected(exchange.source)
        assert (items, type(outcome)) == ([1], Aborted)


async def test_a_connection_that_is_lost_fails_the_stream(apart):
    exchange = Exchange()
    async with linked(exchange, gate=False) as pair:
        ref = await pair.stub(Exchange).entrance()
        await ref.put(1)
        await rest()
        pair.peer._scope.session.abort()
        items, outcome = await collected(exchange.source)
        assert items == [1]
        assert isinstance(outcome, ConnectionLost | penstock.Cancelled)
        with pytest.raises(StatusError):
            await ref.put(2)


async def test_a_consumer_that_leaves_stops_the_sender(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).entrance()
        sending = await started(ref.send_many(range(10**6)))
        async with exchange.source:
            assert await exchange.source.receive() == 0
        assert isinstance(await ended(sending), StreamCancelled)


async def test_a_sender_that_pauses_is_told_that_its_consumer_has_left(apart):
    for before in (False, True):
        exchange = Exchange()
        async with linked(exchange) as pair:
            ref = await pair.stub(Exchange).entrance()
            if before:
                await exchange.source.aclose()
            with contextlib.suppress(StreamCancelled):
                await ref.put(1)
            await rest()
            await exchange.source.aclose()
            await rest()
            with pytest.raises(StreamCancelled):
                ref.send_nowait(2)


async def test_it_can_be_claimed_once(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = SinkRef(exchange.sink)
        first, second = [await pair.peer.call("Exchange/give") for _ in range(2)]
        await second.put(1)
        with pytest.raises(FailedPrecondition, match="claimed already"):
            await first.put(2)
        second.complete()
        assert [item async for item in exchange.source] == [1]


async def test_what_nobody_claims_fails_its_stream(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).entrance()
        await asyncio.sleep(RECLAIM_S + 0.1)
        with pytest.raises(NotFound, match="was reclaimed, because it was not claimed within 30 s"):
            await exchange.source.receive()
        with pytest.raises(NotFound, match="was reclaimed"):
            await ref.put(1)


async def test_one_that_is_sent_on_is_relayed(apart):
    exchange = Exchange()
    async with linked(exchange) as pair:
        ref = await pair.stub(Exchange).entrance()
        sent_on = await pair.peer.call("Exchange/echo", ref)
        await sent_on.put(1)
        sent_on.fail(Aborted("half-way"))
        items, outcome = await collected(exchange.source)
        assert (items, type(outcome), str(outcome)) == ([1], Aborted, "half-way")
    assert len(offers()) == 0


def failure(*parts: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(3, msgspec.msgpack.encode(parts))


class Taker:
    async def kind(self, value: Any) -> str:
        return type(value).__name__


async def test_the_failure_of_a_stream_is_an_unknown_value_anywhere_else():
    """A peer could hand an object of the library to a handler."""
    async with penstock.serve(Taker(), listen="memory://taker"), penstock.connect("memory://taker") as peer:
        assert await peer.service(Taker).kind(failure(5, "not_found", "x", {})) == "Ext"


@pytest.mark.parametrize("parts", [(), (5, "not_found"), ("5", "not_found", "x", {})], ids=repr)
async def test_a_failure_that_cannot_be_read_fails_the_stream_and_its_sender(apart, parts):
    sink, source = penstock.pipe(2)
    exchange = Exchange()
    async with linked(exchange) as pair:
        exchange.given = SinkRef(sink)
        there = await pair.peer.call("Exchange/give")
        claimed = there.claim()
        await claimed.send(1)
        await claimed.send(failure(*parts))
        with pytest.raises(penstock.InvalidArgument, match="the failure of a stream that cannot be read"):
            await claimed.aclose()
        assert await source.receive() == 1
        with pytest.raises(penstock.StatusError):
            await source.receive()
