"""An ask that would wait for itself is an error, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

import penstock
from penstock import Actor, ActorStopped, Mailbox, MailboxFull, ReentrancyError, ref
from tests.actors.kit import Slow, now, outcome, rest, started

# ── one after the other ─────────────────────────────────────────────────────────────────────────────────────────────────


class Ring(Actor):
    """Asks along a list of addresses."""

    async def along(self, rest: list[str]) -> str:
        if not rest:
            return self.address
        return await self.system.ask(rest[0], "along", rest[1:], timeout=None)

    async def in_a_group(self, whom: list[str]) -> list[object]:
        return await asyncio.gather(*(outcome(self.system.ask(one, "along", [], timeout=None)) for one in whom))

    async def in_the_background(self, whom: str) -> None:
        self.task = asyncio.ensure_future(self.system.ask(whom, "along", [], timeout=None))

    async def background(self) -> object:
        return await outcome(self.task)

    async def by_tell(self, whom: str) -> str:
        await self.system.tell(whom, "along", [self.address])
        return "told"


async def ring(system, *names):
    return [await system.spawn(Ring, name=name) for name in names]


@pytest.mark.parametrize("path_", [["a"], ["b", "a"], ["b", "c", "a"], ["b", "c", "b"], ["b", "b"]])
async def test_a_cycle_of_asks_is_an_error_and_names_the_way(system, path_):
    a, *_others = await ring(system, "a", "b", "c")
    way = ["a", *path_]
    way = way[way.index(way[-1]) :]
    with pytest.raises(ReentrancyError, match=" asks ".join(way)) as found:
        await a.along(path_)
    assert not found.value.started
    for name in "abc":
        assert await system.ask(name, "ping", timeout=1) == "pong"
        assert system.info(name).restarts == 0


async def test_a_cycle_through_typed_stubs_is_an_error_too(system):
    class Typed(Actor):
        async def meet(self, other: object) -> None:
            self.other = other

        async def go(self) -> str:
            return await self.other.go()

    one, two = await system.spawn(Typed), await system.spawn(Typed)
    await one.meet(two)
    await two.meet(one)
    with pytest.raises(ReentrancyError):
        await one.go()


async def test_a_cycle_in_a_group_is_an_error_for_that_one(system):
    a, *_others = await ring(system, "a", "b", "c")
    results = await a.in_a_group(["b", "a", "c"])
    assert [type(one) for one in results] == [str, ReentrancyError, str]


async def test_a_group_of_asks_to_others_is_no_cycle(system):
    a, *_others = await ring(system, "a", "b", "c")
    assert await a.in_a_group(["b", "c", "b"]) == ["b", "c", "b"]
    assert await a.along(["b", "c"]) == "c"


@pytest.mark.parametrize("whom", ["a", "b"])
async def test_what_a_handler_leaves_in_the_background_is_no_cycle(system, whom):
    a, *_others = await ring(system, "a", "b")
    await a.in_the_background(whom)
    await rest()
    assert await a.background() == whom


async def test_a_cycle_with_a_tell_in_it_is_none(system):
    a, *_others = await ring(system, "a", "b")
    assert await a.by_tell("b") == "told"
    await rest()
    assert system.info("b").error == ""


async def test_an_asker_that_gave_up_is_waited_for_by_nobody(system):
    class Patient(Actor):
        async def ask_back(self, whom: str) -> object:
            await asyncio.sleep(5)
            return await outcome(self.system.ask(whom, "along", [], timeout=None))

    class Front(Actor):
        async def begin(self) -> None:
            await outcome(self.system.ask("patient", "ask_back", self.address, timeout=1))

        async def along(self, rest: list[str]) -> str:
            return "front"

    front = await system.spawn(Front, name="front")
    patient = await system.spawn(Patient, name="patient")
    await front.begin()
    asked = await started(penstock.options(patient, timeout=None).ping())
    assert await asked == "pong"
    assert now() == pytest.approx(5, abs=0.1)
    assert await front.along([]) == "front"


async def test_asking_back_in_a_start_is_a_cycle(system):
    """The parent waits for its child's start, which asks the parent."""

    class Child(Actor):
        async def on_start(self) -> None:
            assert self.parent is not None
            await self.parent.ask("ping", timeout=None)

    class Parent(Actor):
        async def raise_one(self) -> None:
            await self.spawn(Child)

    parent = await system.spawn(Parent, name="parent")
    with pytest.raises(ReentrancyError, match="parent asks parent/child-"):
        await parent.raise_one()
    assert len(system.list()) == 1


