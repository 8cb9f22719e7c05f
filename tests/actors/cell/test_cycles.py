"""An ask that would wait for itself is an error, and nothing else is taken for one."""

from __future__ import annotations

import asyncio

import pytest

import penstock
from penstock import (
    Actor,
    ReentrancyError,
    ref,
)
from tests.actors.kit import now, outcome, rest, started

# ── cycles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


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
