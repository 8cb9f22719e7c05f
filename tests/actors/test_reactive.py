"""A stream between two actors: the bound, the four outcomes, and that no fault looks like an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import penstock
from penstock import ActorSystem, FailedPrecondition, IdleTimeout, SourceRef, StreamCancelled, StreamConsumer, StreamProducer
from penstock.actors import ref
from penstock.errors import ActorStopped, NotFound, OutOfRange, StreamClosed, Unavailable
from penstock.refs import _state
from tests.calls.kit import collected, ended, rest, started


@asynccontextmanager
async def wired(**options: Any) -> AsyncIterator[tuple[ActorSystem, Any, Any, Any, Any]]:
    """A system, a producer, a consumer, and the two ends."""
    producing = {"buffer_size": options.pop("buffer_size", 16)}
    async with ActorSystem() as system:
        producer = await system.spawn(StreamProducer, name="producer", **producing)
        consumer = await system.spawn(StreamConsumer, producer, name="consumer", **options)
        yield system, producer, consumer, await producer.sink(), await consumer.source()


async def test_everything_arrives_in_order_and_then_the_end():
    async with wired(initial_demand=2) as (_system, _producer, _consumer, sink, source):
        putting = await started(sink.send_many(range(1000)))
        reading = await started(collected(source))
        await putting
        sink.complete()
        assert await reading == (list(range(1000)), None)


@pytest.mark.parametrize(("buffer_size", "demand"), [(1, 1), (16, 2), (4, 8)])
async def test_put_waits_at_the_bound(buffer_size, demand):
    async with wired(buffer_size=buffer_size, initial_demand=demand) as (_system, _producer, _consumer, sink, source):
        put = 0

        async def fill() -> None:
            nonlocal put
            while True:
                await sink.put(put)
                put += 1

        filling = await started(fill())
        assert put <= buffer_size + demand + 3  # one in the hand of each actor, one in that of the reader
        assert await source.receive() == 0
        before = put
        await rest()
        assert put <= before + 2
        await source.aclose()
        assert isinstance(await ended(filling), StreamCancelled)


async def test_break_stops_the_producer():
    async with wired() as (_system, _producer, _consumer, sink, source):
        putting = await started(sink.send_many(range(100)))
        async for item in source:
            if item == 4:
                break
        assert isinstance(await ended(putting), StreamCancelled)
        with pytest.raises(StreamCancelled):
            await sink.put(1)


async def test_an_empty_stream_that_is_completed_early_ends_at_once():
    async with ActorSystem() as system:
        producer = await system.spawn(StreamProducer)
        (await producer.sink()).complete()
        consumer = await system.spawn(StreamConsumer, producer)
        async with asyncio.timeout(0.1):
            assert [item async for item in await consumer.source()] == []


async def test_what_the_sender_fails_with_arrives_after_the_items():
    async with wired() as (_system, _producer, _consumer, sink, source):
        await sink.put(1)
        sink.fail(OutOfRange("the feed broke"))
        items, error = await collected(source)
        assert (items, type(error)) == ([1], OutOfRange)


@pytest.mark.parametrize("who", ["producer", "consumer"])
@pytest.mark.parametrize("how", ["stop", "restart"])
async def test_an_actor_that_stops_or_restarts_is_never_an_end(who, how):
    async with wired() as (system, _producer, _consumer, sink, source):
        await sink.put(1)
        assert await source.receive() == 1
        reading = await started(collected(source))
        await getattr(system, how)(who)
        _items, error = await reading
        assert isinstance(error, ActorStopped)
        with pytest.raises((StreamCancelled, StreamClosed)):
            await sink.put(2)


async def test_a_producer_that_stops_before_it_has_a_consumer_refuses_to_take_more():
    async with ActorSystem() as system:
        producer = await system.spawn(StreamProducer, name="producer", buffer_size=1)
        sink = await producer.sink()
        await sink.put(1)
        waiting = await started(sink.put(2))
        await system.stop("producer")
        assert isinstance(await ended(waiting), StreamCancelled)
        with pytest.raises(StreamCancelled):
            await sink.put(3)


async def test_a_slow_producer_is_a_time_out_and_never_an_end():
    async with wired(timeout=5) as (_system, _producer, _consumer, sink, source):
        await sink.put(1)
        assert await source.receive() == 1
        with pytest.raises(IdleTimeout, match="consumer: its producer brought no item for 5 s"):
            await source.receive()
        with pytest.raises(StreamCancelled):
            await sink.put(2)


async def test_a_slow_reader_is_no_slow_producer():
    async with wired(timeout=5) as (_system, _producer, _consumer, sink, source):
        putting = await started(sink.send_many(range(30)))
        for number in range(30):
            await asyncio.sleep(7)
            assert await source.receive() == number
        await putting


async def test_a_stream_has_one_reader_and_a_producer_one_consumer():
    async with wired() as (system, producer, consumer, _sink, source):
        with pytest.raises(FailedPrecondition, match="handed out its source"):
            await consumer.source()
        second = await system.spawn(StreamConsumer, producer)
        with pytest.raises(FailedPrecondition, match="has had its consumer"):
            await (await second.source()).receive()
        await source.aclose()


async def test_a_producer_is_named_by_stub_ref_address_or_any_source():
    async with ActorSystem() as system:
        for form in ("stub", "ref", "address", "source ref", "generator"):
            producer: Any = await system.spawn(StreamProducer, name=form.replace(" ", "-"))
            sink = await producer.sink()
            await sink.send_many([1, 2])
            sink.complete()
            given: Any = {
                "stub": producer,
                "ref": ref(producer),
                "address": form,
                "source ref": SourceRef(producer.items()) if form == "source ref" else None,
                "generator": producer.items() if form == "generator" else None,
            }[form]
            consumer = await system.spawn(StreamConsumer, given, initial_demand=1)
            assert [item async for item in await consumer.source()] == [1, 2]
        lost = await system.spawn(StreamConsumer, "nobody")
        with pytest.raises(NotFound, match="nobody"):
            await (await lost.source()).receive()


async def test_options_out_of_range_are_refused():
    async with ActorSystem() as system:
        with pytest.raises(ValueError, match="initial_demand is 0"):
            await system.spawn(StreamConsumer, "producer", initial_demand=0)
        with pytest.raises(ValueError, match="buffer_size is 0"):
            await system.spawn(StreamProducer, buffer_size=0)


async def read_all(source, _sink):
    await collected(source)


async def leave(source, _sink):
    async for _item in source:
        return


async def drop(_source, _sink):
    pass


async def stop_sending(source, sink):
    sink.fail(OutOfRange("the feed broke"))
    await collected(source)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("use", [read_all, leave, drop, stop_sending])
async def test_both_actors_stop_with_their_stream(use, where):
    """FAULTS B3"""
    async with ActorSystem() as far, ActorSystem() as near, penstock.serve(far, listen="memory://far") as server:
        await far.spawn(StreamProducer, name="producer")
        async with penstock.connect(server.urls[0]) as peer:
            router = peer if where == "elsewhere" else far
            producer = router.actor(StreamProducer, "producer")
            consumer = await near.spawn(StreamConsumer, producer, name="consumer")
            sink, source = await producer.sink(), await consumer.source()
            await sink.send_many([1, 2])
            await rest()
            if use is not stop_sending:
                sink.complete()
            await use(source, sink)
            del source
            await rest()
            assert (near.list(), far.list()) == ([], [])


async def test_an_actor_that_is_restarted_does_not_stop_with_the_stream_that_it_had():
    async with wired() as (system, _producer, _consumer, sink, source):
        await sink.put(1)
        assert await source.receive() == 1
        await system.restart("producer")
        await rest()
        assert system.info("producer").state == "running"


# ── between processes ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop takes itself for two: ends of streams that arrive are claimed by a call."""
    monkeypatch.setattr(_state, "is_here", lambda _place: False)


