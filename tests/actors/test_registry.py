"""Names, ids and patterns: which are allowed, for how long one is taken, which actors one finds."""

from __future__ import annotations

import pytest

from penstock import Actor, ActorSystem, AlreadyExists, InvalidArgument, NotFound, ref
from penstock.actors._registry import check_name, matches
from tests.actors.kit import Counter


@pytest.mark.parametrize("name", ["a", "chat/rooms/general", "A.b-c_9", "0", "x" * 256])
async def test_names_that_are_allowed(system, name):
    await system.spawn(Counter, name=name)
    assert await system.ask(name, "add", 1) == 1


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a//b", "a b", "ä", "a\n", "a\x00", "../..\\", "x" * 257, "a?", "*", "a!b"]
)
async def test_names_that_are_not(system, name):
    with pytest.raises(InvalidArgument, match="is not a name for an actor"):
        await system.spawn(Counter, name=name)
    assert system.list() == []


async def test_names_below_names_are_no_longer_than_an_address_may_be(system):
    class Nests(Actor):
        async def nest(self, name: str) -> None:
            await self.spawn(Counter, name=name)

    nests = await system.spawn(Nests, name="n" * 200)
    with pytest.raises(InvalidArgument):
        await nests.nest("m" * 200)


async def test_a_name_is_taken_once_and_free_after_a_stop(system):
    await system.spawn(Counter, name="a")
    with pytest.raises(AlreadyExists, match="'a'"):
        await system.spawn(Counter, name="a")
    await system.stop("a")
    await system.spawn(Counter, name="a")


async def test_names_that_are_made_up_meet_no_others(system):
    class Foreign(Counter): ...

    Foreign.__name__ = "Größe"

    for number in range(200, 250):
        await system.spawn(Counter, name=f"counter-{number}")
    for _ in range(200):
        await system.spawn(Counter)
    assert len(system.list()) == 250
    address = ref(await system.spawn(Foreign)).address
    assert await system.ask(address, "add", 1) == 1
    check_name(address)


async def test_an_id_is_for_ever(system):
    first = await system.spawn(Counter, name="a")
    id_ = ref(first).id
    assert await system.ask(id_, "add", 1) == 1
    assert system.info(id_).address == "a"
    await system.stop(id_)
    await system.spawn(Counter, name="a")
    for verb in (system.info, system.ref, system.state):
        with pytest.raises(NotFound):
            verb(id_)
    with pytest.raises(NotFound):
        await system.ask(id_, "add", 1)


async def test_ids_differ_between_systems():
    async with ActorSystem() as one, ActorSystem() as two:
        assert ref(await one.spawn(Counter)).id != ref(await two.spawn(Counter)).id


async def test_what_is_not_there_says_what_may_have_been_meant(system):
    with pytest.raises(NotFound, match="no actor 'x' here"):
        system.ref("x")
    await system.spawn(Counter, name="counter")
    with pytest.raises(NotFound, match="did you mean 'counter'") as found:
        await system.tell("conter", "add", 1)
    assert not found.value.started


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**", ["chat", "chat/a", "chat/rooms/b", "chat/rooms/deep/c", "other"]),
        ("*", ["chat", "other"]),
        ("chat/*", ["chat/a"]),
        ("chat/**", ["chat/a", "chat/rooms/b", "chat/rooms/deep/c"]),
        ("chat/**/c", ["chat/rooms/deep/c"]),
        ("**/b", ["chat/rooms/b"]),
        ("*/rooms/?", ["chat/rooms/b"]),
        ("other", ["other"]),
        ("c*", ["chat"]),
        ("nothing/**", []),
        ("[a-z]", []),
        ("chat.a", []),
    ],
)
async def test_patterns(system, pattern, names):
    for name in ["chat", "chat/a", "chat/rooms/b", "chat/rooms/deep/c", "other"]:
        await system.spawn(Counter, name=name)
    assert [info.address for info in system.list(pattern)] == names
    assert not matches("a/**/b", "ab")
