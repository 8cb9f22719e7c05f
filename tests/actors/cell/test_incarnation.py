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
    FailedPrecondition,
    ReentrancyError,
    StatusError,
    Supervision,
    ref,
)
from penstock.actors.cell import STOP_GRACE_S
from tests.actors.kit import (
    Broken,
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

AT_ONCE = Supervision(backoff=0, max_restarts=1000)


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    reason = "it crashed with Broken, after 1 restart within 60 s, the most that its supervision allows"
    assert system.state("w")["seen"] == [("c", reason)]


async def test_who_watches_one_that_has_stopped_is_told_at_once(system):
    watcher = await system.spawn(Watcher, name="w")
    gone = await system.spawn(Counter, name="c")
    await system.stop("c")
    await watcher.look_at_ref(gone)
    await rest()
    ((address, reason),) = system.state("w")["seen"]
    assert address == "c"
    assert "it was stopped" in reason


async def test_one_that_is_restarted_hears_nothing_of_the_children_it_had_before(system):
    class Parent(Watcher):
        async def on_start(self) -> None:
            self.watch(await self.spawn(Counter, name="child"))

    await system.spawn(Parent, name="p")
    await system.restart("p")
    await rest()
    assert system.state("p")["seen"] == []
    await system.stop("p/child")
    await rest()
    assert system.state("p")["seen"] == [("p/child", "it was stopped")]


async def test_short_lived_watchers_are_not_kept_by_what_they_watch(system):
    counter = await system.spawn(Counter, name="c")
    for _ in range(50):
        watcher = await system.spawn(Watcher)
        await watcher.look_at("c")
        await ref(watcher).stop()
    del watcher
    gc.collect()
    assert not list(ref(counter).cell.belongings._watchers or ())


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
