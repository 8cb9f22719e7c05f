"""What is recorded can be asked for, in order and in pages; the life of a history; retention."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import FailedPrecondition, InvalidArgument, OutOfRange, Unavailable
from penstock.history import EVENTS_MAX, History, _history
from penstock.history._event import EVENT_BYTES_MAX
from penstock.history._queue import BLOCK_EVENTS
from penstock.observe import Tap
from tests.history.kit import ask, blocks, fill, made, numbers, rest


async def test_it_is_a_tap(path):
    tap: Tap = History(path)
    assert not tap.full


async def test_events_come_back_as_they_were_recorded(path):
    async with History(path) as history:
        history.record("counter", "message", {"n": 1, "args": [2], "sender": None})
        event, *others = await history.events()
    assert not others
    assert (event.offset, event.actor, event.kind, event.data) == (
        0,
        "counter",
        "message",
        {"n": 1, "args": [2], "sender": None},
    )
    assert event.time > 1_600_000_000
    assert len(bytes.fromhex(event.hash)) == 32


async def test_the_value_is_kept_as_it_was_when_it_was_recorded(path):
    async with History(path) as history:
        items = [1]
        history.record("a", "reply", {"result": items})
        items.append(2)
        assert (await history.events())[0].data == {"result": [1]}


async def test_offsets_have_no_gaps_over_blocks_and_openings(path):
    await made(path, 2, 3)
    async with History(path) as history:
        assert history.next_offset == 6
        fill(history, BLOCK_EVENTS + 10)
        assert numbers(await history.events(limit=EVENTS_MAX)) == list(range(BLOCK_EVENTS + 16))


async def test_what_is_recorded_is_committed_soon_without_a_flush(path):
    async with History(path) as history:
        fill(history, 3)
        assert history.waiting == 3
        await asyncio.sleep(0.1)
        assert history.waiting == 0


async def test_leaving_writes_what_waits(path):
    async with History(path) as history:
        fill(history, 10)
    assert ask(path, "SELECT next FROM chain") == 10


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"actor": "b"}, [1, 3, 6, 8, 11, 13]),
        ({"kinds": ["log"]}, [4, 9, 14]),
        ({"actor": "c", "kinds": ["log", "reply"]}, [4, 9, 14]),
        ({"since": 7, "until": 10}, [7, 8, 9]),
        ({"since": 13}, [13, 14]),
        ({"search": "MARK-7"}, [7]),
        ({"search": 'quote " inside'}, [4, 9, 14]),
        ({"limit": 2}, [0, 1]),
        ({"limit": 2, "last": True}, [13, 14]),
        ({"actor": "a", "limit": 3, "last": True}, [7, 10, 12]),
        ({"actor": "a", "limit": 3, "last": True, "until": 10}, [2, 5, 7]),
        ({"actor": "nobody"}, []),
        ({"since": 15}, []),
        ({"after": 0.0, "before": 1.0}, []),
        ({"after": 4e9}, []),
    ],
)
async def test_a_question_finds_what_fits(path, question, expected):
    async with History(path) as history:
        for n in range(15):
            kind = "log" if n % 5 == 4 else "message"
            text = 'a quote " inside' if kind == "log" else f"mark-{n}."
            history.record("ababc"[n % 5], kind, {"n": n, "text": text})
            if n % 4 == 3:
                await history.flush()
        assert numbers(await history.events(**question)) == expected


async def test_times_bound_a_question(path):
    async with History(path) as history:
        await blocks(history, 3, 2)
        times = [event.time for event in await history.events()]
        assert numbers(await history.events(after=times[2], before=times[4])) == [
            n for n in range(6) if times[2] <= times[n] < times[4]
        ]


@pytest.mark.parametrize("last", [False, True])
async def test_a_question_over_many_blocks_is_answered_in_full(path, last):
    async with History(path) as history:
        await blocks(history, 100, 3, actor="x")
        fill(history, 1, actor="y")
        assert numbers(await history.events("y", last=last)) == [300]
        assert len(await history.events("x", limit=300, last=last)) == 300
        assert numbers(await history.events(kinds=["message"], last=last)) == list(range(301))


@pytest.mark.parametrize("limit", [0, EVENTS_MAX + 1])
async def test_a_limit_out_of_bounds_is_refused(path, limit):
    async with History(path) as history:
        with pytest.raises(InvalidArgument, match=f"limit is {limit}"):
            await history.events(limit=limit)


async def test_the_last_events_are_those_from_an_offset_on(path):
    async with History(path) as history:
        await blocks(history, 5, 4)
        assert numbers(await history.events(since=14, limit=10, last=True)) == list(range(14, 20))
        assert numbers(await history.events(since=14, until=18, limit=3, last=True)) == [15, 16, 17]
        with pytest.raises(OutOfRange):
            await history.events(since=21, limit=3, last=True)


@pytest.mark.parametrize("last", [False, True])
async def test_without_a_limit_all_events_come_or_an_error(path, last, monkeypatch):
    """FAULTS F4: it was the first 1,000, and nothing said so."""
    monkeypatch.setattr(_history, "EVENTS_MAX", 1_500)
    async with History(path) as history:
        fill(history, 1_500)
        assert numbers(await history.events("counter", last=last)) == list(range(1_500))
        fill(history, 1)
        with pytest.raises(_history.ResourceExhausted, match=r"more than 1500 events match .*stream\(follow=False\)"):
            await history.events("counter", last=last)
        assert len(await history.events("counter", last=last, limit=1_500)) == 1_500
        assert [event.offset async for event in history.stream("counter", follow=False)] == list(range(1_501))


async def test_an_answer_is_bounded_in_bytes(path, monkeypatch):
    monkeypatch.setattr(_history, "EVENTS_BYTES_MAX", 6 * 1024 * 1024)
    async with History(path) as history:
        fill(history, 60, size=EVENT_BYTES_MAX - 500)
        with pytest.raises(_history.ResourceExhausted, match="EVENTS_BYTES_MAX"):
            await history.events()
        assert len(await history.events(limit=10)) == 10


async def test_an_offset_that_is_not_there_yet_is_out_of_range(path):
    async with History(path) as history:
        fill(history, 2)
        with pytest.raises(OutOfRange, match="next event will have offset 2"):
            await history.events(since=3)


# ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", [{"queue_events": 0}, {"on_full": "burst"}])
async def test_an_option_that_makes_no_sense_is_refused(path, options):
    with pytest.raises(ValueError, match=r"queue_events|on_full"):
        History(path, **options)


async def test_it_cannot_be_asked_while_it_is_closed(path):
    await made(path)
    with pytest.raises(Unavailable, match="not open"):
        await History(path).events()


async def test_it_can_be_opened_again_after_it_was_closed_and_not_before(path):
    history = History(path)
    async with history:
        fill(history, 1)
        with pytest.raises(FailedPrecondition, match="open already"):
            await history.__aenter__()
    async with history:
        fill(history, 1)
        assert numbers(await history.events()) == [0, 1]


async def test_what_is_recorded_after_the_end_is_counted_and_told_at_the_next_opening(path):
    history = History(path)
    async with history:
        fill(history, 1)
    fill(history, 3)
    assert history.unrecorded == 3
    async with history:
        fill(history, 1)
        kinds = [event.kind for event in await history.events()]
        await rest()
    assert kinds == ["message", "message"]
    async with History(path) as again:
        told = await again.events("")
    assert [(event.kind, event.data["events"]) for event in told] == [("unrecorded", 3)]


async def test_its_repr_says_how_it_stands(path):
    history = History(path)
    assert "closed" in repr(history)
    async with history:
        fill(history, 2)
        assert "open, 0 events, 2 waiting" in repr(history)


# ── back-pressure ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_queue_holds_actors_back_and_loses_nothing(path):
    async with History(path, queue_events=10) as history:
        for n in range(500):
            if history.full:
                assert history.waiting >= 10
                await history.room()
            history.record("a", "message", {"n": n})
        assert [event.data["n"] for event in await history.events()] == list(range(500))


async def test_a_queue_that_drops_never_holds_anybody_back_and_says_how_many(path):
    async with History(path, queue_events=10, on_full="drop") as history:
        fill(history, 100)
        assert not history.full
        await history.room()
        await history.flush()
        events = await history.events()
    assert len(events) == 11
    assert (events[10].actor, events[10].kind, events[10].data["events"]) == ("", "unrecorded", 90)


async def test_waiting_for_room_can_be_cancelled(path):
    async with History(path, queue_events=1) as history:
        fill(history, 1)
        waiting = asyncio.ensure_future(history.room())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await history.flush()
        assert not history.full


# ── retention ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_over_its_size_loses_its_oldest_events_and_still_verifies(path):
    keep = 1_000_000
    async with History(path, keep_bytes=keep) as history:
        await blocks(history, 60, 50, size=1000)
        first = (await history.events(limit=1))[0].offset
        assert 0 < first < 3000
        found = await history.verify()
        with pytest.raises(OutOfRange, match=f"the first event of the file has offset {first}") as caught:
            await history.events(since=0)
        assert caught.value.details["first"] == first
    assert (found.ok, found.events) == (True, 3000 - first)
    assert path.stat().st_size < keep * 1.2


async def test_events_over_their_age_are_removed(path, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr("penstock.history._queue.time", lambda: now)
    async with History(path, keep_days=1) as history:
        for _day in range(5):
            await blocks(history, 1, 10)
            now += 86_400.0
        assert numbers(await history.events()) == list(range(30, 50))
        assert (await history.verify()).ok
        assert len(await history.events("counter", limit=100)) == 20


async def test_the_index_of_actors_shrinks_with_retention(path):
    async with History(path, keep_bytes=300_000) as history:
        for n in range(60):
            await blocks(history, 1, 10, actor=f"actor-{n}", size=2000)
    assert ask(path, "SELECT count(*) FROM mentions") == ask(path, "SELECT count(*) FROM blocks") < 60


async def test_the_file_is_for_its_owner_only(path):
    async with History(path) as history:
        fill(history, 1)
        await history.flush()
        assert {file.name: file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == dict.fromkeys(
            ["history.db", "history.db-wal", "history.db-shm", "history.db-lock", "history.db-head"], 0
        )


async def test_people_can_read_the_file_with_the_tool_of_the_database(path):
    await made(path, 2, 2)
    assert ask(path, "SELECT group_concat(\"offset\" || ' ' || actor || ' ' || kind, ', ') FROM events") == (
        "0 counter message, 1 counter message, 2 counter message, 3 counter message"
    )
