"""A ref that comes back to its own process is the same object again, and its end is told of at once when it is dropped."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import penstock
from penstock.codec import MSGPACK
from penstock.errors import Aborted, NotFound
from penstock.refs import RECLAIM_S, SinkRef, SourceRef, offers
from tests.calls.kit import Pair, linked
from tests.refs.kit import Exchange, Producer


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with linked(Exchange()) as pair:
        yield pair


def decoded(encoded: bytes) -> Any:
    return MSGPACK.decode_for(Any).value(encoded)


async def test_a_sink_that_came_home_and_is_dropped_fails_its_stream(pair: Pair):
    sink, source = penstock.pipe(4)
    ref = SinkRef(sink)
    del sink
    again = await pair.peer.call("Exchange/echo", ref)
    assert again is ref
    del ref, again
    async with asyncio.timeout(1):
        with pytest.raises(Aborted):
            await source.receive()
    assert len(offers()) == 0


async def test_a_source_that_came_home_and_is_dropped_stops_its_producer(pair: Pair):
    sink, source = penstock.pipe(4)
    again = [await pair.peer.call("Exchange/echo", SourceRef(source)) for _ in range(1)]
    del source
    await asyncio.sleep(1)
    assert sink.statistics().state == "open"
    again.clear()
    await asyncio.sleep(0.1)
    assert sink.statistics().state != "open"
    assert len(offers()) == 0


async def test_a_ref_that_came_home_can_be_used_and_sent_again_also_later(pair: Pair):
    ref = SourceRef(Producer(3))
    assert await pair.peer.call("Exchange/echo", ref) is ref
    await asyncio.sleep(RECLAIM_S + 1)
    assert len(offers()) == 0
    assert await pair.peer.call("Exchange/echo", ref) is ref
    assert [item async for item in ref] == [0, 1, 2]
    assert len(offers()) == 0


async def test_a_copy_that_is_still_out_keeps_the_stream_of_one_that_was_dropped_at_home():
    ref = SourceRef(Producer(3))
    first, second = MSGPACK.encode(ref), MSGPACK.encode(ref)
    assert decoded(first) is ref
    del ref
    await asyncio.sleep(1)
    assert [item async for item in decoded(second)] == [0, 1, 2]


async def test_a_message_that_is_decoded_again_after_an_error_finds_its_ref():
    encoded = MSGPACK.encode([SourceRef(Producer(3)), "bad"])
    decode = MSGPACK.decode_for(SourceRef[int])
    with pytest.raises(msgspec.ValidationError):
        decode.batch(encoded)
    (ref,), _error = decode.one_by_one(encoded)
    await asyncio.sleep(1)
    assert [item async for item in ref] == [0, 1, 2]


async def test_a_ref_that_came_home_and_was_dropped_is_refused_later():
    encoded = MSGPACK.encode(SourceRef(Producer(3)))
    decoded(encoded)
    await asyncio.sleep(1)
    with pytest.raises(NotFound, match="was dropped by the process that sent it, where it had come back"):
        await decoded(encoded).receive()


async def test_a_copy_that_is_sent_later_is_on_offer_for_its_own_time():
    ref = SourceRef(Producer(3))
    MSGPACK.encode(ref)
    await asyncio.sleep(RECLAIM_S - 1)
    MSGPACK.encode(ref)
    await asyncio.sleep(RECLAIM_S - 1)
    assert len(offers()) == 1
    await asyncio.sleep(2)
    assert len(offers()) == 0
    with pytest.raises(NotFound, match="was reclaimed"):
        await ref.receive()


def test_a_loop_that_ends_with_a_ref_on_offer_is_let_go_of():
    async def send() -> weakref.ref[asyncio.AbstractEventLoop]:
        MSGPACK.encode(SourceRef(Producer(3)))
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(send())
    gc.collect()
    assert loop() is None
