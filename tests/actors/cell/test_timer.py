"""Timers: ticks are messages, at their times, of this incarnation, and never so many that nothing else is handled."""

from __future__ import annotations

import asyncio

import pytest

from penstock import Actor, InvalidArgument, Supervision, ref
from tests.actors.kit import Broken, now, outcome, rest, started


class Clock(Actor):
    def __init__(self) -> None:
        self.ticks: list[float] = []
        self.args_: list[object] = []
        self.timer = None

    async def begin(self, delay: float, every: float | None = None, seconds: float = 0) -> None:
        self.timer = self.schedule(delay, "tick", seconds, every=every)

    async def end(self) -> None:
        assert self.timer is not None
        self.timer.cancel()
        self.timer.cancel()

    async def tick(self, seconds: float = 0) -> None:
        self.ticks.append(now())
        if seconds:
            await asyncio.sleep(seconds)

    async def work(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def crash_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise Broken

    async def end_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.end()

    async def bad(self) -> None:
        raise Broken

    async def begin_bad(self) -> None:
        self.schedule(1, self.bad)

    async def now_running(self) -> tuple[bool, int]:
        assert self.timer is not None
        return self.timer.active, self.timer.missed


@pytest.fixture
async def clock(system):
    return await system.spawn(Clock, name="clock", supervision=Supervision(backoff=0.0))


def ticks(system):
    return system.state("clock")["ticks"]


async def test_once(system, clock, path):
    await clock.begin(5)
    assert await clock.now_running() == (True, 0)
    await asyncio.sleep(20)
    assert ticks(system) == [5]
    assert await clock.now_running() == (False, 0)


async def test_again_and_again_without_drift(system, clock, path):
    await clock.begin(1, 0.1, 0.05)
    await asyncio.sleep(1.95)
    assert ticks(system) == pytest.approx([1 + number / 10 for number in range(10)])


async def test_cancelled_it_ticks_no_more(system, clock, path):
    await clock.begin(1, 1)
    await asyncio.sleep(2.5)
    await clock.end()
    await asyncio.sleep(10)
    assert ticks(system) == [1, 2]
    assert (await clock.now_running())[0] is False


@pytest.mark.parametrize("every", [None, 1.0])
async def test_cancelled_it_takes_back_the_tick_that_waits(system, clock, every):
    await clock.begin(1, every)
    await clock.end_after(3)
    await asyncio.sleep(10)
    assert ticks(system) == []


async def test_ticks_that_find_the_last_one_waiting_are_counted_and_left_out(system, clock, tape):
    system._host.tap = tape
    await clock.begin(1, 1)
    await clock.work(10.5)
    await rest()
    assert ticks(system) == pytest.approx([10.5], abs=0.01)
    assert (await clock.now_running())[1] == 9
    assert tape.kinds("clock").count("timer") == 9


async def test_a_timer_slower_than_its_period_leaves_room_for_messages(system, clock):
    await clock.begin(1, 1, 1.5)
    await asyncio.sleep(3.2)
    assert await asyncio.wait_for(clock.work(0), 5) == "done"
    assert (await clock.now_running())[1] >= 1


async def test_a_tick_goes_before_messages_that_wait(system, clock):
    await clock.begin(1)
    first = await started(clock.work(2))
    waiting = [asyncio.ensure_future(clock.work(5)) for _ in range(3)]
    await first
    await asyncio.wait(waiting)
    assert ticks(system) == pytest.approx([2], abs=0.01)


@pytest.mark.parametrize("every", [None, 1.0])
@pytest.mark.parametrize("how", ["crash", "restart"])
async def test_timers_and_ticks_that_wait_end_with_their_incarnation(system, clock, every, how):
    await clock.begin(1, every)
    if how == "crash":
        await outcome(clock.crash_after(3))
    else:
        working = await started(clock.work(3))
        await system.restart("clock")
        await working
    await asyncio.sleep(20)
    assert ticks(system) == []


async def test_a_stop_ends_them(system, clock):
    await clock.begin(1, 1)
    cell = ref(clock).cell
    await system.stop("clock")
    await asyncio.sleep(10)
    assert cell.actor.ticks == []
    loop = asyncio.get_running_loop()
    assert not [handle for handle in loop._scheduled if not handle.cancelled()]


async def test_a_tick_that_fails_is_a_crash(system, clock, caplog):
    await clock.begin_bad()
    await asyncio.sleep(2)
    assert system.info("clock").restarts == 1


async def test_after_a_stall_there_is_one_tick_and_the_rest_are_missed(system, clock):
    await clock.begin(1, 1)
    asyncio.get_running_loop().advance(100)
    await rest()
    assert len(ticks(system)) <= 2
    await asyncio.sleep(0.5)
    assert (await clock.now_running())[1] >= 97


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"every": -1}, {"every": float("nan")}, {"delay": -1}, {"delay": float("nan")}]
)
async def test_wrong_times_are_refused(system, wrong):
    class Wrong(Actor):
        async def on_start(self) -> None:
            self.schedule(**({"delay": 1, "method": "ping"} | wrong))

    with pytest.raises(ValueError, match=next(iter(wrong))):
        await system.spawn(Wrong)


async def test_a_method_that_is_not_there_is_refused(system):
    class Wrong(Actor):
        async def on_start(self) -> None:
            self.schedule(1, "png")

    with pytest.raises(InvalidArgument, match="no method 'png'"):
        await system.spawn(Wrong)
