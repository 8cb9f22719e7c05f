"""A life: started, failed, started anew, stopped. Nothing is left behind, and no stop waits for ever."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator

import pytest

import penstock
from penstock import (
    Actor,
    ActorStopped,
    ActorSystem,
    FailedPrecondition,
    Mailbox,
    ReentrancyError,
    StatusError,
    Supervision,
    ref,
    tell,
)
from penstock.actors.cell import STOP_GRACE_S
from tests.actors.kit import Broken, Counter, Slow, Tape, ended, now, outcome, rest, started, stopped

AT_ONCE = Supervision(backoff=0, max_restarts=1000)


def nothing_left(system):
    return len(system.registry) == 0 and not system.registry.top and system.list() == []


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Starts(Actor):
    def __init__(self, fail: str = "", seconds: float = 0) -> None:
        self.fail = fail
        self.seconds = seconds
        self.schedule(1, "tick", every=1)
        self.port("p")
        if fail == "init":
            raise Broken("init")

    async def on_start(self) -> None:
        self.child = await self.spawn(Counter)
        await asyncio.sleep(self.seconds)
        if self.fail == "start":
            raise Broken("start")
        if self.fail == "cancelled":
            raise asyncio.CancelledError
        if self.fail == "status":
            raise FailedPrecondition("not today")

    async def tick(self) -> None: ...


async def test_spawn_returns_when_on_start_has_run(system):
    await system.spawn(Starts, seconds=3)
    assert now() == pytest.approx(3)


@pytest.mark.parametrize(
    ("fail", "error"), [("init", Broken), ("start", Broken), ("cancelled", StatusError), ("status", FailedPrecondition)]
)
async def test_what_fails_to_start_raises_it_and_leaves_nothing_behind(system, fail, error):
    loop = asyncio.get_running_loop()
    before = len(loop._scheduled)
    with pytest.raises(error):
        await system.spawn(Starts, fail, name="x")
    assert nothing_left(system)
    await asyncio.sleep(10)
    assert not [handle for handle in loop._scheduled[before:] if not handle.cancelled()]
    await system.spawn(Starts, name="x")


async def test_arguments_that_do_not_fit_leave_nothing_behind(system):
    for wrong in ((1, 2, 3), ()):
        with pytest.raises(TypeError):
            await system.spawn(Starts if wrong else Needs, *wrong, name="x")
    assert nothing_left(system)


class Needs(Actor):
    def __init__(self, what: int) -> None: ...


@pytest.mark.parametrize("seconds", [0, 1, 100])
async def test_a_spawn_that_is_cancelled_stops_the_actor(system, seconds):
    task = (
        await started(system.spawn(Starts, "", seconds, name="x"))
        if seconds
        else asyncio.ensure_future(system.spawn(Starts, name="x"))
    )
    if not seconds:
        await asyncio.sleep(0)
    assert isinstance(await stopped(task), asyncio.CancelledError)
    assert now() <= STOP_GRACE_S + 1
    assert nothing_left(system)


async def test_messages_that_come_before_it_has_started_are_handled_after(system):
    class Late(Actor):
        def __init__(self):
            self.ready = False

        async def on_start(self) -> None:
            await asyncio.sleep(2)
            self.ready = True

        async def is_ready(self) -> bool:
            return self.ready

        async def states(self) -> AsyncIterator[bool]:
            yield self.ready

        async def on_channel(self, channel) -> None:
            await channel.accept(self.ready)

    spawning = await started(system.spawn(Late, name="late"))
    asked = asyncio.ensure_future(system.ask("late", "is_ready"))
    stream = system.stream("late", "states")
    opening = asyncio.ensure_future(system.open_channel("late"))
    assert await asked is True
    assert [item async for item in stream] == [True]
    assert (await opening).accepted is True
    await spawning


async def test_a_stream_of_its_own_in_on_start_is_a_cycle(system):
    class Selfish(Actor):
        async def on_start(self) -> None:
            async for _ in ref(self).stream("ticks"):
                pass

        async def ticks(self) -> AsyncIterator[int]:
            yield 1

    with pytest.raises(ReentrancyError):
        await system.spawn(Selfish)
    assert nothing_left(system)


async def test_a_ref_that_got_out_of_a_failed_init_is_the_ref_of_a_stopped_actor(system):
    out = []

    class Leaks(Actor):
        def __init__(self):
            out.append(ref(self))
            raise Broken

    with pytest.raises(Broken):
        await system.spawn(Leaks)
    with pytest.raises(ActorStopped):
        await out[0].ask("ping")
    await out[0].stop()


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Logs(Actor):
    """Says what it does, has children, and ends as it is told."""

    def __init__(self, tape: Tape, *children: str, ends: str = "") -> None:
        self.tape = tape
        self.names = children
        self.ends = ends

    async def on_start(self) -> None:
        for name in self.names:
            await self.spawn(Logs, self.tape, name=name)

    async def work(self, seconds: float = 0) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def crash(self) -> None:
        raise Broken

    async def stubborn(self, times: int = 1) -> None:
        for _ in range(times):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                self.tape.append("would not")

    async def leave(self) -> str:
        await ref(self).stop()
        return "left"

    async def stop_parent(self) -> str:
        assert self.parent is not None
        await self.parent.stop()
        return "orphaned"

    async def on_stop(self) -> None:
        self.tape.append(self.address)
        if self.ends == "cancelled":
            task = asyncio.ensure_future(asyncio.sleep(1000))
            await asyncio.sleep(0)
            task.cancel()
            await task
        elif self.ends == "raises":
            raise Broken("at the end")
        elif self.ends == "hangs":
            await asyncio.sleep(1000)
        elif self.ends == "slow":
            await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("ends", "limit"), [("", 0.1), ("cancelled", 0.1), ("raises", 0.1), ("slow", 1.1), ("hangs", STOP_GRACE_S + 0.1)]
)
async def test_however_on_stop_ends_the_actor_is_stopped(system, tape, ends, limit, caplog):
    await system.spawn(Logs, tape, ends=ends, name="x")
    await system.stop("x")
    assert now() <= limit
    assert tape == ["x"]
    assert nothing_left(system)
    assert ("on_stop failed" in caplog.text) is (ends not in ("", "slow"))


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
        errors.append(await outcome(system.cell("p").actor.spawn(Counter)))
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
    await asyncio.wait([starting, *busy])
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


# ── failing and starting anew ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_restart_makes_the_state_anew_and_keeps_the_mailbox_and_the_ref(system, path):
    slow = await system.spawn(Slow, name="slow", supervision=AT_ONCE)
    before = ref(slow).id
    first = await started(slow.work("first", 1))
    waiting = [asyncio.ensure_future(slow.work(number)) for number in range(3)]
    await rest()
    restarting = asyncio.ensure_future(system.restart("slow"))
    await restarting
    assert await first == "first"
    assert await asyncio.gather(*waiting) == [0, 1, 2]
    assert await slow.noted() == [0, 1, 2]
    assert ref(slow).id == before
    assert system.info("slow").restarts == 1


async def test_a_crash_ends_what_belonged_to_it_with_a_typed_outcome(system):
    class Rich(Actor):
        async def on_start(self) -> None:
            self.schedule(1, "tick", every=1)
            await self.spawn(Counter, name="child")
            self.hub = self.port("hub")

        async def tick(self) -> None: ...

        async def crash(self) -> None:
            raise Broken

        async def ticks(self) -> AsyncIterator[int]:
            for number in itertools.count():
                yield number

        async def on_channel(self, channel) -> None:
            await channel.accept()
            async for _ in channel:
                pass

    rich = await system.spawn(Rich, name="rich", supervision=Supervision(backoff=10, backoff_max=10))
    stream, channel, hub = rich.ticks(), await ref(rich).open_channel(), system.subscribe("rich", "hub")
    child = system.ref("rich/child")
    assert await stream.receive() == 0
    await outcome(rich.crash())
    await rest()
    info = system.info("rich")
    assert (info.state, info.streams, info.channels, info.children) == ("restarting", 0, 0, 0)
    with pytest.raises(ActorStopped):
        async for _ in stream:
            pass
    with pytest.raises(ActorStopped):
        await channel.receive()
    with pytest.raises(ActorStopped):
        await hub.receive()
    with pytest.raises(ActorStopped):
        await child.ask("add")
    assert await rich.ping() == "pong"
    assert now() > 4
    assert system.ref("rich/child") != child


async def test_a_stream_that_begins_in_the_back_off_is_of_the_new_one(system):
    class Numbered(Actor):
        made = 0

        def __init__(self):
            Numbered.made += 1
            self.number = Numbered.made

        async def crash(self) -> None:
            raise Broken

        async def numbers(self) -> AsyncIterator[int]:
            while True:
                yield self.number

    actor = await system.spawn(Numbered, supervision=Supervision(backoff=10))
    await outcome(actor.crash())
    await rest()
    stream = actor.numbers()
    assert await stream.receive() == 2
    await outcome(actor.crash())
    error = None
    while error is None:
        item = await outcome(stream.receive())
        error = item if isinstance(item, Exception) else None
    assert isinstance(error, ActorStopped)


@pytest.mark.parametrize("why", ["own", "parent's", "other's"])
async def test_a_restart_that_is_asked_for_inside_happens_after_the_message(system, why):
    class Again(Actor):
        def __init__(self):
            self.n = 0

        async def again(self, whom: str) -> str:
            self.n += 1
            await self.system.restart(whom)
            return "will be"

        async def give_birth(self) -> None:
            await self.spawn(Again, name="child")

    actor = await system.spawn(Again, name="a")
    await actor.give_birth()
    await system.spawn(Again, name="b")
    whom = {"own": "a", "parent's": "a", "other's": "b"}[why]
    asker = "a/child" if why == "parent's" else "a"
    assert await system.ask(asker, "again", whom) == "will be"
    await rest()
    assert now() < 1
    assert system.info(whom).restarts == 1


async def test_a_restart_of_one_that_stops_instead_says_so(system, tape):
    await system.spawn(Logs, tape, ends="slow", name="x")
    stopping = await started(system.stop("x"))
    with pytest.raises(ActorStopped):
        await system.restart("x")
    await stopping


async def test_a_restart_that_fails_for_good_says_so(system):
    class Once(Actor):
        made = 0

        async def on_start(self) -> None:
            Once.made += 1
            if Once.made > 1:
                raise Broken("only once")

    await system.spawn(Once, name="once", supervision=Supervision(max_restarts=2, backoff=1))
    with pytest.raises(ActorStopped):
        await system.restart("once")
    assert Once.made == 4
    assert nothing_left(system)


@pytest.mark.parametrize("error", [Broken("again"), asyncio.CancelledError(), FailedPrecondition("again")])
async def test_a_restart_that_fails_is_tried_again(system, error):
    class Shaky(Actor):
        made = 0

        async def on_start(self) -> None:
            Shaky.made += 1
            if Shaky.made in (2, 3):
                raise error

        async def crash(self) -> None:
            raise Broken

    shaky = await system.spawn(Shaky, name="s")
    await outcome(shaky.crash())
    assert await shaky.ping() == "pong"
    assert Shaky.made == 4


async def test_a_restart_is_no_part_of_the_ask_that_failed(system):
    """The deadline of that ask is nothing to a new beginning."""

    class Begins(Actor):
        async def on_start(self) -> None:
            self.found = await self.system.ask("slow", "work", ["x", 5], timeout=None)

        async def on_stop(self) -> None:
            await self.on_start()

        async def crash(self) -> None:
            await asyncio.sleep(0)
            raise Broken

        async def get(self) -> str:
            return self.found

    await system.spawn(Slow, name="slow")
    begins = await system.spawn(Begins, name="b")
    await outcome(system.ask("b", "crash", timeout=1))
    assert await begins.get() == "x"
    assert system.info("b").restarts == 1


async def test_a_stop_in_the_back_off_is_at_once(system):
    counter = await system.spawn(Counter, name="x", supervision=Supervision(backoff=1000, backoff_max=1000))
    await outcome(counter.crash())
    waiting = await started(counter.add())
    await system.stop("x")
    assert now() < 1
    assert isinstance(await ended(waiting), ActorStopped)


async def test_on_stop_is_not_called_for_a_restart(system, tape):
    await system.spawn(Logs, tape, "a", name="p")
    await system.restart("p")
    assert tape == ["p/a"]
    assert [info.address for info in system.list()] == ["p", "p/a"]


# ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Watcher(Actor):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def look_at(self, whom: str) -> None:
        self.watch(self.system.ref(whom))

    async def look_at_ref(self, whom: object) -> None:
        self.watch(whom)

    async def on_terminated(self, actor, reason: str) -> None:
        self.seen.append((actor.address, reason))


async def test_who_watches_is_told_once_when_it_stops_and_not_when_it_restarts(system):
    watcher = await system.spawn(Watcher, name="w")
    counter = await system.spawn(Counter, name="c", supervision=Supervision(max_restarts=1, backoff=0))
    await watcher.look_at("c")
    await watcher.look_at("c")
    await outcome(counter.crash())
    await rest()
    assert system.state("w")["seen"] == []
    await outcome(counter.crash("for good"))
    await rest()
    assert system.state("w")["seen"] == [("c", "it failed: Broken: for good")]


async def test_who_watches_one_that_has_stopped_is_told_at_once(system):
    watcher = await system.spawn(Watcher, name="w")
    gone = await system.spawn(Counter, name="c")
    await system.stop("c")
    await watcher.look_at_ref(gone)
    await rest()
    ((address, reason),) = system.state("w")["seen"]
    assert address == "c"
    assert "it was stopped" in reason


async def test_short_lived_watchers_are_not_kept_by_what_they_watch(system):
    counter = await system.spawn(Counter, name="c")
    for _ in range(50):
        watcher = await system.spawn(Watcher)
        await watcher.look_at("c")
        await ref(watcher).stop()
    del watcher
    gc.collect()
    assert not list(ref(counter).cell.watchers or ())


# ── families ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_relatives_know_each_other(system):
    class Parent(Actor):
        async def on_start(self) -> None:
            for name in "abc":
                await self.spawn(Child, name=name)

        async def names(self) -> list[str]:
            return [child.address for child in self.children]

    class Child(Actor):
        async def whose(self) -> str:
            assert self.parent is not None
            return self.parent.address

    parent = await system.spawn(Parent, name="p")
    assert await parent.names() == ["p/a", "p/b", "p/c"]
    assert await system.ask("p/b", "whose") == "p"
    await system.stop("p/b")
    assert await parent.names() == ["p/a", "p/c"]
    assert system.info("p").children == 2
    penstock.ref(parent)
