"""Any async iterable as a source: pulled one at a time, never before it is wanted, closed when nobody wants it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from penstock import Busy, EndOfStream, NotFound, WouldBlock, pipe, watch_backpressure
from penstock.errors import Aborted, Cancelled, StreamClosed
from penstock.streams import source_of
from penstock.testing import verify_source
from tests.streams.kit import ended, rest, started, stopped


class Producer:
    def __init__(self, count: int = 10**9, *, pause_s: float = 0.0, error: Exception | None = None) -> None:
        self.count, self.pause_s, self.error = count, pause_s, error
        self.produced = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                await asyncio.sleep(self.pause_s)
                self.produced += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


async def test_a_source_is_itself():
    _sink, source = pipe()
    assert source_of(source) is source


async def test_nothing_is_pulled_before_it_is_wanted_and_one_at_a_time():
    producer = Producer(3)
    source = source_of(producer)
    await rest()
    assert producer.produced == 0
    for number in range(3):
        assert await source.receive() == number
        await rest()
        assert producer.produced == number + 1
    with pytest.raises(WouldBlock):
        source.receive_nowait()
    for _ in range(2):
        with pytest.raises(EndOfStream):
            await source.receive()
    assert source.statistics().state == "ended"
    assert "ended" in repr(source)


async def test_giving_up_waiting_loses_no_item_and_does_not_stop_the_producer():
    producer = Producer(2, pause_s=1)
    source = source_of(producer)
    await stopped(await started(source.receive()))
    assert [item async for item in source] == [0, 1]


async def test_its_error_is_the_outcome_and_the_end_of_another_stream_is_a_failure():
    for error, expected in ((NotFound("no"), NotFound), (EndOfStream(), Aborted), (LookupError("x"), LookupError)):
        source = source_of(Producer(1, error=error))
        assert await source.receive() == 0
        for _ in range(2):
            with pytest.raises(expected):
                await source.receive()
        assert source.statistics().state == "failed"


async def test_closing_runs_the_finally_of_a_producer_that_is_at_work():
    producer = Producer(pause_s=100)
    source = source_of(producer)
    reading = await started(source.receive())
    with pytest.raises(Busy):
        await source.receive()
    await source.aclose()
    assert producer.closed
    assert isinstance(await ended(reading), StreamClosed)


async def test_forgetting_it_stops_the_pull():
    producer = Producer(pause_s=100)
    source = source_of(producer)
    await stopped(await started(source.receive()))
    del source
    gc.collect()
    await rest()
    assert producer.closed


async def test_its_producer_waits_between_two_pulls():
    edges: list[bool] = []
    source = watch_backpressure(source_of(Producer(2)), edges.append)
    await source.receive()
    assert edges == [True]
    await source.receive()
    assert edges == [True, False, True]


async def test_what_is_not_iterable_is_refused():
    with pytest.raises(TypeError):
        source_of([1])  # type: ignore[arg-type]


async def test_it_keeps_every_rule_of_a_source():
    print(await verify_source(lambda: (source_of(Producer(20)), range(20))))
    print(await verify_source(lambda: (source_of(Producer(20, pause_s=0.1)), range(20))))


async def test_a_time_out_and_a_variable_inside_a_generator_hold_from_its_first_item_to_its_last():
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def timed() -> AsyncIterator[str]:
        token = variable.set("set")
        try:
            async with asyncio.timeout(1):
                yield variable.get()
                yield variable.get()
                await asyncio.sleep(3600)
        finally:
            variable.reset(token)

    source = source_of(timed())
    assert [await source.receive(), await source.receive()] == ["set", "set"]
    with pytest.raises(TimeoutError):
        await source.receive()


async def test_a_task_group_inside_a_generator_ends_its_source_with_its_error():
    async def fails() -> None:
        await asyncio.sleep(1)
        raise NotFound("unplugged")

    async def grouped() -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            yield 1
            await asyncio.sleep(3600)

    source = source_of(grouped())
    assert await source.receive() == 1
    with pytest.raises(ExceptionGroup, match="unhandled"):
        await source.receive()


async def test_a_time_out_of_a_generator_that_waits_for_its_reader_ends_its_source():
    async def timed() -> AsyncIterator[int]:
        async with asyncio.timeout(1):
            yield 1
            yield 2

    source = source_of(timed())
    assert await source.receive() == 1
    await asyncio.sleep(2)
    with pytest.raises(Cancelled):
        await source.receive()


async def test_an_error_of_the_end_of_an_iterator_is_raised_by_aclose_and_an_exit_ends_nothing_else():
    async def exits() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            sys.exit(3)

    source = source_of(exits())
    assert await source.receive() == 1
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await source.aclose()
