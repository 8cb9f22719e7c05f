"""A disk that is full, a file that is locked: told, and never in the way of actors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3

import pytest

from penstock.errors import Unavailable
from penstock.history import History
from penstock.history._recorder import LINGER_S, RETRY_S, Recorder
from tests.history.kit import blocks, fill, numbers, rest


def full_disk(history, *, full):
    """Let the file grow no more, or again."""
    connection = history._recorder._writer._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0] if full else 1 << 30
    connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_full_disk_is_told_and_recording_goes_on_when_there_is_room(path, caplog):
    told = []
    async with History(path, queue_events=100, on_problem=told.append) as history:
        fill(history, 10, size=20_000)
        await history.flush()
        full_disk(history, full=True)
        fill(history, 50, size=20_000)
        with pytest.raises(Unavailable, match=r"50 events are not written.*full"):
            await history.flush()
        assert "full" in history.problem
        assert "full" in repr(history)
        fill(history, 1000, size=20)
        assert not history.full
        await history.room()
        assert history.unrecorded > 0
        full_disk(history, full=False)
        await asyncio.sleep(RETRY_S * 1.5)
        assert history.problem is None
        events = await history.events()
        (unrecorded,) = await history.events("")
        assert numbers(events) == list(range(len(events)))
        assert unrecorded.kind == "unrecorded"
        assert unrecorded.data["events"] + len(events) - 1 == 1060
        assert "full" in unrecorded.data["reason"]
        assert (await history.verify()).ok
        fill(history, 5)
        assert len(await history.events(since=len(events))) == 5
    assert len(told) == 2
    assert "full" in told[0]
    assert told[1] is None
    assert [record.levelno for record in caplog.records if record.name == "penstock.history"] == [
        logging.ERROR,
        logging.WARNING,
    ]


async def test_what_is_there_can_be_asked_and_followed_while_the_disk_is_full(path):
    async with History(path) as history:
        await blocks(history, 1, 10, size=20_000)
        full_disk(history, full=True)
        fill(history, 50, size=20_000)
        assert len(await history.events()) == 10
        source = history.stream(since=5)
        assert numbers([await source.receive() for _ in range(5)]) == [5, 6, 7, 8, 9]
        waiting = asyncio.ensure_future(source.receive())
        await rest()
        assert not waiting.done()
        full_disk(history, full=False)
        assert (await waiting).offset == 10


async def test_closing_with_a_full_disk_ends_and_says_what_is_lost(path, caplog):
    async with History(path) as history:
        fill(history, 1)
        await history.flush()
        full_disk(history, full=True)
        fill(history, 50, size=20_000)
    assert "the history ends too early: 50 events are not written" in caplog.text
    async with History(path) as again:
        assert len(await again.events()) == 1


async def test_what_could_not_be_written_before_it_was_closed_is_told_when_the_same_history_is_opened_again(path):
    history = History(path)
    async with history:
        fill(history, 1)
        await history.flush()
        full_disk(history, full=True)
        fill(history, 50, size=20_000)
    async with history:
        fill(history, 2)
        await history.flush()
    async with history:
        told = await history.events("")
        assert [event.data["events"] for event in told] == [50]
        assert len(await history.events("counter")) == 3
        assert (await history.verify()).ok


async def test_a_cancelled_closing_closes_all_the_same_and_says_what_is_lost(path, caplog):
    history = History(path)
    await history.__aenter__()
    for _ in range(5):
        fill(history, 3000)
    closing = asyncio.ensure_future(history.__aexit__(None, None, None))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert "closing it was cancelled" in caplog.text
    async with History(path) as again:
        assert (await again.verify()).ok


async def test_actors_that_wait_for_room_are_let_go_when_the_disk_is_full(path):
    async with History(path, queue_events=20) as history:
        fill(history, 1)
        await history.flush()
        full_disk(history, full=True)
        fill(history, 20, size=20_000)
        assert history.full
        await history.room()
        assert history.problem is not None
        full_disk(history, full=False)


async def test_a_file_that_another_program_holds_is_told_and_written_when_it_is_free(path):
    async with History(path) as history:
        fill(history, 1)
        await history.flush()
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            fill(history, 3)
            with pytest.raises(Unavailable, match="locked"):
                await history.flush()
            other.execute("ROLLBACK")
        await asyncio.sleep(RETRY_S * 1.5)
        assert history.problem is None
        assert len(await history.events()) == 4


async def test_a_file_that_became_read_only_is_told(path):
    async with History(path) as history:
        history._recorder._writer._connection.execute("PRAGMA query_only = 1")
        fill(history, 3)
        with pytest.raises(Unavailable, match=r"readonly|read-only|query_only"):
            await history.flush()
        history._recorder._writer._connection.execute("PRAGMA query_only = 0")
        await history.flush()
        assert len(await history.events()) == 3


async def test_a_callback_that_raises_is_logged_and_changes_nothing(path, caplog):
    def broken(problem):
        raise RuntimeError("no screen")

    async with History(path, on_problem=broken) as history:
        full_disk(history, full=True)
        fill(history, 50, size=20_000)
        with pytest.raises(Unavailable):
            await history.flush()
        full_disk(history, full=False)
        await history.flush()
    assert "no screen" in caplog.text


class Slow:
    """A writer that counts its blocks."""

    def __init__(self):
        self.sizes = []

    def append(self, block):
        self.sizes.append(len(block.lines))


@pytest.fixture
async def recorder():
    from concurrent.futures import ThreadPoolExecutor

    made = Recorder(queue_events=1000, on_full="wait", on_problem=None)
    executor = ThreadPoolExecutor(1)
    made.start(Slow(), executor, 0)
    yield made
    await made.stop()
    executor.shutdown()


async def test_events_of_a_moment_are_committed_together(recorder):
    for n in range(10):
        recorder.queue.record("a", "log", {"n": n})
        await asyncio.sleep(LINGER_S / 20)
    await asyncio.sleep(LINGER_S)
    assert recorder._writer.sizes == [10]


async def test_nothing_is_armed_while_nothing_waits(recorder):
    recorder.queue.record("a", "log", {})
    await recorder.flush()
    await rest()
    assert recorder._timer is None
    assert recorder._writing is None


async def test_a_flush_that_is_overtaken_by_the_end_says_what_is_not_written(recorder):
    def fail(block):
        raise OSError("no disk")

    recorder._writer.append = fail
    recorder.queue.record("a", "log", {})
    flushing = asyncio.ensure_future(recorder.flush())
    await recorder.stop()
    with pytest.raises(Unavailable, match="1 events are not written"):
        await flushing


async def test_a_cancelled_flush_loses_nothing(recorder):
    recorder.queue.record("a", "log", {})
    flushing = asyncio.ensure_future(recorder.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.wait([flushing])
    await recorder.flush()
    assert recorder._writer.sizes == [1]
