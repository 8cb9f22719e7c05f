"""Back-pressure is told at its edges, once each, at the moment it begins or ends."""

from __future__ import annotations

import pytest

import penstock
from tests.streams.kit import rest, started, stopped


async def test_the_edges_are_told_and_nothing_between_them():
    sink, source = penstock.pipe(2)
    edges = []
    assert penstock.watch_backpressure(source, edges.append) is source
    await sink.send_many([0, 1])
    assert edges == []  # full is no pressure: nobody waits
    senders = [await started(sink.send(number)) for number in (2, 3)]
    assert edges == [True]
    await source.receive()
    await rest()
    assert edges == [True]  # one still waits
    await source.receive()
    await rest()
    assert edges == [True, False]
    for sender in senders:
        await sender


async def test_a_sink_can_be_watched_as_well_and_by_many():
    sink, source = penstock.pipe(1)
    one, other = [], []
    penstock.watch_backpressure(sink, one.append)
    penstock.watch_backpressure(source, other.append)
    await sink.send(0)
    sending = await started(sink.send(1))
    await source.receive()
    await sending
    assert one == other == [True, False]


@pytest.mark.parametrize("how", ["close", "fail", "aclose", "cancel the sender"])
async def test_pressure_ends_with_what_caused_it(how):
    sink, source = penstock.pipe(1)
    edges = []
    penstock.watch_backpressure(sink, edges.append)
    await sink.send(0)
    sender = await started(sink.send(1))
    assert edges == [True]
    if how == "close":
        sink.close()
    elif how == "fail":
        sink.fail(ValueError("x"))
    elif how == "aclose":
        await source.aclose()
    else:
        sender.cancel()
    await rest()
    assert edges == [True, False]
    await stopped(sender)


async def test_something_that_is_no_stream_is_refused_outside_a_handler():
    with pytest.raises(TypeError, match="neither a Source nor a Sink"):
        penstock.watch_backpressure([1, 2], print)
