"""Forks, notes and deletion in a file: as one commit, after a restart, and of a file of version 1."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

import penstock
from penstock.retention import Fork, Notes, made_for_others, streams_here
from penstock.retention.durable._file import STREAMS_VERSION


@pytest.fixture
def path(tmp_path):
    return tmp_path / "streams.db"


def fork(source: penstock.Retained, name: str, before: int) -> penstock.Retained:
    streams = streams_here()
    twin = streams.fork(source, name, before)
    twin._kept.notes = Notes(content_type="application/json", fork=Fork(source._kept.id, source.name, None, 0))
    streams.lives.begin(twin._kept)
    return twin


async def items_of(stream: penstock.Retained) -> list:
    return [
        await follower.receive() for follower in [stream.follow("oldest")] for _ in range(stream.next_offset - stream.oldest)
    ]


@pytest.mark.parametrize("before", [0, 1, 255, 256, 257, 600, 1000])
def test_a_fork_has_the_items_before_its_place_whatever_its_blocks_are(path, before):
    async def make():
        source = penstock.retained("source", durable=path)
        await source.send_many(range(1000))
        twin = fork(source, "twin", before)
        await twin.flush()
        assert await items_of(twin) == list(range(before))
        await twin.send_many(["own"] * 3)

    async def look():
        penstock.retained("other", durable=path)
        twin = streams_here().find("twin")
        assert twin.next_offset == before + 3
        assert await items_of(twin) == [*range(before), "own", "own", "own"]
        await streams_here().find("source").send("more")
        assert await items_of(twin) == [*range(before), "own", "own", "own"]

    asyncio.run(make())
    asyncio.run(look())


def test_a_fork_of_items_that_are_not_written_yet_has_them(path):
    async def make():
        source = penstock.retained("source", durable=path)
        await source.flush()
        source.send_nowait("a")
        source.send_nowait("b")
        twin = fork(source, "twin", 2)
        await streams_here().lives.delete(source)
        assert await items_of(twin) == ["a", "b"]

    asyncio.run(make())


def test_a_source_that_is_deleted_keeps_its_name_and_no_items_until_the_last_fork_has_gone(path):
    async def make():
        source = penstock.retained("source", durable=path)
        await source.send_many(range(10))
        second = fork(fork(source, "first", 5), "second", 3)
        await second.flush()
        lives = streams_here().lives
        await lives.delete(source)
        await lives.delete(streams_here().find("first"))

    async def look():
        penstock.retained("other", durable=path)
        streams = streams_here()
        assert {"source", "first", "second"} < set(streams.named)
        with pytest.raises(penstock.NotFound):
            streams.find("source")
        with pytest.raises(penstock.AlreadyExists, match="was deleted"):
            penstock.retained("source", durable=path)
        second = streams.find("second")
        assert await items_of(second) == [0, 1, 2]
        await streams.lives.delete(second)
        assert set(streams.named) == {"other"}

    asyncio.run(make())
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM blocks JOIN streams ON key = stream WHERE name = 'source'").fetchone() == (0,)
    asyncio.run(look())
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name FROM streams").fetchall() == [("other",)]


def test_a_deleted_stream_whose_forks_have_gone_is_forgotten_at_the_next_start(path):
    async def make():
        await made_for_others(
            streams_here(), "s", Notes(content_type="text/plain", deleted=True), durable=path, max_items=9, max_bytes=10**6
        ).flush()

    async def look():
        penstock.retained("other", durable=path)
        assert set(streams_here().named) == {"other"}

    asyncio.run(make())
    asyncio.run(look())


def test_a_file_of_version_1_is_read_and_has_notes_then(path):
    async def make():
        await penstock.retained("old", durable=path).send_many(["a", "b"])

    async def look():
        old = penstock.retained("old", durable=path)
        assert await items_of(old) == ["a", "b"]
        old._kept.notes.seq = "7"
        await old.send("c")

    async def look_again():
        old = penstock.retained("old", durable=path)
        assert (await items_of(old), old._kept.notes.seq) == (["a", "b", "c"], "7")

    asyncio.run(make())
    with closing(sqlite3.connect(path)) as file:
        file.executescript("ALTER TABLE streams DROP COLUMN notes; PRAGMA user_version = 1;")
    asyncio.run(look())
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (STREAMS_VERSION,)
    asyncio.run(look_again())


def test_a_stream_that_others_write_waits_for_them_after_a_restart(path):
    async def make():
        notes = Notes(content_type="application/json")
        stream = made_for_others(streams_here(), "s", notes, durable=path, max_items=9, max_bytes=10**6)
        stream._kept.limits = stream._kept.limits._replace(ttl_s=0.01)
        await stream.send(1)

    async def look():
        penstock.retained("other", durable=path)
        kept = streams_here().find("s")._kept
        kept.abandon()
        assert kept.state == "open"

    asyncio.run(make())
    asyncio.run(look())


def test_the_followers_of_a_deleted_stream_are_told(path):
    async def run():
        for durable in (None, path):
            stream = penstock.retained(f"s-{durable}", durable=durable)
            await stream.send(1)
            follower, behind = stream.follow(), stream.follow()
            assert await follower.receive() == 1
            waiting = asyncio.ensure_future(follower.receive())
            await asyncio.sleep(0)
            await streams_here().lives.delete(stream)
            with pytest.raises(penstock.NotFound, match="was deleted"):
                await waiting
            with pytest.raises(penstock.NotFound, match="was deleted"):
                await behind.receive()
            with pytest.raises(penstock.StreamClosed):
                await stream.send(2)
            assert penstock.retained(f"s-{durable}", durable=durable).next_offset == 0

    asyncio.run(run())
