"""Streams of actors in this process: the bound, the four outcomes, events, and that nothing outlives its consumer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import (
    Actor,
    Cancelled,
    CancelToken,
    DeadlineExceeded,
    IdleTimeout,
    InvalidArgument,
    NotFound,
    StreamCancelled,
    Unimplemented,
)
from tests.actors.kit import (
    Broken,
    Maker,
    collect,
    ended,
    now,
    rest,
    started,
    stopped,
)


def state(system):
    return system._host.cell("m").actor


# ── the bound ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("buffer_size", [1, 2, 7, 100])
@pytest.mark.parametrize("form", ["stub", "router"])
async def test_the_producer_is_ahead_by_exactly_the_buffer(system, maker, buffer_size, form):
    if form == "stub":
        stream = penstock.options(maker, buffer_size=buffer_size).numbers()
    else:
        stream = system.stream("m", "numbers", buffer_size=buffer_size, timeout=None)
    for taken in range(20):
        await rest()
        assert state(system).made == taken + buffer_size
        assert await stream.receive() == taken
    await stream.aclose()


async def test_nobody_who_does_not_read_costs_more_than_the_buffer(system, maker):
    streams = [maker.numbers() for _ in range(50)]
    await rest()
    assert state(system).made == 50 * 16
    del streams
    await rest()
    assert state(system).closed == 50


# ── the outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_ends(maker):
    assert await collect(maker.numbers(1000)) == (list(range(1000)), None)
    assert await collect(maker.numbers(0)) == ([], None)


async def test_a_stream_fails_after_its_items(system, maker):
    assert await collect(maker.fails(20)) == (list(range(20)), Broken)
    assert await collect(maker.answers(20)) == (list(range(20)), NotFound)
    assert system.info("m").restarts == 0


@pytest.mark.parametrize("how", ["break", "return", "raise", "cancel", "aclose", "async with", "forget"])
async def test_whoever_leaves_runs_the_producer_s_finally(system, maker, how):
    async def leave():
        stream = maker.numbers()
        if how == "aclose":
            await stream.receive()
            await stream.aclose()
        elif how == "async with":
            async with stream:
                await stream.receive()
        elif how == "forget":
            await stream.receive()
        else:
            async for _ in stream:
                if how == "break":
                    break
                if how == "return":
                    return
                if how == "raise":
                    raise Broken
                await asyncio.sleep(1000)

    task = await started(leave())
    if how == "cancel":
        await stopped(task)
    await ended(task)
    await rest()
    assert state(system).closed == 1
    assert system.info("m").streams == 0


async def test_the_consumer_s_own_exception_reaches_its_own_code(maker):
    async def consume():
        async for _ in maker.numbers():
            raise Broken("mine")

    with pytest.raises(Broken, match="mine"):
        await consume()


async def test_a_cancelled_receive_loses_nothing(maker):
    stream = maker.later(1)
    assert isinstance(await stopped(await started(stream.receive())), asyncio.CancelledError)
    assert await stream.receive() == 1


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["stub", "router"])
async def test_a_stream_ends_at_its_deadline(system, maker, form):
    if form == "stub":
        stream = penstock.options(maker, timeout=2).numbers(pause=0.3)
    else:
        stream = system.stream("m", "numbers", {"pause": 0.3}, timeout=2)
    items, error = await collect(stream)
    assert error is DeadlineExceeded
    assert len(items) == 7
    assert now() == pytest.approx(2)
    await rest()
    assert state(system).closed == 1


async def test_a_stream_by_address_has_a_deadline_when_nobody_sets_one(system, maker):
    assert (await collect(system.stream("m", "numbers", {"pause": 1})))[1] is DeadlineExceeded
    assert now() == pytest.approx(60)


async def test_a_stream_without_items_is_an_idle_time_out(system, maker):
    items, error = await collect(system.stream("m", "numbers", {"pause": 10}, idle_timeout=3))
    assert (items, error) == ([0], IdleTimeout)
    assert now() == pytest.approx(3)
    await rest()
    assert state(system).closed == 1


async def test_a_slow_consumer_is_no_idle_producer(system, maker):
    seen = 0
    async for _ in system.stream("m", "numbers", 5, idle_timeout=1, timeout=None):
        await asyncio.sleep(5)
        seen += 1
    assert seen == 5


async def test_a_forgotten_stream_with_a_deadline_is_forgotten_at_once(system, maker):
    stream = system.stream("m", "numbers", timeout=1000)
    await rest()
    del stream
    await rest()
    assert state(system).closed == 1


# ── tokens and events ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_token_keeps_nothing_that_is_over_or_forgotten(system, maker):
    token = CancelToken()
    for _ in range(100):
        await collect(system.stream("m", "numbers", 2, cancel=token))
        await system.stream("m", "numbers", cancel=token).receive()
    await rest()
    assert system.info("m").streams == 0
    assert (len(token._actions), len(token._streams)) == (0, 0)
    token.cancel()


@pytest.mark.parametrize("events", [False, True])
async def test_a_token_ends_a_stream_with_its_reason(system, maker, events):
    token = CancelToken()
    stream = system.stream("m", "numbers", {"pause": 1}, cancel=token, events=events)
    reading = await started(collect(stream))
    token.cancel("that will do")
    items, error = await reading
    if events:
        assert [event.type for event in items] == ["data", "error"]
        assert "that will do" in items[-1].error
    else:
        assert (items, error) == ([0], Cancelled)
    await rest()
    assert state(system).closed == 1


async def test_a_token_ends_all_that_hold_it(system, maker):
    token = CancelToken()
    readings = [await started(collect(system.stream("m", "numbers", {"pause": 1}, cancel=token))) for _ in range(10)]
    token.cancel()
    assert {error for _items, error in await asyncio.gather(*readings)} == {Cancelled}


async def test_a_stream_as_events(system, maker):
    events = [event async for event in system.stream("m", "numbers", 3, events=True)]
    assert [event.type for event in events] == ["data", "data", "data", "end"]
    assert [event.payload for event in events] == [0, 1, 2, None]
    assert len({event.id for event in events}) == 4
    assert len({event.correlation_id for event in events}) == 1
    assert {event.sender for event in events} == {"m"}
    assert all(event.timestamp > 0 for event in events)


async def test_a_failure_is_the_last_event(system, maker):
    events = [event async for event in system.stream("m", "fails", 2, events=True)]
    assert [event.type for event in events] == ["data", "data", "error"]
    assert events[-1].error == "Broken: half-way"


async def test_leaving_a_loop_over_events_stops_the_producer(system, maker):
    async for _ in system.stream("m", "numbers", events=True):
        break
    await rest()
    assert state(system).closed == 1


async def test_events_that_are_never_read_stop_the_producer(system, maker):
    events = system.stream("m", "numbers", events=True)
    await rest()
    del events
    await rest()
    assert state(system).closed == 1


# ── stream_ask ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("awaited", [False, True])
async def test_each_chunk_is_handed_over_in_order_and_waited_for(system, maker, awaited):
    found = []

    async def slowly(item):
        await asyncio.sleep(1)
        found.append(item)

    await system.stream_ask("m", "numbers", 5, on_chunk=slowly if awaited else found.append)
    assert found == list(range(5))


async def test_a_chunk_that_is_refused_stops_the_producer(system, maker):
    def refuse(item):
        raise Broken

    with pytest.raises(Broken):
        await system.stream_ask("m", "numbers", on_chunk=refuse)
    await rest()
    assert state(system).closed == 1
    with pytest.raises(Broken):
        await system.stream_ask("m", "fails", 3, on_chunk=lambda _item: None)
    with pytest.raises(DeadlineExceeded):
        await system.stream_ask("m", "numbers", {"pause": 1}, on_chunk=lambda _item: None, timeout=3)


# ── the other kinds of calls ──────────────────────────────────────────────────────────────────────────────────────────


async def items(*numbers):
    for number in numbers:
        yield number


async def test_streams_go_in_and_both_ways(system, maker):
    assert await maker.total(items(1, 2, 3)) == 6
    assert await maker.total([1, 2, 3]) == 6
    assert await maker.first(itertools.count(7)) == 7
    assert [item async for item in maker.doubled([1, 2, 3])] == [2, 4, 6]
    await rest()
    assert system.info("m").streams == 0


async def test_what_a_method_did_not_read_is_closed(maker):
    closed = False

    async def endless():
        nonlocal closed
        try:
            for number in itertools.count(1):
                yield number
        finally:
            closed = True

    assert await maker.first(endless()) == 1
    await rest()
    assert closed


async def test_a_call_with_a_stream_ends_at_its_deadline_and_when_cancelled(system, maker):
    async def never():
        await asyncio.sleep(1000)
        yield 1

    with pytest.raises(DeadlineExceeded):
        await penstock.options(maker, timeout=2).total(never())
    assert isinstance(await stopped(await started(maker.total(never()))), asyncio.CancelledError)
    await rest()
    assert system.info("m").streams == 0


async def test_a_stream_that_does_not_exist_says_what_may_have_been_meant(system, maker):
    with pytest.raises(Unimplemented, match="did you mean 'numbers'"):
        system.stream("m", "number")
    with pytest.raises(Unimplemented, match="streams; use stream"):
        await system.ask("m", "numbers")
    with pytest.raises(InvalidArgument):
        system.stream("m", "fails", None)
    with pytest.raises(NotFound, match="no actor 'mm'"):
        system.stream("mm", "numbers")


async def test_a_method_that_trips_over_another_cancelled_stream_has_failed(system, maker):
    class Trips(Actor):
        async def forward(self) -> AsyncIterator[int]:
            sink, source = penstock.pipe(1)
            await source.aclose()
            yield 1
            await sink.send(1)

    trips = await system.spawn(Trips)
    assert await collect(trips.forward()) == ([1], StreamCancelled)


async def test_streams_go_on_while_the_mailbox_is_full(system):
    class Full(Maker):
        mailbox = penstock.Mailbox(1)

        async def busy(self) -> None:
            await asyncio.sleep(100)

    full = await system.spawn(Full, name="f")
    waiting = [await started(full.busy()) for _ in range(3)]
    assert await collect(full.numbers(100, 0.1)) == (list(range(100)), None)
    assert now() < 100
    assert not any(task.done() for task in waiting)
    for task in waiting:
        await stopped(task)
