"""A connection that is cut at any moment: a typed outcome on both sides, no end that is none, nothing left on offer."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock.errors import Cancelled, ConnectionLost, StatusError, StreamCancelled
from penstock.refs import RECLAIM_S, SinkRef, offers
from penstock.streams import Source
from tests.calls.kit import collected, linked
from tests.refs.kit import Exchange, Producer

COUNT = 200


async def _cut_after(peer: penstock.Peer, turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    peer._scope.session.abort()


async def _read(peer: penstock.Peer) -> tuple[list[int], Exception | None]:
    try:
        ref = await peer.service(Exchange).numbers()
        source: Source[int] = ref.claim(buffer_size=4)
    except StatusError as error:
        return [], error
    return await collected(source)


async def _write(peer: penstock.Peer) -> Exception | None:
    try:
        async with await peer.service(Exchange).entrance() as ref:
            await ref.send_many(range(COUNT))
    except (StatusError, penstock.StreamClosed) as error:
        return error
    return None


@pytest.mark.parametrize("turns", range(0, 120, 3))
async def test_a_source_that_is_cut(apart, turns):
    exchange = Exchange()
    exchange.producer = producer = Producer(COUNT)
    async with linked(exchange, gate=False, client_reconnect=None) as pair:
        cutting = asyncio.ensure_future(_cut_after(pair.peer, turns))
        items, error = await _read(pair.peer)
        await cutting
    assert items == list(range(len(items)))
    assert (error is None) == (len(items) == COUNT)
    assert error is None or isinstance(error, StatusError)
    await asyncio.sleep(RECLAIM_S + 1)
    assert len(offers()) == 0
    assert producer.produced == 0 or producer.stopped.is_set()


@pytest.mark.parametrize("turns", range(0, 120, 3))
async def test_a_sink_that_is_cut(apart, turns):
    exchange = Exchange()
    async with linked(exchange, gate=False, client_reconnect=None) as pair:
        reading = asyncio.ensure_future(collected(exchange.source))
        exchange.given = SinkRef(exchange.sink)
        cutting = asyncio.ensure_future(_cut_after(pair.peer, turns))
        await _write(pair.peer)
        await cutting
    await asyncio.sleep(RECLAIM_S + 1)
    if not exchange.sink.statistics().sent and exchange.source.statistics().state == "open":
        exchange.sink.fail(penstock.Aborted("nobody got its ref"))
    items, error = await reading
    assert items == list(range(len(items)))
    assert (error is None) == (len(items) == COUNT)
    assert error is None or isinstance(error, ConnectionLost | Cancelled | StreamCancelled) or not items
    assert len(offers()) == 0
