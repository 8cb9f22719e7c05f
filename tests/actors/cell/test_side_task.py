"""Work beside the mailbox: it never blocks messages, belongs to its actor, and ends with it, always with a typed outcome."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from penstock import Actor, ActorStopped, Cancelled, Supervision, ref
from penstock.actors.cell import STOP_GRACE_S
from penstock.actors.cell._side_work import outcome_of
from penstock.errors import EndOfStream
from tests.actors.kit import Broken, ended, now, outcome, rest, started


class Streams(Actor):
    def __init__(self) -> None:
        self.n = 0
        self.closed: list[str] = []

    async def add(self) -> int:
        self.n += 1
        return self.n

    async def crash(self) -> None:
        raise Broken

    async def values(self, ends: str = "") -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            if ends == "normally":
                return
            if ends == "hangs":
                await asyncio.sleep(1000)
            raise
        finally:
            self.closed.append(ends)

    async def states(self) -> AsyncIterator[bool]:
        while True:
            before = self.n
            yield before == self.n

    async def asks_itself(self) -> AsyncIterator[int]:
        while True:
            yield await ref(self).ask("add", timeout=None)

    async def busy(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"


@pytest.fixture
async def streams(system):
    return await system.spawn(Streams, name="s", supervision=Supervision(backoff=0.0))


async def test_a_stream_runs_while_a_message_is_handled_and_the_reverse(system, streams):
    stream = streams.values()
    busy = await started(streams.busy(5))
    assert [await stream.receive() for _ in range(10)] == list(range(10))
    assert now() < 2
    assert not busy.done()
    await busy
    assert await streams.add() == 1
    await stream.aclose()


async def test_a_stream_sees_a_consistent_state_between_its_awaits(streams):
    stream = streams.states()
    for _ in range(100):
        assert await stream.receive()
        await streams.add()
    await stream.aclose()


async def test_a_stream_may_ask_its_own_actor(streams):
    stream = streams.asks_itself()
    first = await stream.receive()
    assert [await stream.receive() for _ in range(5)] == list(range(first + 1, first + 6))
    await stream.aclose()


@pytest.mark.parametrize("ends", ["", "normally", "hangs"])
@pytest.mark.parametrize("how", ["stop", "restart", "crash"])
async def test_when_the_actor_ends_its_streams_end_with_an_error_at_once_and_never_normally(system, streams, how, ends, caplog):
    actor = ref(streams).cell.actor
    stream = streams.values(ends)
    assert await stream.receive() == 0
    reading = await started(_all(stream))
    begun = now()
    ending = asyncio.ensure_future(outcome(streams.crash()) if how == "crash" else getattr(system, how)("s"))
    assert isinstance(await ended(reading), ActorStopped)
    assert now() - begun < 0.1
    await ending
    await asyncio.sleep(STOP_GRACE_S + 0.1)
    if ends == "hangs":
        assert "left behind" in caplog.text
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            await asyncio.wait([task])
    assert actor.closed == [ends]


async def _all(stream):
    async for _ in stream:
        pass


async def test_a_stream_that_is_not_read_ends_too(system, streams):
    stream = streams.values()
    await asyncio.sleep(0.35)
    await system.stop("s")
    assert await stream.receive() == 0  # what was sent before is delivered
    with pytest.raises(ActorStopped):
        await _all(stream)


async def test_the_tap_is_told_how_it_ended(system, streams, tape):
    system._host.tap = tape
    stream = streams.values()
    await stream.receive()
    await stream.aclose()
    other = streams.values()
    await other.receive()
    await system.stop("s")
    assert [data["outcome"] for data in tape.data("stream_ended")] == ["cancelled", "failed"]
    numbers = [data["stream"] for data in tape.data("stream_started")]
    assert numbers == [data["stream"] for data in tape.data("stream_ended")]
    assert len(set(numbers)) == 2


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (None, "ended"),
        (EndOfStream(), "failed"),  # of another stream, which it read
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (Cancelled("x"), "cancelled"),
        (ActorStopped("x"), "failed"),
        (Broken("x"), "failed"),
    ],
)
def test_how_work_ends_has_a_name(error, name):
    assert outcome_of(error)[0] == name


async def test_many_streams_of_one_actor_end_together(system, streams):
    all_ = [streams.values() for _ in range(200)]
    await asyncio.gather(*(stream.receive() for stream in all_))
    assert system.info("s").streams == 200
    await system.stop("s")
    assert {type(await outcome(_all(stream))) for stream in all_} == {ActorStopped}
    await rest()
