"""What messages and streams leave behind: nothing that waits for the garbage collector."""

from __future__ import annotations

import asyncio
import collections
import gc
import weakref

import pytest

import penstock
from penstock import NotFound, ref
from tests.actors.kit import (
    Counter,
    collect,
    outcome,
    rest,
)

# ── what is left behind ───────────────────────────────────────────────────────────────────────────────────────────────

TYPES = {"Envelope", "LocalStream", "SideTask", "PipeState", "PipeSink", "PipeSource", "Future", "CallInfo", "Timer"}


async def ask(system, maker, counter):
    await counter.add()


async def ask_slowly(system, maker, counter):
    await system.ask("slow", "work", ["x"])


async def ask_with_a_timeout(system, maker, counter):
    await penstock.options(counter, timeout=60).add()
    await system.ask("slow", "work", "x", timeout=60)


async def ask_and_fail(system, maker, counter):
    await outcome(counter.missing())


async def ask_slowly_and_fail(system, maker, counter):
    await outcome(system.ask("slow", "answer_badly"))
    await outcome(penstock.options(system.actor(Fails, "slow"), timeout=None).answer_badly())


async def ask_too_late(system, maker, counter):
    await outcome(system.ask("slow", "work", ["x", 0.001], timeout=0.0005))
    await asyncio.sleep(0.01)


async def tell(system, maker, counter):
    await penstock.tell(counter).add()
    await system.tell("slow", "work", "x")


async def stream_to_the_end(system, maker, counter):
    await collect(maker.numbers(3))


async def stream_and_break(system, maker, counter):
    async for _ in maker.numbers():
        break


async def stream_and_fail(system, maker, counter):
    await collect(maker.answers(1))


async def stream_and_forget(system, maker, counter):
    await system.stream("m", "numbers").receive()


async def stream_events(system, maker, counter):
    async for _ in system.stream("m", "numbers", 3, events=True):
        pass


async def client_stream(system, maker, counter):
    await maker.total([1, 2])
    await collect(maker.doubled([1, 2]))


async def ask_in_tasks(system, maker, counter):
    await system.ask("slow", "gather", 5)


class Fails(penstock.Actor):
    async def work(self, what: str, seconds: float = 0) -> str:
        await asyncio.sleep(seconds)
        return what

    async def gather(self, count: int) -> None:
        await asyncio.gather(*(self.system.ask("other", "work", "x") for _ in range(count)))

    async def answer_badly(self) -> None:
        await asyncio.sleep(0)
        raise NotFound("never")


@pytest.mark.parametrize(
    "use",
    [
        ask,
        ask_slowly,
        ask_with_a_timeout,
        ask_and_fail,
        ask_slowly_and_fail,
        ask_too_late,
        tell,
        stream_to_the_end,
        stream_and_break,
        stream_and_fail,
        stream_and_forget,
        stream_events,
        client_stream,
        ask_in_tasks,
    ],
)
async def test_what_is_over_needs_no_collector(system, maker, use, path):
    counter = await system.spawn(Counter)
    await system.spawn(Fails, name="slow")
    await system.spawn(Fails, name="other")
    for _ in range(3):
        await use(system, maker, counter)
    await rest()
    gc.collect()
    gc.disable()
    try:
        before = _alive()
        for _ in range(10):
            await use(system, maker, counter)
        await rest()
        left = _alive() - before
    finally:
        gc.enable()
    assert not {name: count for name, count in left.items() if count > 2}  # the last one may be held by a local


def _alive():
    return collections.Counter(type(found).__name__ for found in gc.get_objects() if type(found).__name__ in TYPES)


async def test_asks_of_tasks_of_a_handler_leave_no_timer(system):
    """One that looked at them once more would keep message and answer until then."""
    actor, _other = await system.spawn(Fails, name="slow"), await system.spawn(Fails, name="other")
    await actor.gather(50)
    assert not [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]


class Box:
    """An argument that can be watched."""


class Leaves(penstock.Actor):
    """Its handlers leave a task behind, whose context is that of the message."""

    async def take(self, box: object, *, fails: bool = False, waits: bool = False) -> None:
        self.task = asyncio.ensure_future(asyncio.sleep(60))
        if waits:
            await asyncio.sleep(0)
        if fails:
            raise NotFound("on purpose")

    async def end(self) -> None:
        self.task.cancel()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("way", ["ask", "tell", "address"])
async def test_a_task_that_a_handler_has_left_behind_keeps_no_argument(system, way, by_name, waits, fails, caplog):
    """FAULTS B1: one that is a `SinkRef` would not end."""
    caplog.set_level("CRITICAL", "penstock")  # pytest keeps the records
    stub = await system.spawn(Leaves, name="leaves")
    box = Box()
    seen = weakref.ref(box)
    if way == "address":
        arguments = {"box": box, "fails": fails, "waits": waits} if by_name else [box]
        await outcome(system.ask("leaves", "take", arguments))
    else:
        take = stub.take if way == "ask" else penstock.tell(stub).take
        await outcome(take(box=box, fails=fails, waits=waits) if by_name else take(box, fails=fails, waits=waits))
        del take
    await rest()
    box = arguments = None
    gc.collect()
    try:
        assert seen() is None
    finally:
        await stub.end()


async def test_refs_and_streams_show_how_they_stand(system, maker):
    assert repr(ref(maker)) == "<ActorRef m running, 0 of 1000 waiting>"
    stream = maker.numbers()
    await rest()
    assert repr(stream) == "<Stream m/numbers open, 16 of 16 buffered, 0 received>"
    await stream.aclose()
    assert "cancelled" in repr(stream)


def test_the_classes_that_are_watched_are_there():
    gc.unfreeze()  # classes are frozen while a test runs
    assert {cls.__name__ for cls in gc.get_objects() if isinstance(cls, type)} >= TYPES