async def test_asking_oneself_in_a_start_is_a_cycle(system):
    class Narcissus(Actor):
        async def on_start(self) -> None:
            await ref(self).ask("ping", timeout=None)

    with pytest.raises(ReentrancyError):
        await system.spawn(Narcissus)
    assert system.list() == []


async def test_asking_oneself_in_a_stop_ends(system):
    class Narcissus(Actor):
        async def on_stop(self) -> None:
            self.found = await outcome(ref(self).ask("ping", timeout=None))

    actor = await system.spawn(Narcissus, name="n")
    cell = ref(actor).cell
    await system.stop("n")
    assert isinstance(cell.actor.found, ReentrancyError)


# ── at the same time ──────────────────────────────────────────────────────────────────────────────────────────────────


class Meets(Actor):
    """Does one thing to another after a moment, in which the other does the same."""

    mailbox = Mailbox(1)

    async def meet(self, what: str, whom: str) -> object:
        await asyncio.sleep(1)
        return await outcome(self.do(what, whom))

    async def do(self, what: str, whom: str) -> object:
        other = self.system.ref(whom)
        if what == "ask":
            return await other.ask("rest", timeout=None)
        if what == "tell":
            await other.tell("rest")
            return await other.tell("rest")
        if what == "stop":
            return await other.stop()
        if what == "restart":
            return await self.system.restart(whom)
        return await asyncio.gather(other.ask("rest", timeout=None), self.system.ask("c", "rest", timeout=None))

    async def rest(self) -> str:
        await asyncio.sleep(0)
        return "rested"


@pytest.mark.parametrize("one", ["ask", "tell", "stop", "restart", "gather"])
@pytest.mark.parametrize("two", ["ask", "tell", "stop", "restart", "gather"])
async def test_two_that_want_each_other_at_the_same_time_never_wait_for_ever(system, one, two):
    for name in "abc":
        await system.spawn(Meets, name=name)
    results = await asyncio.gather(
        outcome(system.ask("a", "meet", [one, "b"], timeout=None)), outcome(system.ask("b", "meet", [two, "a"], timeout=None))
    )
    assert now() < 2
    allowed = ReentrancyError | MailboxFull | ActorStopped
    assert all(isinstance(result, allowed) or not isinstance(result, Exception) for result in results)
    if {one, two} <= {"ask", "gather"}:
        (refused,) = [str(result) for result in results if isinstance(result, ReentrancyError)]
        assert "a asks b, which waits for a" in refused or "b asks a, which waits for b" in refused


async def test_a_ring_that_closes_at_the_same_time_is_an_error_for_the_last(system):
    names = [f"n{number}" for number in range(10)]
    for name in names:
        await system.spawn(Meets, name=name)
    asks = [system.ask(name, "meet", ["ask", after], timeout=None) for name, after in pairwise([*names, names[0]])]
    results = await asyncio.gather(*asks)
    assert sorted(type(result).__name__ for result in results) == ["ReentrancyError"] + ["str"] * 9


async def test_two_that_ask_the_same_one_are_no_cycle(system):
    for name in "abc":
        await system.spawn(Meets, name=name)
    assert await asyncio.gather(*(system.ask(name, "meet", ["ask", "c"]) for name in "ab")) == ["rested", "rested"]


async def test_what_was_given_up_is_waited_for_no_more(system):
    class Gives(Meets):
        async def do(self, what: str, whom: str) -> object:
            await outcome(self.system.ask(whom, "meet", ["nothing", "c"], timeout=0.5))
            await asyncio.sleep(10)
            return "gave up"

    await system.spawn(Gives, name="a")
    await system.spawn(Slow, name="b")
    await system.spawn(Meets, name="c")
    asked = await started(system.ask("a", "meet", ["", "c"], timeout=None))
    await asyncio.sleep(3)
    assert await asyncio.gather(system.ask("c", "meet", ["ask", "a"], timeout=None), asked) == ["rested", "gave up"]


