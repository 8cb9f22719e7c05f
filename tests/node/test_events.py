"""What a query finds: pages of any number, the last ones, what comes afterwards without gap or doubling, the end."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import Unavailable
from penstock.history import History
from penstock.node import _events
from penstock.node._lookup import RecordedActor
from penstock.node._types import EventQuery


@pytest.fixture
async def history(tmp_path):
    async with History(tmp_path / "h.db") as history:
        yield history


@pytest.fixture
def ended():
    return asyncio.Event()


def record(history, numbers, actor="a"):
    for number in numbers:
        history.record(actor, "log", {"n": number, "text": f"mark-{number}"})


async def found(history, ended, **query):
    pages = _events.events_of(history, RecordedActor("a"), EventQuery("a", **query), ended)
    return [event.data["n"] async for page in pages for event in page]


async def test_more_than_a_page_is_found_whole(history, ended, monkeypatch):
    monkeypatch.setattr(_events, "ANSWER_EVENTS_MAX", 3)
    record(history, range(10))
    assert await found(history, ended) == list(range(10))


async def test_the_last_ones_are_found_in_order(history, ended):
    record(history, range(10))
    assert await found(history, ended, last=3) == [7, 8, 9]
    assert await found(history, ended, last=0) == []


async def test_the_last_ones_are_as_many_as_were_asked_for(history, ended, monkeypatch):
    """FAULTS F4: `penstock events -n` showed 10,000 events at most, and did not say so."""
    monkeypatch.setattr(_events, "EVENTS_MAX", 4)
    monkeypatch.setattr(_events, "ANSWER_EVENTS_MAX", 3)
    record(history, range(30))
    for count in (4, 5, 11, 12, 29, 30, 31, 100):
        assert await found(history, ended, last=count) == list(range(30))[-count:]
    assert await found(history, ended, last=11, until=20) == list(range(9, 20))
    assert await found(history, ended, last=11, since=15) == list(range(19, 30))
    assert await found(history, ended, last=11, since=25) == list(range(25, 30))
    assert await found(history, ended, last=11, search="nothing") == []


async def test_offsets_and_texts_bound_what_is_found(history, ended):
    record(history, range(10))
    assert await found(history, ended, since=2, until=5) == [2, 3, 4]
    assert await found(history, ended, search="MARK-7") == [7]
    assert await found(history, ended, kinds=["error"]) == []


@pytest.mark.parametrize(("query", "first"), [({}, 0), ({"last": 2}, 3), ({"last": 0}, 5), ({"since": 4}, 4)])
async def test_what_follows_has_no_gap_and_nothing_twice(history, ended, query, first):
    record(history, range(5))
    seen, begun = [], asyncio.Event()

    async def follow():
        async for page in _events.events_of(history, RecordedActor("a"), EventQuery("a", follow=True, **query), ended):
            seen.extend(event.data["n"] for event in page)
            begun.set()

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)  # what is there is what was recorded by now
    if query.get("last"):
        await begun.wait()  # the last ones are those of the moment when they are read
    for number in range(5, 30):
        record(history, [number])
        record(history, [number], actor="another")
        await asyncio.sleep(0)
    ended.set()
    with pytest.raises(Unavailable, match="the node has stopped"):
        await following
    assert seen == list(range(first, 30))


async def test_the_end_brings_what_was_recorded_until_then(history, ended):
    pages = _events.events_of(history, RecordedActor("a"), EventQuery("a", follow=True, last=0), ended)
    waiting = asyncio.ensure_future(anext(pages))
    await asyncio.sleep(0)
    record(history, [1])
    ended.set()
    assert [event.data["n"] for event in await waiting] == [1]
    with pytest.raises(Unavailable):
        await anext(pages)


async def test_who_stops_following_leaves_nothing_behind(history, ended):
    pages = _events.events_of(history, RecordedActor("a"), EventQuery("a", follow=True), ended)
    record(history, [1])
    await anext(pages)
    waiting = asyncio.ensure_future(anext(pages))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await pages.aclose()


async def test_an_id_finds_the_events_of_that_actor_alone(history, ended):
    """FAULTS D9: a name has the events of all actors that ever had it, an id those of one."""
    for number in range(3):
        history.record("a", "spawned", {"id": f"{number}-0"})
        history.record("another", "spawned", {"id": f"{number}-1"})
        record(history, [number, number + 10])
    second, third = RecordedActor("a", 4), RecordedActor("a", 8)

    async def numbers(recorded, **query):
        pages = _events.events_of(history, recorded, EventQuery("a", kinds=["log"], **query), ended)
        return [event.data["n"] async for page in pages for event in page]

    assert await numbers(RecordedActor("a")) == [0, 10, 1, 11, 2, 12]
    assert await numbers(second) == await numbers(second, follow=True) == [1, 11]
    assert await numbers(second, last=1) == [11]
    assert await numbers(second, since=7) == [11]
    assert await numbers(third) == [2, 12]


async def test_what_follows_an_id_ends_with_the_next_actor_of_its_name(history, ended):
    """FAULTS D9: also when the events that begin an actor are not asked for."""
    history.record("a", "spawned", {"id": "0-0"})
    record(history, [1])
    seen = []

    async def follow():
        async for page in _events.events_of(history, RecordedActor("a", 0), EventQuery("a", kinds=["log"], follow=True), ended):
            seen.extend(event.data["n"] for event in page)
            if seen == [1]:
                record(history, [2])
                history.record("a", "spawned", {"id": "1-0"})
                record(history, [3])

    await follow()
    assert seen == [1, 2]