async def test_the_ends_are_used_in_another_process(apart):
    async with ActorSystem() as far, penstock.serve(far, listen="memory://far") as server:
        await far.spawn(StreamProducer, name="producer")
        async with penstock.connect(server.urls[0]) as peer, ActorSystem() as near:
            producer = peer.actor(StreamProducer, "producer")
            consumer = await near.spawn(StreamConsumer, producer)
            source = await consumer.source()
            sink = await producer.sink()
            putting = await started(sink.send_many(range(500)))
            assert [await source.receive() for _ in range(500)] == list(range(500))
            await putting
            sink.complete()
            assert await collected(source) == ([], None)


async def test_a_producer_that_stops_in_another_process_is_never_an_end(apart):
    async with ActorSystem() as far, penstock.serve(far, listen="memory://far") as server:
        await far.spawn(StreamProducer, name="producer")
        async with penstock.connect(server.urls[0]) as peer, ActorSystem() as near:
            producer = peer.actor(StreamProducer, "producer")
            sink = await producer.sink()
            await sink.put(1)
            consumer = await near.spawn(StreamConsumer, producer)
            source = await consumer.source()
            assert await source.receive() == 1
            reading = await started(collected(source))
            await far.stop("producer")
            _items, error = await reading
            assert isinstance(error, Unavailable)  # it came through a handler: see `details["upstream"]`
            for _ in range(2):  # the first may be on its way when the news comes
                last = await ended(asyncio.ensure_future(sink.put(2)))
                await rest()
            assert isinstance(last, StreamCancelled)