# ── by way of a stream ────────────────────────────────────────────────────────────────────────────────────────────────


class Reads(Actor):
    """Reads streams of others in its messages, and has a stream that asks others."""

    async def read(self, whom: str, about: str, pause: float = 0) -> list[object]:
        stream = self.system.stream(whom, "about", about, timeout=None)
        await asyncio.sleep(pause)
        return [item async for item in stream]

    async def keep(self, whom: str, about: str) -> None:
        self.kept = self.system.stream(whom, "about", about, timeout=None)

    async def kept_items(self) -> list[object]:
        return [item async for item in self.kept]

    async def about(self, whom: str) -> AsyncIterator[object]:
        for _ in range(3):
            await asyncio.sleep(0.1)
            yield await self.system.ask(whom, "rest", timeout=None)

    async def rest(self) -> str:
        await asyncio.sleep(0)
        return "rested"


@pytest.mark.parametrize("pause", [0, 1])
@pytest.mark.parametrize("whom", ["a", "b"])
async def test_reading_a_stream_that_asks_its_reader_is_a_cycle(system, whom, pause):
    for name in "ab":
        await system.spawn(Reads, name=name)
    with pytest.raises(
        ReentrancyError, match=f"a reads 'about' of {whom}, which waits for a|{whom} asks a, which waits for {whom}"
    ):
        await system.ask("a", "read", [whom, "a", pause], timeout=None)
    assert now() < 2
    await rest()
    assert system.info(whom).streams == 0


async def test_reading_a_stream_that_asks_somebody_else_is_none(system):
    for name in "abc":
        await system.spawn(Reads, name=name)
    assert await system.ask("a", "read", ["b", "c"], timeout=None) == ["rested"] * 3
    assert await system.ask("a", "read", ["b", "b"], timeout=None) == ["rested"] * 3
    assert [item async for item in system.stream("a", "about", "a")] == ["rested"] * 3


async def test_a_stream_that_is_begun_and_not_read_may_ask_whoever_began_it(system):
    for name in "ab":
        await system.spawn(Reads, name=name)
    await system.ask("a", "keep", ["b", "a"])
    await asyncio.sleep(1)
    assert await system.ask("a", "kept_items", timeout=5) == ["rested"] * 3


# ── tasks that a handler starts ───────────────────────────────────────────────────────────────────────────────────────


class Starter(Actor):
    """Starts a task that asks, and awaits it in one way or another, or not at all."""

    async def rest(self) -> str:
        await asyncio.sleep(0)
        return "rested"

    async def relay(self, whom: str) -> str:
        return await self.system.ask(whom, "rest", timeout=None)

    async def leave(self, whom: str, what: str, *, busy: float = 1) -> str:
        self.task = asyncio.ensure_future(self.system.ask(whom, what, *self.onward(what), timeout=None))
        await asyncio.sleep(busy)
        return "done"

    def onward(self, what: str) -> list[str]:
        return [self.address] if what == "relay" else []

    async def left(self) -> object:
        return await outcome(self.task)

    async def wait_for_it(self, how: str, whom: str, what: str) -> object:
        async def asks() -> str:
            await asyncio.sleep(0.1)
            return await self.system.ask(whom, what, *self.onward(what), timeout=None)

        task = asyncio.ensure_future(asks())
        if how == "later":
            await asyncio.sleep(5)
        if how == "gather":
            return (await asyncio.gather(asyncio.sleep(0), task))[1]
        if how == "wait":
            await asyncio.wait([task])
        if how == "wait_for":
            return await asyncio.wait_for(task, 100)
        if how == "shield":
            return await asyncio.shield(task)
        if how == "task":

            async def inner() -> object:
                return await task

            return await asyncio.create_task(inner())
        return await task

    async def in_a_group(self, whom: str, what: str) -> object:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.system.ask(whom, what, *self.onward(what), timeout=None))
        return task.result()


