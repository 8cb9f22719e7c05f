"""What a claimed end leaves behind: nothing that waits for the garbage collector."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter

import pytest

import penstock
from penstock.refs import SinkRef, SourceRef, offers
from tests.calls.kit import linked, rest
from tests.refs.kit import Exchange, Producer

ENDS = 10
TYPES = {"Call", "ServerCall", "RemoteSource", "RemoteSink", "RemoteStream", "StreamHandle", "WireStream"} | {
    "SourceRef",
    "SinkRef",
    "RefState",
    "ClaimedSink",
}


async def read_to_the_end(stub):
    ref = await stub.numbers()
    async for _ in ref:
        pass


async def leave(stub):
    async for _ in await stub.numbers():
        break


async def close_unread(stub):
    await (await stub.numbers()).aclose()


async def read_over_there(stub):
    await stub.total(SourceRef(Producer(3)))


async def feed(stub):
    sink, source = penstock.pipe(8)
    await stub.fill(SinkRef(sink), 5)
    assert [item async for item in source] == list(range(5))


async def claim_twice(stub):
    ref = SourceRef(Producer(3))
    await stub.total(ref)
    with contextlib.suppress(penstock.FailedPrecondition):
        await stub.total(ref)


@pytest.mark.parametrize("use", [read_to_the_end, leave, close_unread, read_over_there, feed, claim_twice])
async def test_an_end_leaves_no_cycle(apart, use):
    exchange = Exchange()
    async with linked(exchange) as pair:
        stub = pair.stub(Exchange)
        for _ in range(2):  # what is made once is made now
            exchange.producer = Producer(3)
            await use(stub)
        await rest()
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(ENDS):
                exchange.producer = Producer(3)
                await use(stub)
            await rest()
            gc.collect()
            left = Counter(type(found).__name__ for found in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not {name: count for name, count in left.items() if name in TYPES and count >= ENDS}
    assert len(offers()) == 0


def test_the_classes_that_are_watched_are_there():
    gc.unfreeze()  # classes are frozen while a test runs
    assert {cls.__name__ for cls in gc.get_objects() if isinstance(cls, type)} >= TYPES
