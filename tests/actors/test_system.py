"""The system: its state and that of its actors, the router's verbs, dead letters, what an actor costs."""

from __future__ import annotations

import asyncio
import gc
import re
import statistics
import tracemalloc
from pathlib import Path

import pytest

import penstock
from penstock import Actor, ActorSystem, InvalidArgument, Mailbox, Supervision, ref, tell
from tests.actors.kit import Counter, Slow, outcome, rest, started

#: Bytes of an idle actor, before and after its first messages.
FRESH_BYTES, USED_BYTES = 2048, 2304


async def test_how_an_actor_stands(system):
    class Rich(Slow):
        async def on_start(self) -> None:
            await self.spawn(Counter, name="child")
            await asyncio.sleep(1)

        async def ticks(self):
            while True:
                yield 1

        async def on_channel(self, channel) -> None:
            await channel.accept()
            await channel.wait_closed()

    rich = await system.spawn(Rich, name="rich", mailbox=Mailbox(7))
    await asyncio.sleep(2)
    stream, channel = rich.ticks(), await ref(rich).open_channel()
    working = [await started(rich.work(number, 5)) for number in range(3)]
    info = system.info("rich")
    assert (info.mailbox, info.mailbox_size, info.streams, info.channels, info.children) == (2, 7, 1, 1, 1)
    assert (info.state, info.restarts, info.messages, info.error) == ("running", 0, 1, "")
    assert info.uptime_s == pytest.approx(2, abs=0.1)
    assert info.actor.endswith("Rich")
    assert info.id == ref(rich).id
    await asyncio.gather(*working, stream.aclose(), channel.close())


async def test_the_state_is_what_does_not_begin_with_an_underscore(system):
    class Hides(Actor):
        def __init__(self):
            self.shown, self._hidden = 1, 2

    await system.spawn(Hides, name="h")
    assert system.state("h") == {"shown": 1}


@pytest.mark.parametrize("kind", ["given", "class", "default"])
async def test_a_mailbox_is_the_given_one_or_the_class_s(system, kind):
    class Own(Counter):
        mailbox = Mailbox(3)

    await system.spawn(Own if kind != "default" else Counter, name="x", mailbox=Mailbox(9) if kind == "given" else None)
    assert system.info("x").mailbox_size == {"given": 9, "class": 3, "default": 1000}[kind]


async def test_only_classes_of_actors_are_spawned(system):
    class Plain: ...

    for wrong in (Plain, Counter(), int, None, "Counter"):
        with pytest.raises(TypeError, match="is not a class of actors"):
            await system.spawn(wrong)


async def test_the_router_s_verbs_reach_an_actor(system, path):
    counter = await system.spawn(Counter, name="counter")
    await system.tell("counter", "add", 2)
    assert await system.ask("counter", "get") == 2
    assert [item async for item in system.stream("counter", "ticks", 3)] == [0, 1, 2]
    assert await system.actor(Counter, "counter").add(1) == 3
    assert system.ref("counter") == ref(counter) == ref(system.actor(Counter, "counter"))
    assert await system.ref("counter").ask("add", 1) == 4


@pytest.mark.parametrize(
    ("payload", "result"),
    [(["x", 0.5], "x"), (("x",), "x"), ({"what": "x", "seconds": 0.5}, "x"), ({"what": "x"}, "x"), ("x", "x")],
)
async def test_a_payload_is_the_arguments_by_place_or_by_name(system, payload, result):
    await system.spawn(Slow, name="slow")
    assert await system.ask("slow", "work", payload) == result


async def test_dead_letters_are_kept_counted_and_told(system, tape):
    system._host.tap = tape
    slow = await system.spawn(Slow, name="slow")
    working = await started(slow.work("x", 1))
    for number in range(5):
        await tell(slow).note(number)
    await system.stop("slow")
    await working
    await outcome(ref(slow).tell("note", 9))
    assert system.dead_letters.count == len(system.dead_letters) == 6
    assert {(envelope.address, envelope.type, envelope.sender) for envelope in system.dead_letters} == {("slow", "note", None)}
    assert all("slow has stopped: it was stopped" in envelope.reason for envelope in system.dead_letters)
    assert tape.kinds("slow").count("dead_letter") == 6


async def test_the_last_dead_letters_are_kept_and_all_are_counted(system):
    slow = await system.spawn(Slow, name="slow")
    gone = ref(slow)
    await gone.stop()
    for _ in range(1500):
        await outcome(gone.tell("note", 1))
    assert (system.dead_letters.count, len(system.dead_letters)) == (1500, 1000)


async def test_spawning_and_stopping_leave_nothing(system):
    for _ in range(200):
        counter = await system.spawn(Counter, supervision=Supervision())
        await counter.add(1)
        await ref(counter).stop()
    assert len(system._host.registry) == 0
    await rest()
    assert len(asyncio.all_tasks()) == 1
    assert not [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]


def _public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_a_system_shows_its_documented_api_alone():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "actors.md").read_text(encoding="utf-8")
    section = page.partition("::: penstock.ActorSystem\n")[2].partition(":::")[0]
    assert _public(ActorSystem) == set(re.findall(r"- (\w+)", section))
    assert {name for name in vars(ActorSystem("here")) if not name.startswith("_")} == {"name"}


def test_an_actor_shows_its_api_alone():
    itself = {"address", "id", "system", "parent", "children", "log", "mailbox", "supervision"}
    verbs = {"spawn", "schedule", "port", "watch", "ping", "accepts", "describe"}
    hooks = {"on_start", "on_stop", "on_child_failed", "on_terminated", "on_channel", "receive"}
    assert _public(Actor) == itself | verbs | hooks


@pytest.mark.parametrize(("used", "limit"), [(False, FRESH_BYTES), (True, USED_BYTES)])
async def test_an_idle_actor_is_small(system, used, limit):
    async def make(count):
        for _ in range(count):
            counter = await system.spawn(Counter)
            if used:
                await counter.add(1)
                await system.ask(ref(counter).address, "get")

    async def grown(count):
        before = tracemalloc.get_traced_memory()[0]
        await make(count)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / count

    await make(700)  # a dict grows at two thirds of a power of two: next at 1,365 actors
    gc.collect()
    tracemalloc.start()
    try:
        rounds = [await grown(90) for _ in range(7)]
    finally:
        tracemalloc.stop()
    assert statistics.median(rounds) <= limit, rounds


async def test_systems_show_how_they_stand(system):
    await system.spawn(Counter)
    assert repr(system) == "<ActorSystem here 1 actors>"
    await system.aclose()
    assert repr(system) == "<ActorSystem here closed>"


async def test_a_ref_is_a_value(system):
    counter = await system.spawn(Counter, name="a")
    other = await system.spawn(Counter, name="b")
    assert {ref(counter), system.ref("a"), ref(other)} == {system.ref("a"), system.ref("b")}
    assert counter == system.actor(Counter, "a") != other
    with pytest.raises(TypeError, match="is not an actor stub"):
        ref(Counter)
    with pytest.raises(TypeError, match="is not an actor stub"):
        tell(object())


async def test_watching_one_of_another_system_is_refused(system):
    class Watches(Actor):
        async def look(self, whom: object) -> None:
            self.watch(whom)

    class Elsewhere(penstock.ActorRef):
        address = id = "elsewhere"
        tell = stop = _ask = _stream = _open_channel = _subscribe = _asking = _telling = None

    watches = await system.spawn(Watches)
    with pytest.raises(InvalidArgument, match="only actors of this process"):
        await watches.look(Elsewhere())
    assert await watches.ping() == "pong"