@pytest.mark.parametrize(("whom", "what"), [("a", "rest"), ("b", "rest"), ("b", "relay")])
async def test_a_task_that_a_handler_leaves_running_is_queued_behind_it(system, whom, what):
    """FAULTS C4: the handler waits for nobody, so its task may ask its own actor, also by way of a third one."""
    a, _b = [await system.spawn(Starter, name=name) for name in "ab"]
    assert await a.leave(whom, what) == "done"
    assert await a.left() == "rested"
    assert now() == pytest.approx(1, abs=0.1)


async def test_an_actor_that_a_task_has_asked_may_ask_back(system):
    """FAULTS C4: it is a third one that was refused, though the asker's handler did not wait for it."""
    a, b = [await system.spawn(Starter, name=name) for name in "ab"]
    busy = asyncio.ensure_future(b.leave("c", "rest", busy=2))  # b is busy, so the task of a waits for it
    await system.spawn(Starter, name="c")
    left = asyncio.ensure_future(a.leave("b", "rest", busy=3))
    await asyncio.sleep(0.5)
    assert await options_of(b).relay("a") == "rested"
    assert await asyncio.gather(busy, left) == ["done", "done"]


def options_of(stub):
    return penstock.options(stub, timeout=None)


@pytest.mark.parametrize("how", ["await", "gather", "wait", "wait_for", "shield", "task", "later"])
@pytest.mark.parametrize(("whom", "what"), [("a", "rest"), ("b", "relay")])
async def test_a_task_that_its_handler_awaits_closes_a_circle(system, how, whom, what):
    """FAULTS C4: in whatever way it is awaited, and also when it is awaited only after the ask was sent."""
    a, _b = [await system.spawn(Starter, name=name) for name in "ab"]
    with pytest.raises(ReentrancyError):
        await a.wait_for_it(how, whom, what)
    assert now() < 7
    assert await a.rest() == "rested"
    assert system.info("a").restarts == 0


@pytest.mark.parametrize(("whom", "what"), [("a", "rest"), ("b", "relay")])
async def test_a_task_group_that_closes_a_circle_is_refused(system, whom, what):
    """FAULTS C4."""
    a, _b = [await system.spawn(Starter, name=name) for name in "ab"]
    with pytest.raises((ReentrancyError, ExceptionGroup)) as found:
        await a.in_a_group(whom, what)
    assert "would wait for itself" in str(found.value) or found.group_contains(ReentrancyError)
    assert now() < 2


# ── by way of a channel ───────────────────────────────────────────────────────────────────────────────────────────────


class Opens(Starter):
    async def open_to(self, whom: str) -> str:
        channel = await self.system.open_channel(whom, self.address)
        await channel.close()
        return "opened"


class ByCallback(Opens):
    async def on_channel_open(self, channel: penstock.Channel) -> str:
        await asyncio.sleep(0)
        return "come in"


class AsksFirst(Opens):
    async def on_channel(self, channel: penstock.Channel) -> None:
        await self.system.ask(channel.payload, "rest", timeout=None)
        await channel.accept()


@pytest.mark.parametrize(("kind", "whom"), [(ByCallback, "a"), (AsksFirst, "a"), (AsksFirst, "b")])
async def test_a_channel_whose_opening_waits_for_its_opener_is_refused_at_once(system, kind, whom):
    """FAULTS C4."""
    for name in "ab":
        await system.spawn(kind, name=name)
    with pytest.raises(ReentrancyError):
        await system.ask("a", "open_to", whom, timeout=None)
    assert now() < 1
    assert await system.ask("a", "rest", timeout=1) == "rested"


async def test_a_channel_whose_opening_asks_somebody_else_is_opened(system):
    """FAULTS C4: no circle is seen where there is none."""
    for name, kind in [("a", Opens), ("b", ByCallback), ("c", AsksFirst)]:
        await system.spawn(kind, name=name)
    assert await system.ask("a", "open_to", "b", timeout=None) == "opened"
    channel = await system.open_channel("c", "a")
    await channel.close()
