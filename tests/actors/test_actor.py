"""What an actor knows of itself, what everybody may ask it, and what is no message."""

from __future__ import annotations

import asyncio
import logging

import pytest

import penstock
from penstock import Actor, Unimplemented, ref
from tests.actors.kit import Counter, outcome


class Knows(Actor):
    def __init__(self) -> None:
        self.at_birth = (self.address, self.id, self.system.name, self.parent, self.children)

    async def birth(self) -> list[object]:
        return list(self.at_birth)

    async def me(self) -> bool:
        return ref(self).address == self.address

    async def say(self, text: str) -> None:
        self.log.info("it says %s", text)
        self.log.debug("%d%%", 5)


async def test_it_knows_itself_in_its_init(system):
    knows = await system.spawn(Knows, name="k")
    assert await knows.birth() == ["k", ref(knows).id, "here", None, []]
    assert await knows.me()


async def test_it_answers_ping_accepts_and_describe(system, path):
    counter = await system.spawn(Counter)
    assert await counter.ping() == "pong"
    methods = {method.name: method for method in await counter.accepts()}
    assert {"add", "get", "ticks", "ping", "accepts", "describe"} <= set(methods)
    assert not set(methods) & {"on_start", "on_stop", "receive", "spawn", "schedule", "watch", "port", "address", "log"}
    assert (await counter.describe()).name == "Counter"
    assert methods["ticks"].kind != methods["add"].kind


@pytest.mark.parametrize(
    "name", ["on_start", "on_stop", "receive", "on_channel", "spawn", "watch", "schedule", "__init__", "_cell"]
)
async def test_what_the_system_calls_nobody_else_can(system, name):
    await system.spawn(Counter, name="counter")
    with pytest.raises(Unimplemented):
        await system.ask("counter", name)


async def test_its_log_names_it_and_is_part_of_its_history(system, tape, caplog):
    system._host.tap = tape
    knows = await system.spawn(Knows, name="k")
    with caplog.at_level(logging.INFO, "penstock.actor"):
        await knows.say("hello")
    assert "k: it says hello" in caplog.text
    assert [(data["level"], data["text"]) for data in tape.data("log")] == [("INFO", "it says hello"), ("DEBUG", "5%")]


class Logs(Actor):
    def __init__(self) -> None:
        self.n = 0

    async def write(self, name: str) -> int:
        text, args, _recorded = LOGGED[name]
        self.n += 1
        self.log.info(text, *args)
        return self.n


class Textless:
    def __str__(self) -> str:
        raise OSError("no text")


class Exiting:
    def __str__(self) -> str:
        raise SystemExit


LOGGED: dict[str, tuple[object, tuple[object, ...], str]] = {
    "a map": ("%(what)s at %(place)s", ({"what": "rain", "place": "dam"},), "rain at dam"),
    "a wrong type": ("%d items", ("three",), "%d items (not formatted: TypeError)"),
    "too few": ("%s %s", ("one",), "%s %s (not formatted: TypeError)"),
    "no text": (Textless(), (), "Textless (not formatted: OSError)"),
    "an exit": (Exiting(), (), "Exiting (not formatted: SystemExit)"),
    "an argument without a text": ("it is %s", (Textless(),), "it is %s (not formatted: OSError)"),
}


@pytest.mark.parametrize("is_told", [True, False], ids=["with a tap", "without"])
@pytest.mark.parametrize("name", LOGGED)
async def test_no_text_of_a_log_message_crashes_the_actor(system, tape, monkeypatch, is_told, name):
    """The module `logging` prints the error of a bad format, and goes on."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    system._host.tap = tape if is_told else None
    logs = await system.spawn(Logs, name="logs")
    assert [await logs.write(name), await logs.write(name)] == [1, 2]
    assert [data["text"] for data in tape.data("log")] == [LOGGED[name][2]] * 2 * is_told


async def test_hooks_of_a_base_class_count(system):
    class Base(Actor):
        started = False

        async def on_start(self) -> None:
            self.started = True

    class Derived(Base):
        async def is_started(self) -> bool:
            return self.started

    assert await (await system.spawn(Derived)).is_started()


async def test_one_that_was_not_spawned_shows_it(system):
    assert repr(Counter()) == "<Counter not spawned>"
    counter = await system.spawn(Counter, name="c")
    assert repr(ref(counter).cell.actor) == "<Counter c running>"


async def test_an_actor_may_be_a_dataclass(system):
    from dataclasses import dataclass

    @dataclass
    class Data(Actor):
        n: int = 3

        async def get(self) -> int:
            return self.n

    assert await (await system.spawn(Data)).get() == 3


async def test_children_are_below_their_parent(system):
    class Parent(Actor):
        async def on_start(self) -> None:
            self.child = await self.spawn(Counter, 4, name="child")
            self.other = await self.spawn(Counter)

        async def total(self) -> int:
            first, second = await asyncio.gather(self.child.get(), self.other.get())
            return first + second

    parent = await system.spawn(Parent, name="p")
    assert await parent.total() == 4
    assert [info.address.rpartition("-")[0] or info.address for info in system.list("p/*")] == ["p/child", "p/counter"]
    assert isinstance(await outcome(system.ask("p/child", "nothing")), penstock.Unimplemented)
