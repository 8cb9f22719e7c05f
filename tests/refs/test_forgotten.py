"""A ref that its receiver drops ends its stream, as a dropped end does in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import penstock
from penstock import Actor
from penstock.errors import Aborted, StatusError
from penstock.refs import RECLAIM_S, SinkRef, SourceRef, encode_for_many, offers
from tests.refs.kit import Producer
from tests.remote.kit import Broken, Town, outcome, town

pytestmark = pytest.mark.usefixtures("apart")


class Receiver(Actor):
    """Gets ends of streams, and does not end them."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.box = self.port("box")

    async def return_at_once(self, _ref: SinkRef[int]) -> None: ...

    async def put_one(self, ref: SinkRef[int]) -> None:
        await ref.put(1)

    async def crash(self, ref: SinkRef[int]) -> None:
        await ref.put(1)
        raise Broken

    async def crash_at_once(self, _ref: SinkRef[int]) -> None:
        raise Broken

    async def read_one(self, ref: SourceRef[int]) -> None:
        await ref.receive()

    async def ignore(self, ref: SourceRef[int]) -> None: ...

    async def keep(self, what: list[SourceRef[int]]) -> None:
        self.kept += what

    async def lend(self) -> SourceRef[int]:
        return self.kept[0]

    async def pass_on(self, address: str, ref: SinkRef[int]) -> None:
        await self.system.tell(address, "return_at_once", ref)

    async def publish(self) -> None:
        await self.box.send(SourceRef(Producer(3)))


@pytest.fixture
async def joined() -> AsyncIterator[Town]:
    async with town() as joined:
        await joined.system.spawn(Receiver, name="receiver")
        yield joined


async def everything_of(source: penstock.Source[int]) -> tuple[list[int], StatusError | None]:
    items: list[int] = []
    try:
        async with asyncio.timeout(1):
            async for item in source:
                items.append(item)  # noqa: PERF401 - what came before the error counts
    except StatusError as error:
        return items, error
    return items, None


@pytest.mark.parametrize("verb", ["ask", "tell", "by name"])
@pytest.mark.parametrize(("method", "items"), [("return_at_once", []), ("put_one", [1]), ("crash", [1]), ("crash_at_once", [])])
async def test_a_sink_that_an_actor_elsewhere_does_not_end_fails_its_stream(joined: Town, method, items, verb):
    """FAULTS B1"""
    sink, source = penstock.pipe(4)
    stub = joined.peer.actor(Receiver, "receiver")
    match verb:
        case "ask":
            await outcome(getattr(stub, method)(SinkRef(sink)))
        case "tell":
            await getattr(penstock.tell(stub), method)(SinkRef(sink))
        case _:
            await outcome(joined.peer.ask("receiver", method, SinkRef(sink)))
    del sink
    got, error = await everything_of(source)
    assert (got, type(error)) == (items, Aborted)
    assert len(offers()) == 0


@pytest.mark.parametrize("method", ["ignore", "read_one"])
async def test_a_source_that_an_actor_elsewhere_drops_stops_its_producer(joined: Town, method):
    """FAULTS B1"""
    stopped = asyncio.Event()

    class Numbers(Actor):
        async def numbers(self) -> AsyncIterator[int]:
            try:
                for number in range(10**9):
                    yield number
            finally:
                stopped.set()

    stub = await joined.visitors.spawn(Numbers)
    await getattr(joined.peer.actor(Receiver, "receiver"), method)(SourceRef(stub.numbers()))
    async with asyncio.timeout(1):
        while joined.visitors.streams():  # noqa: ASYNC110 - a stream that was not read has begun nothing that could tell
            await asyncio.sleep(0.01)
    assert stopped.is_set() == (method == "read_one")
    assert len(offers()) == 0


async def test_a_stream_ends_with_the_last_copy_of_its_ref(joined: Town):
    ref = SourceRef(Producer(3))
    await joined.peer.actor(Receiver, "receiver").keep([ref, ref])
    kept = joined.object("receiver", Receiver).kept
    del kept[0]
    await asyncio.sleep(0.1)
    assert [item async for item in kept[0]] == [0, 1, 2]


async def test_each_copy_of_a_ref_is_counted_though_its_receiver_tells_of_them_in_one_turn(joined: Town):
    sink, source = penstock.pipe(4)
    await joined.peer.actor(Receiver, "receiver").keep([SourceRef(source)])
    del source
    kept = joined.object("receiver", Receiver).kept
    home = [await joined.peer.ask("receiver", "lend") for _ in range(2)]
    kept.clear()
    del home[0]
    await asyncio.sleep(0.1)
    assert sink.statistics().state == "open"
    home.clear()
    await asyncio.sleep(0.1)
    assert sink.statistics().state != "open"
    assert len(offers()) == 0


async def test_a_copy_that_one_of_many_subscribers_drops_leaves_the_others(joined: Town):
    feeds = [joined.peer.subscribe("receiver", "box") for _ in range(3)]
    await asyncio.sleep(0.1)
    await joined.peer.actor(Receiver, "receiver").publish()
    for feed in feeds[:2]:
        await feed.receive()
    await asyncio.sleep(0.1)
    last = await feeds[2].receive()
    assert [item async for item in last] == [0, 1, 2]


async def test_a_ref_that_nobody_can_report_is_reclaimed_in_the_end(joined: Town):
    encode_for_many(SourceRef(Producer(3)))
    assert len(offers()) == 1
    await asyncio.sleep(RECLAIM_S + 1)
    assert len(offers()) == 0


async def test_a_ref_that_is_decoded_twice_is_not_dropped_between():
    ref = SourceRef(Producer(3))
    async with town():
        encoded = penstock.codec.MSGPACK.encode(ref)
        for _ in range(2):
            again = penstock.codec.MSGPACK.decode_for(SourceRef).value(msgspec.Raw(encoded))
        await asyncio.sleep(0.1)
        assert len(offers()) == 1
        del again
        await asyncio.sleep(RECLAIM_S + 1)
        assert len(offers()) == 0


async def test_a_ref_that_is_passed_on_and_dropped_there_fails_its_stream(joined: Town):
    sink, source = penstock.pipe(4)
    await joined.system.spawn(Receiver, name="second")
    await joined.peer.actor(Receiver, "receiver").pass_on("second", SinkRef(sink))
    del sink
    assert (await everything_of(source))[0] == []
