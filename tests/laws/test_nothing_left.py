"""The law "nothing is left after a collection": whatever a program begins, and however it ends it.

Each thing is begun on a connection that stays, or that is lost, and ended in one way. After a collection the process has the
tasks, sessions, streams, channels, actors, offers and descriptors that it had before.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

import penstock
from penstock import Actor, Channel, SinkRef, SourceRef
from penstock.actors import ActorStub
from penstock.actors.cell import Cell
from penstock.refs import RECLAIM_S, offers
from penstock.testing import run
from tests.gates import COUNTED, _open_files
from tests.remote.kit import Town, town


@dataclass
class Job:
    """A payload that keeps the error of its own call, as a job does that notes why it failed."""

    error: Exception | None = None


#: What is counted: the types of the gate of every test, actors, and both ends of whatever carries items.
KINDS = (*COUNTED, Job, Cell, Channel, penstock.Port, penstock.Source, penstock.Sink)
#: The longest time after which a thing that was left alone is taken back.
LONGEST_S = RECLAIM_S + 40.0


class Everything(Actor):
    def __init__(self) -> None:
        self.news = self.port("news")

    async def add(self, k: int) -> int:
        await asyncio.sleep(0)
        return k

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def fail(self, job: Any = None) -> None:
        raise penstock.NotFound("on purpose")

    async def ticks(self) -> AsyncIterator[int]:
        for number in range(1000):
            yield number

    async def fails(self) -> AsyncIterator[int]:
        yield 1
        raise penstock.NotFound("on purpose")

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def doubled(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number * 2

    async def take(self, ref: SinkRef[int]) -> None:
        await ref.put(1)

    async def source(self) -> SourceRef[int]:
        return SourceRef(penstock.ref(self).stream("ticks"))

    async def publish(self) -> None:
        await self.news.send(1)

    async def on_channel(self, channel: Channel[int]) -> None:
        await channel.accept()
        async for message in channel:
            await channel.send(message)


async def endless() -> AsyncIterator[int]:
    number = 0
    while True:
        yield number
        await asyncio.sleep(0.01)  # on the virtual clock, time passes only while nothing is to be done
        number += 1


# ── what a program begins, and how it ends it ─────────────────────────────────────────────────────────────────────────────


class Case:
    """`stub` and `router` lead to an actor, here or elsewhere."""

    def __init__(self, joined: Town, where: str) -> None:
        self.router: Any = joined.peer if where == "elsewhere" else joined.system
        self.stub: Any = self.router.actor(Everything, "all")
        self.system = joined.visitors


async def to_the_end(source: Any) -> None:
    async for _item in source:
        pass


async def leave(source: Any) -> None:
    async for _item in source:
        break


async def close(source: Any) -> None:
    await source.receive()
    await source.aclose()


async def drop(source: Any) -> None:
    await source.receive()


async def be_cancelled(source: Any) -> None:
    reading = asyncio.ensure_future(to_the_end(source))
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.wait([reading])


async def untouched(source: Any) -> None:
    await asyncio.sleep(0)


READS = (to_the_end, leave, close, drop, be_cancelled, untouched)


async def stream(case: Case, end: Callable[[Any], Any]) -> None:
    await end(case.stub.ticks())


async def failing_stream(case: Case, end: Callable[[Any], Any]) -> None:
    with suppress(penstock.NotFound):
        await end(case.stub.fails())


async def both_ways(case: Case, end: Callable[[Any], Any]) -> None:
    async with asyncio.timeout(1):
        await end(case.stub.doubled(endless()))


async def subscription(case: Case, end: Callable[[Any], Any]) -> None:
    news = case.router.subscribe("all", "news")
    await asyncio.sleep(0.01)
    await case.stub.publish()
    async with asyncio.timeout(1):
        await end(news)


async def source_ref(case: Case, end: Callable[[Any], Any]) -> None:
    await end(await case.stub.source())


async def sink_ref(case: Case, end: Callable[[Any], Any]) -> None:
    sink, source = penstock.pipe(4)
    await case.stub.take(SinkRef(sink))
    del sink
    await end(source)


async def stream_of_actors(case: Case, end: Callable[[Any], Any]) -> None:
    producer = await case.system.spawn(penstock.StreamProducer)
    consumer = await case.system.spawn(penstock.StreamConsumer, producer)
    sink = await producer.sink()
    await sink.send_many([1, 2])
    sink.complete()
    await end(await consumer.source())


async def channel(case: Case, end: Callable[[Any], Any]) -> None:
    opened = await case.router.open_channel("all")
    await opened.send(1)
    if end is close:
        await opened.close()
    elif end is to_the_end:
        opened.close_send()
        await end(opened)
    elif end is be_cancelled:
        await end(opened)
    elif end is untouched:
        opened.fail(ValueError())


async def asks(case: Case, end: Callable[[Any], Any]) -> None:
    if end is be_cancelled:
        asking = asyncio.ensure_future(case.stub.add(1))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    elif end is drop:
        with suppress(penstock.NotFound):
            await case.stub.fail()
    elif end is close:
        with suppress(penstock.DeadlineExceeded):
            await penstock.options(case.stub, timeout=0.01).total(endless())
    else:
        await case.stub.add(1)
        await penstock.tell(case.stub).add(1)


async def jobs(case: Case, _end: Callable[[Any], Any]) -> None:
    """Fail with a payload that keeps the error, in each way to send it."""
    limited, described = penstock.options(case.stub, timeout=5), penstock.options(case.stub, metadata={"a": "b"})
    by_address = lambda job: case.router.ask("all", "fail", job)  # noqa: E731
    by_ref = lambda job: penstock.ref(case.stub).ask("fail", [job])  # noqa: E731
    for fail in (case.stub.fail, limited.fail, described.fail, by_address, by_ref):
        job = Job()
        try:
            await fail(job)
        except penstock.NotFound as error:
            job.error = error


BEGINNINGS = (stream, failing_stream, both_ways, subscription, source_ref, sink_ref, stream_of_actors, channel, asks, jobs)


@pytest.fixture(autouse=True)
def no_log_kept() -> None:
    """pytest keeps the log records of a test, and the record of a failed handler keeps the frames of its error."""
    logging.getLogger("penstock").setLevel(logging.CRITICAL + 1)


def counted() -> Counter[str]:
    """Count what is there after a collection. A stub is no end of a stream, whatever it says of itself."""
    gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    found = Counter(kind.__name__ for kind in kinds if issubclass(kind, KINDS) and kind is not ActorStub)
    return +Counter({**found, "task": len(asyncio.all_tasks()), "offer": len(offers()), "file": len(_open_files())})


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("end", READS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("begin", BEGINNINGS, ids=lambda begin: begin.__name__)
def test_nothing_is_left_after_a_collection(begin, end, where):
    run(check_use(begin, end, where))


async def check_use(begin, end, where) -> None:
    async with town() as joined:
        await joined.system.spawn(Everything, name="all")
        case = Case(joined, where)
        await case.stub.add(1)
        await begin_and_end(case, begin, end)  # what is made once is made now
        before = counted()
        for _ in range(3):
            await begin_and_end(case, begin, end)
        assert counted() == before


@pytest.mark.parametrize("begin", BEGINNINGS, ids=lambda begin: begin.__name__)
def test_nothing_is_left_after_a_lost_connection(begin):
    run(check_loss(begin))


async def check_loss(begin) -> None:
    before = counted()
    async with town(reconnect=None) as joined:
        await joined.system.spawn(Everything, name="all")
        case = Case(joined, "elsewhere")

        async def lose(_source: Any, peer: penstock.Peer = joined.peer) -> None:
            await asyncio.sleep(0.01)
            peer._scope.session.abort()
            await peer.wait_closed()

        with suppress(penstock.PenstockError):
            await begin(case, lose)
        await lose(None)
        await asyncio.sleep(LONGEST_S)
        del case, lose
        gc.collect()
        assert not joined.server.peers
        del joined
    await asyncio.sleep(LONGEST_S)
    assert counted() == before


async def begin_and_end(case: Case, begin: Any, end: Any) -> None:
    with suppress(TimeoutError, penstock.PenstockError):
        await begin(case, end)
    await asyncio.sleep(LONGEST_S)
