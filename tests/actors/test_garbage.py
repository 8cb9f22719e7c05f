"""What messages and streams leave behind: nothing that waits for the garbage collector."""

from __future__ import annotations

import asyncio
import collections
import gc

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


class Fails(penstock.Actor):
    async def work(self, what: str, seconds: float = 0) -> str:
        await asyncio.sleep(seconds)
        return what

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
    ],
)
async def test_what_is_over_needs_no_collector(system, maker, use, path):
    counter = await system.spawn(Counter)
    await system.spawn(Fails, name="slow")
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
