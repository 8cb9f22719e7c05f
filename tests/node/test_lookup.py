"""Which actor is meant, now and in the history."""

from __future__ import annotations

import itertools

import pytest

import penstock
from penstock.errors import InvalidArgument, NotFound
from penstock.history import History
from penstock.node._lookup import find, find_recorded
from tests.node.kit import Counter


@pytest.fixture
async def system():
    async with penstock.ActorSystem() as system:
        yield system


async def test_an_actor_is_found_by_name_by_id_and_by_the_beginning_of_its_id(system):
    await system.spawn(Counter, name="rooms/counter")
    info = system.info("rooms/counter")
    for name in ("rooms/counter", info.id, info.id[:4]):
        assert find(system, name).id == info.id


async def test_a_stopped_actor_is_said_to_have_stopped_and_why(system):
    """FAULTS F9: also by the commands, by name and by id."""
    counter = await system.spawn(Counter, name="counter")
    await system.stop("counter")
    for name in ("counter", penstock.ref(counter).id):
        with pytest.raises(NotFound, match=f"no actor '{name}'; it stopped at .* UTC: it was stopped"):
            find(system, name)


async def test_a_beginning_that_several_ids_have_is_refused_with_whose_they_are(system):
    system._host._numbers = itertools.count(0x1230)
    for name in ("one", "two"):
        await system.spawn(Counter, name=name)
    with pytest.raises(
        InvalidArgument, match=r"2 actors have an id that begins with .*: .*\(one\), .*\(two\); write more of the id"
    ):
        find(system, "123")


async def test_the_whole_number_of_an_id_is_not_the_beginning_of_another(system):
    system._host._numbers = itertools.count(1)
    for number in range(0x11):
        await system.spawn(Counter, name=f"c{number}")
    assert sum(info.id.startswith("1") for info in system.list()) > 1
    assert find(system, "1").address == "c0"


async def test_what_is_not_there_is_told_with_what_may_be_meant(system):
    with pytest.raises(NotFound, match="no actor 'counter'; no actor runs; start one with `penstock start MANIFEST`"):
        find(system, "counter")
    await system.spawn(Counter, name="counter")
    with pytest.raises(NotFound, match=r"no actor 'conter'; did you mean 'counter'\?"):
        find(system, "conter")
    with pytest.raises(NotFound):
        find(system, "")


async def test_in_the_history_an_actor_that_has_stopped_is_found_too(tmp_path):
    async with History(tmp_path / "h.db") as history, penstock.ActorSystem(tap=history) as system:
        await system.spawn(Counter, name="counter")
        actor = system.info("counter").id
        await system.stop("counter")
        found = [await find_recorded(system, history, name) for name in ("counter", actor, "**")]
        assert found == [("counter", None), ("counter", 0), (None, None)]
        for name in ("nobody", ""):
            with pytest.raises(NotFound):
                await find_recorded(system, history, name)


async def test_an_id_means_one_actor_among_those_that_had_its_name(tmp_path):
    """FAULTS D9: `penstock events ID` and `replay ID` are about that actor."""
    async with History(tmp_path / "h.db") as history, penstock.ActorSystem(tap=history) as system:
        ids = []
        for _ in range(2):
            await system.spawn(Counter, name="counter")
            ids.append(system.info("counter").id)
            await system.stop("counter")
        await system.spawn(Counter, name="counter")
        spawned = [event.offset for event in await history.events("counter", kinds=["spawned"])]
        for at, actor in enumerate([*ids, system.info("counter").id]):
            recorded = await find_recorded(system, history, actor)
            assert recorded == ("counter", spawned[at])
            assert await recorded.end(history) == (spawned[at + 1] if at < 2 else None)
