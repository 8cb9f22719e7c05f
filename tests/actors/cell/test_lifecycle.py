"""The table of an actor's life, and stops: from outside, from inside, hung, all at once. None waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from penstock import (
    Actor,
    ActorStopped,
    ActorSystem,
    FailedPrecondition,
    Mailbox,
    Supervision,
    ref,
    tell,
)
from penstock.actors.cell import STOP_GRACE_S, _lifecycle
from penstock.actors.cell._lifecycle import STEPS, diagram
from tests.actors.kit import (
    Counter,
    Logs,
    Slow,
    Starts,
    ended,
    nothing_left,
    now,
    outcome,
    rest,
    started,
    stopped,
)

# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_diagram_is_the_table():
    assert all(line.strip() in (_lifecycle.__doc__ or "") for line in diagram().splitlines())
    assert len(diagram().splitlines()) == len(STEPS)


def test_every_state_is_reached_and_leads_to_the_end():
    reached = {"starting"}
    for _ in STEPS:
        reached |= {after for state in reached for after in STEPS[state].values()}
    assert reached == set(STEPS)
    leads = {"stopped"}
    for _ in STEPS:
        leads |= {state for state in STEPS if leads & set(STEPS[state].values())}
    assert leads == set(STEPS)


@pytest.mark.parametrize("step", sorted({step for steps in STEPS.values() for step in steps}))
async def test_a_step_that_is_not_in_the_table_is_a_key_error_and_changes_nothing(system, step):
    counter = await system.spawn(Counter)
    cell = ref(counter).cell
    await ref(counter).stop()
    with pytest.raises(KeyError, match=step):
        cell.step(step)
    assert cell.state == "stopped"


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ends", "limit"), [("", 0.1), ("cancelled", 0.1), ("raises", 0.1), ("slow", 1.1), ("hangs", STOP_GRACE_S + 0.1)]
)
async def test_however_on_stop_ends_the_actor_is_stopped(system, tape, ends, limit, caplog):
    await system.spawn(Logs, tape, ends=ends, name="x")
    await system.stop("x")
    assert now() <= limit
    assert tape == ["x"]
    assert nothing_left(system)
    assert ("the actor is stopped all the same" in caplog.text) is (ends not in ("", "slow"))


async def test_a_handler_and_an_on_stop_that_will_not_end_are_left_behind_and_said(system, caplog):
    class Deaf(Actor):
        let_go = asyncio.Event()

        async def work(self) -> None:
            await self.swallow()
            raise RuntimeError("nobody is to hear of this")

        async def on_stop(self) -> None:
            await self.swallow()

        async def swallow(self) -> None:
            while not self.let_go.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await self.let_go.wait()

    deaf = await system.spawn(Deaf, name="deaf")
    asked, waits = await started(deaf.work()), await started(deaf.ping())
    await system.aclose()
    assert now() <= 5 + 3 * 1 + 2 * 5 + 0.1
    for each in (asked, waits):
        assert isinstance(await outcome(each), ActorStopped)
    assert caplog.text.count("it is left behind") == 2
    assert nothing_left(system)
    Deaf.let_go.set()
    await rest()
    assert "crashed" not in caplog.text


async def test_children_end_before_their_parents_the_youngest_first(system, tape):
    await system.spawn(Logs, tape, "a", "b", "c", name="p")
    await system.stop("p")
    assert tape == ["p/c", "p/b", "p/a", "p"]


async def test_the_message_being_handled_is_finished_first(system, tape):
    actor = await system.spawn(Logs, tape, name="x")
    asked = await started(actor.work(STOP_GRACE_S - 1))
    await system.stop("x")
    assert await asked == "done"


async def test_a_message_that_takes_too_long_is_interrupted_and_its_asker_told(system, tape):
    actor = await system.spawn(Logs, tape, name="x")
    asked = await started(actor.work(1000))
    await system.stop("x")
    assert now() == pytest.approx(STOP_GRACE_S, abs=0.1)
    with pytest.raises(ActorStopped, match="while it handled 'work'"):
        await asked
    assert tape == ["x"]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("ends", ["", "cancelled", "hangs", "slow"])
async def test_a_handler_that_will_not_be_interrupted_is_interrupted_again(system, tape, times, ends):
    actor = await system.spawn(Logs, tape, ends=ends, name="x")
    await started(tell(actor).stubborn(times))
    await system.stop("x")
    assert now() <= STOP_GRACE_S * (times + 1) + 0.1
    assert tape == ["would not"] * times + ["x"]
    assert nothing_left(system)


async def test_a_stop_from_inside_happens_after_the_message(system, tape):
    actor = await system.spawn(Logs, tape, name="x")
    assert await actor.leave() == "left"
    await rest()
    assert tape == ["x"]
    assert now() < 1


async def test_a_child_can_stop_its_parent(system, tape):
    await system.spawn(Logs, tape, "child", name="p")
    assert await system.ask("p/child", "stop_parent") == "orphaned"
    await rest()
    assert tape == ["p/child", "p"]
    assert now() < 1


async def test_who_is_asked_can_stop_its_asker(system, tape):
    class Asks(Actor):
        async def ask_it(self) -> str:
            return await self.system.ask("assassin", "kill", self.address)

    class Assassin(Actor):
        async def kill(self, whom: str) -> str:
            await self.system.stop(whom)
            return "killed"

    asks = await system.spawn(Asks, name="asks")
    await system.spawn(Assassin, name="assassin")
    assert await asks.ask_it() == "killed"
    await rest()
    assert now() < 1
    assert [info.address for info in system.list()] == ["assassin"]


async def test_a_stream_can_stop_its_actor(system, tape):
    class Ends(Actor):
        async def ticks(self) -> AsyncIterator[int]:
            yield 1
            await ref(self).stop()
            await asyncio.sleep(100)

    ends = await system.spawn(Ends)
    with pytest.raises(ActorStopped):
        async for _ in ends.ticks():
            pass
    assert now() < 1


async def test_stops_at_the_same_time_are_one(system, tape):
    await system.spawn(Logs, tape, ends="slow", name="x")
    await asyncio.gather(*(system.stop("x") for _ in range(5)))
    assert tape == ["x"]
    assert now() == pytest.approx(1, abs=0.01)


async def test_a_stop_that_is_cancelled_goes_on(system, tape):
    await system.spawn(Logs, tape, ends="slow", name="x")
    assert isinstance(await stopped(await started(system.stop("x"))), asyncio.CancelledError)
    await asyncio.sleep(2)
    assert nothing_left(system)


async def test_a_stop_while_it_ends_by_itself_is_the_same_end(system, tape):
    """It fails for good, and its on_stop takes a second: a stop meanwhile runs nothing twice."""
    actor = await system.spawn(Logs, tape, ends="slow", name="x", supervision=Supervision(max_restarts=0))
    ref_ = ref(actor)
    await outcome(actor.crash())
    await rest()
    assert system.info("x").state == "stopping"
    await ref_.stop()
    assert tape == ["x"]
    assert nothing_left(system)


async def test_a_stopped_actor_refuses_everything_and_its_name_is_free(system, path):
    counter = await system.spawn(Counter, name="counter")
    gone = ref(counter)
    await gone.stop()
    await gone.stop()
    for attempt in (counter.add, tell(counter).add, lambda: gone.ask("add"), lambda: gone.tell("add"), gone.open_channel):
        with pytest.raises(ActorStopped, match="counter has stopped: it was stopped") as found:
            await attempt()
        assert not found.value.started
    with pytest.raises(ActorStopped):
        gone.stream("ticks")
    assert system.dead_letters.count == 4
    other = await system.spawn(Counter, name="counter")
    assert ref(other) != gone
    assert await other.get() == 0


@pytest.mark.parametrize("where", ["on_stop", "stream", "child"])
async def test_nothing_is_born_below_an_actor_that_ends(system, where):
    errors = []

    class Parent(Actor):
        async def on_stop(self) -> None:
            if where == "on_stop":
                errors.append(await outcome(self.spawn(Counter)))

        async def ticks(self) -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                errors.append(await outcome(self.spawn(Counter)))

        async def give_birth(self) -> None:
            await self.spawn(Slow, name="slow")

    parent = await system.spawn(Parent, name="p")
    if where == "stream":
        stream = parent.ticks()
        assert await stream.receive() == 1
    if where == "child":
        await parent.give_birth()
        await started(system.tell("p/slow", "work", ["x", 2]))
        stopping = await started(system.stop("p"))
        errors.append(await outcome(system._host.cell("p").actor.spawn(Counter)))
        await stopping
    else:
        await system.stop("p")
    assert [type(error) for error in errors] == [FailedPrecondition]
    assert nothing_left(system)


async def test_a_stream_that_begins_while_its_actor_ends_is_refused(system):
    class Ends(Actor):
        async def on_stop(self) -> None:
            await asyncio.sleep(2)

        async def ticks(self) -> AsyncIterator[int]:
            while True:
                yield 1
                await asyncio.sleep(1)

    ends = await system.spawn(Ends, name="x")
    stopping = await started(system.stop("x"))
    reading = await started(ends.ticks().receive())
    opening = await started(ref(ends).open_channel())
    await stopping
    assert isinstance(await ended(reading), ActorStopped)
    assert isinstance(await ended(opening), ActorStopped)


# ── closing the system ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_ten_thousand_actors_are_closed_at_once():
    class Waits(Actor):
        async def on_stop(self) -> None:
            await asyncio.sleep(1)

    system = ActorSystem()
    for number in range(10_000):
        await system.spawn(Waits if number % 10 == 0 else Counter)
    await system.aclose()
    assert now() == pytest.approx(1, abs=0.1)
    assert nothing_left(system)
    await system.aclose()
    with pytest.raises(FailedPrecondition, match="closed"):
        await system.spawn(Counter)


async def test_a_system_that_is_closed_while_actors_start_fail_and_wait_is_closed(tape):
    system = ActorSystem()
    starting = await started(system.spawn(Starts, seconds=2))
    counter = await system.spawn(Counter, supervision=Supervision(backoff=100, backoff_max=100))
    await outcome(counter.crash())
    waiting = await started(counter.add())
    slow = await system.spawn(Slow, mailbox=Mailbox(1))
    busy = [await started(slow.work("x", 1)) for _ in range(3)]
    await system.aclose()
    assert now() < STOP_GRACE_S + 1
    assert isinstance(await ended(waiting), ActorStopped)
    await asyncio.gather(starting, *busy, return_exceptions=True)
    assert nothing_left(system)


async def test_an_actor_can_close_its_system():
    class Last(Actor):
        async def out(self) -> str:
            await self.system.aclose()
            return "out"

    async with ActorSystem() as system:
        last = await system.spawn(Last)
        await system.spawn(Counter)
        assert await last.out() == "out"
    assert nothing_left(system)
    assert now() < 1


async def test_an_on_start_that_is_left_behind_does_not_bring_its_actor_back(system, caplog):
    class Deaf(Actor):
        async def on_start(self) -> None:
            for _ in range(4):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(20)

    spawning = asyncio.ensure_future(system.spawn(Deaf, name="deaf"))
    await rest()
    cell = system.ref("deaf").cell
    await asyncio.wait_for(system.stop("deaf"), 30)
    assert (cell.state, spawning.done()) == ("stopped", False)
    with pytest.raises(ActorStopped, match="deaf was stopped while it started"):
        await spawning
    assert cell.state == "stopped"
    assert "left behind" in caplog.text
    assert "Traceback" not in caplog.text


# ── the order of a stop ───────────────────────────────────────────────────────────────────────────────────────────────────


class Reporter(Actor):
    """Says how much it did, when it stops."""

    def __init__(self, last: str, tape: list[str]) -> None:
        self.last, self.tape = last, tape
        self.total = 0
        self.reports = self.port("reports")

    async def on_start(self) -> None:
        if self.last == "with a child":
            await self.spawn(Reporter, "nothing", self.tape, name="child")

    async def add(self, number: int) -> None:
        self.total += number

    async def fail(self) -> None:
        raise LookupError

    async def numbers(self) -> AsyncIterator[int]:
        try:
            while True:
                yield self.total
                await asyncio.sleep(60)
        finally:
            self.tape.append("stream")

    async def on_stop(self) -> None:
        self.tape.append(self.address)
        if self.last != "nothing":
            await self.reports.send(self.total)
        if self.last == "and close":
            self.reports.close()


@pytest.mark.parametrize("how", ["stop", "crash", "close"])
@pytest.mark.parametrize("last", ["and close", "send", "nothing", "with a child"])
async def test_on_stop_can_send_a_last_item_and_close_a_port(last, how):
    """Its work has ended by then; a port that it leaves open fails."""
    tape: list[str] = []
    async with ActorSystem(supervision=Supervision(max_restarts=0)) as system:
        reporter = await system.spawn(Reporter, last, tape, name="reporter")
        await reporter.add(3)
        numbers = reporter.numbers()
        assert await numbers.receive() == 3
        reports = system.subscribe("reporter", "reports")
        seen: list[int] = []

        async def read() -> None:
            async for item in reports:
                seen.append(item)  # noqa: PERF401 - those before an error count

        reading = asyncio.ensure_future(outcome(read()))
        await asyncio.sleep(0)
        if how == "stop":
            await system.stop("reporter")
        elif how == "close":
            await system.aclose()
        else:
            await outcome(reporter.fail())
        result = await reading
        assert tape == (["reporter/child"] if last == "with a child" else []) + ["stream", "reporter"]
        assert seen == ([] if last == "nothing" else [3])
        assert result is None if last == "and close" else isinstance(result, ActorStopped)
