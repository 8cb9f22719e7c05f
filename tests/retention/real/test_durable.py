"""A retained stream in a file: what is acknowledged, or was seen by a follower, is there after any end of its program."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

import penstock
from penstock.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    ConnectionLost,
    DataLoss,
    FailedPrecondition,
    NotFound,
    OutOfRange,
    Unavailable,
    WouldBlock,
)
from penstock.history import History
from penstock.retention import _streams
from penstock.retention.durable import _file, _store
from tests.house._source import ROOT
from tests.interop.kit import PATIENCE_S, until
from tests.retention.kit import Token, taken


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "streams.db"


def run(main, *arguments):
    """Run a program of its own event loop: a restart, as far as the file can tell."""
    return asyncio.run(main(*arguments))


def store(path: Path) -> _store.Store:
    return _streams.streams_here().open(path).store


# ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_is_there_after_the_program_has_ended(path):
    async def first() -> None:
        stream = penstock.retained("a", durable=path)
        await stream.send_many(range(1000))
        async with penstock.retained("ended", durable=path) as ended:
            await ended.send(Token("x", 1))
        failed = penstock.retained("failed", durable=path)
        failed.fail(NotFound("no such prompt", {"prompt": 5}))
        stopped = penstock.retained("stopped", durable=path)
        await stopped.stop()

    async def second() -> None:
        stream = penstock.retained("a", durable=path)
        assert (stream.oldest, stream.next_offset) == (0, 1000)
        await stream.send(1000)
        follower = stream.follow()
        assert await taken(follower, 1001) == [*range(1001)]
        assert [item async for item in penstock.retained("ended")] == [{"text": "x", "place": 1}]
        assert [item async for item in penstock.retained("ended").follow(type=Token)] == [Token("x", 1)]
        with pytest.raises(NotFound, match="no such prompt") as caught:
            await penstock.retained("failed").follow().receive()
        assert caught.value.details == {"prompt": 5}
        with pytest.raises(Cancelled, match="was stopped"):
            await penstock.retained("stopped").follow().receive()

    run(first)
    run(second)


def test_a_generator_goes_on_at_the_next_offset(path):
    async def numbers(offset: int):
        for number in range(offset, 100):
            yield number
            if number in (30, 60):
                await asyncio.sleep(100)

    async def part(last: int) -> None:
        follower = penstock.retained("a", numbers, durable=path).follow()
        assert await taken(follower, last + 1) == [*range(last + 1)]

    for last in (30, 60, 99):
        run(part, last)

    async def rest() -> None:
        assert [item async for item in penstock.retained("a", numbers, durable=path)] == [*range(100)]

    run(rest)


async def test_an_item_that_was_sent_is_in_the_file(path):
    stream = penstock.retained("a", durable=path)
    for number in range(5):
        await stream.send(number)
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT next FROM streams").fetchone() == (number + 1,)
        connection.close()
    await stream.aclose()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT state FROM streams").fetchone() == ("ended",)
    connection.close()


async def test_a_follower_sees_no_item_that_is_not_in_the_file(path, monkeypatch):
    """Else a restart could give its offset to another item."""
    stream = penstock.retained("a", durable=path)
    await stream.send(0)
    follower = stream.follow()
    assert await follower.receive() == 0
    held = store(path)
    held._under_way = asyncio.get_running_loop().create_future()  # a write that takes long
    stream.send_nowait(1)
    stream.close()
    with pytest.raises(WouldBlock):
        follower.receive_nowait()
    assert stream.next_offset == 2
    held._under_way = None
    held._write()
    assert [item async for item in follower] == [1]


async def test_senders_that_come_together_are_written_together(path, monkeypatch):
    writes = []
    stream = penstock.retained("a", durable=path)
    await stream.send(0)
    file = store(path).file
    write = file.write
    monkeypatch.setattr(file, "write", lambda changes: (writes.append(changes), write(changes))[1])
    await asyncio.gather(*(stream.send(number) for number in range(500)))
    assert len(writes) <= 10
    assert sum(len(change.items) for changes in writes for change in changes) == 500


async def test_followers_read_the_file_where_the_memory_has_gone(path, monkeypatch):
    monkeypatch.setattr(_store, "TAIL_ITEMS", 10)
    monkeypatch.setattr("penstock.retention.durable._kept.TAIL_ITEMS", 10)
    monkeypatch.setattr(_file, "READ_ROWS", 3)
    stream = penstock.retained("a", durable=path)
    for number in range(0, 3000, 100):
        await stream.send_many(range(number, number + 100))
    assert stream._kept.log.first == 2990
    for since in (0, 1, 99, 100, 250, 2989, 2990, 2999):
        assert await taken(stream.follow(since), 3000 - since) == [*range(since, 3000)]


async def test_a_read_that_is_cancelled_loses_nothing(path, monkeypatch):
    monkeypatch.setattr("penstock.retention.durable._kept.TAIL_ITEMS", 10)
    stream = penstock.retained("a", durable=path)
    await stream.send_many(range(1000))
    follower, got = stream.follow(), []
    while len(got) < 1000:
        reading = asyncio.ensure_future(follower.receive())
        await asyncio.sleep(0)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            got.append(await reading)
        got += await taken(follower, 200 if len(got) < 800 else 1000 - len(got))
    assert got == [*range(1000)]


async def test_the_limits_hold_in_the_file(path):
    stream = penstock.retained("a", durable=path, max_items=100)
    for number in range(0, 1000, 10):
        await stream.send_many(range(number, number + 10))
    assert 84 <= stream.next_offset - stream.oldest <= 100
    with pytest.raises(OutOfRange) as caught:
        await stream.follow().receive()
    oldest = caught.value.details["oldest"]
    assert await taken(stream.follow(oldest), 1000 - oldest) == [*range(oldest, 1000)]
    assert rows(path, "SELECT sum(count) FROM blocks") == [(1000 - oldest,)]


def rows(path: Path, question: str) -> list:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def test_streams_of_an_earlier_run_without_a_writer_are_in_the_log(path, monkeypatch, caplog):
    monkeypatch.setattr(_streams, "UNCLAIMED_S", 0.01)

    async def first() -> None:
        for name in ("claimed", "forgotten", "ended"):
            await penstock.retained(name, durable=path).send(1)
        await penstock.retained("ended").aclose()

    async def second() -> None:
        penstock.retained("claimed", durable=path)
        await until(lambda: caplog.messages, "it is in the log")

    run(first)
    run(second)
    (message,) = caplog.messages
    assert message.startswith(f"1 streams of {path} were open when its last program ended")
    assert "'forgotten'" in message


async def test_a_large_stream_leaves_the_file_in_parts_between_the_commits_of_others(path, monkeypatch):
    monkeypatch.setattr(_file, "FORGOTTEN_ROWS", 3)
    old = penstock.retained("a", durable=path, ttl_s=0.01)
    for number in range(0, 20_000, 1000):
        await old.send_many(range(number, number + 1000))
    blocks = rows(path, "SELECT count(*) FROM blocks")[0][0]
    await old.aclose()
    await until(lambda: "a" not in _streams.streams_here().named, "it is forgotten")
    new = penstock.retained("a", durable=path)  # its name is free at once
    left = [blocks]
    while left[-1]:
        await new.send(len(left))
        left.append(rows(path, "SELECT count(*) FROM blocks WHERE stream = 1")[0][0])
    assert len(left) >= blocks // 6
    assert left == sorted(left, reverse=True)
    assert await taken(new.follow(), len(left) - 1) == [*range(1, len(left))]
    assert rows(path, "SELECT count(*) FROM streams") == [(1,)]


def test_a_program_that_ends_while_a_stream_leaves_its_file_leaves_nothing_of_it(path, monkeypatch):
    async def first() -> None:
        await penstock.retained("a", durable=path).send_many(range(20_000))
        await penstock.retained("b", durable=path).send(1)

    async def names() -> list[str]:
        return [row.name for row in store(path).rows]

    run(first)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE streams SET name = NULL WHERE name = 'a'")
    connection.close()
    monkeypatch.setattr(_file, "FORGOTTEN_ROWS", 3)
    assert run(names) == ["b"]
    assert rows(path, "SELECT count(*) FROM blocks") == [(1,)]


def test_a_stream_that_has_ended_is_forgotten_after_its_time_also_while_no_program_runs(path, monkeypatch):
    async def first() -> None:
        async with penstock.retained("a", durable=path, ttl_s=0.1) as stream:
            await stream.send(1)
        async with penstock.retained("b", durable=path, ttl_s=1000) as stream:
            await stream.send(2)

    async def second() -> None:
        opened = store(path)
        await until(lambda: "a" not in _streams.streams_here().named, "the stream is forgotten")
        assert [item async for item in penstock.retained("b")] == [2]
        await until(lambda: not opened._dirty and opened._under_way is None, "the file is written")
        assert rows(path, "SELECT name FROM streams") == [("b",)]
        assert rows(path, "SELECT count(*) FROM blocks") == [(1,)]
        again = penstock.retained("a", durable=path)
        await again.send(5)
        assert rows(path, "SELECT name, next FROM streams ORDER BY name") == [("a", 1), ("b", 1)]

    run(first)
    run(second)


def test_a_stream_that_nothing_goes_on_with_fails_after_its_time(path, caplog):
    async def first() -> None:
        await penstock.retained("a", durable=path, ttl_s=0.05).send(1)
        await penstock.retained("b", durable=path, ttl_s=0.05).send(1)

    async def second() -> None:
        goes_on = penstock.retained("b", durable=path)
        follower = _streams.streams_here().find("a").follow()
        assert await follower.receive() == 1
        with pytest.raises(Aborted, match="the program that wrote stream 'a' ended before it did"):
            await follower.receive()
        await asyncio.sleep(0.05)
        await goes_on.send(2)

    run(first)
    run(second)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_of_another_kind_is_refused(tmp_path):
    async with History(tmp_path / "history.db"):
        pass
    (tmp_path / "text").write_text("x" * 5000)
    with pytest.raises(FailedPrecondition, match="give the streams a file of their own"):
        penstock.retained("a", durable=tmp_path / "history.db")
    with pytest.raises(FailedPrecondition, match="another format"):
        penstock.retained("a", durable=tmp_path / "text")
    with pytest.raises(FailedPrecondition, match="directory"):
        penstock.retained("a", durable=tmp_path)
    with pytest.raises(Unavailable, match="its folder does not exist"):
        penstock.retained("a", durable=tmp_path / "none" / "streams.db")
    assert not _streams.streams_here().named


async def test_a_file_has_one_program(path):
    program = (
        "import asyncio, penstock, sys\nasync def main(): penstock.retained('a', durable=sys.argv[1])\nasyncio.run(main())"
    )
    await penstock.retained("a", durable=path).send(1)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert f"is being written by process {os.getpid()}" in done.stderr


async def test_it_says_what_survives(path):
    described = await penstock.retained("a", durable=path).follow().describe()
    assert described.kept.startswith("in a file: an item is written before it is acknowledged or read, and survives kill -9")


async def test_a_name_is_in_one_place(path):
    await penstock.retained("a", durable=path).send(1)
    assert penstock.retained("a") is penstock.retained("a", durable=path)
    penstock.retained("b")
    with pytest.raises(AlreadyExists, match="stream 'b' is kept already, but not in"):
        penstock.retained("b", durable=path)


def test_a_file_with_a_name_that_is_in_use_is_refused_whole(path):
    async def first() -> None:
        await penstock.retained("a", durable=path).send(1)
        await penstock.retained("b", durable=path).send(1)

    async def second() -> None:
        penstock.retained("b")
        with pytest.raises(AlreadyExists, match="keeps another stream of that name"):
            penstock.retained("c", durable=path)
        assert list(_streams.streams_here().named) == ["b"]

    run(first)
    run(second)


async def test_a_disk_that_is_full_stops_the_writers_and_loses_nothing(path, monkeypatch, caplog):
    monkeypatch.setattr(_store, "WRITTEN_AGAIN_S", 0.02)
    monkeypatch.setattr(_store, "WAITING_BYTES", 3000)
    stream = penstock.retained("a", durable=path)
    await stream.send(0)
    file = store(path).file
    write = file.write

    def full(_changes):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(file, "write", full)
    follower = stream.follow(1)
    sending = asyncio.ensure_future(stream.send_many(range(1, 200)))
    await until(lambda: store(path).problem is not None, "the problem is noted")
    await until(lambda: store(path).full, "there is no more room")
    with pytest.raises(WouldBlock):
        stream.send_nowait(-1)
    assert not sending.done()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await stream.send(-1)
    monkeypatch.setattr(file, "write", write)
    await sending
    got = [item for item in await taken(follower, stream.next_offset - 1) if item >= 0]
    assert got == [*range(1, 200)]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert store(path).waiting == 0


async def test_a_damaged_block_is_an_error_of_the_follower(path, monkeypatch):
    monkeypatch.setattr("penstock.retention.durable._kept.TAIL_ITEMS", 1)
    stream = penstock.retained("a", durable=path)
    await stream.send_many(range(600))
    await stream.send(600)
    connection = sqlite3.connect(path)
    (first,), *_others = connection.execute("SELECT first FROM blocks WHERE first > 0 ORDER BY first")
    connection.execute("UPDATE blocks SET items = x'00' WHERE first = ?", (first,))
    connection.commit()
    follower = stream.follow()
    assert await taken(follower, first) == [*range(first)]
    with pytest.raises(DataLoss, match=f"damaged at item {first}"):
        await follower.receive()
    connection.execute("DELETE FROM blocks WHERE first >= ?", (first,))
    connection.commit()
    connection.close()
    with pytest.raises(DataLoss, match=f"item {first} is missing"):
        await stream.follow(first).receive()


async def test_a_closed_file_is_told_to_all_that_wait(path):
    stream = penstock.retained("a", durable=path)
    follower = stream.follow()
    waiting = asyncio.ensure_future(follower.receive())
    await asyncio.sleep(0.01)
    await store(path).aclose()
    for wait in (waiting, stream.send(1), stream.follow().receive()):
        with pytest.raises(Unavailable, match="is closed"):
            await wait


async def test_a_block_that_was_removed_while_it_was_read_is_out_of_range(path, monkeypatch):
    """The thread has committed, and the loop does not know it yet."""
    stream = penstock.retained("a", durable=path, max_items=2000)
    for _ in range(20):
        await stream.send_many(range(100))
    assert stream._kept.log.first > 0
    file = store(path).file
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM blocks WHERE first < 500")
    connection.execute("UPDATE streams SET oldest = 500")
    connection.commit()
    connection.close()
    with pytest.raises(OutOfRange) as caught:
        await stream.follow().receive()
    assert caught.value.details["oldest"] == 500
    assert await stream.follow(500).receive() == 0
    assert file.read(1, 500)[1] == 500


async def test_a_block_that_is_missing_is_never_jumped_over(path, monkeypatch):
    monkeypatch.setattr("penstock.retention.durable._kept.TAIL_ITEMS", 1)
    stream = penstock.retained("a", durable=path)
    for number in range(0, 100, 10):
        await stream.send_many(range(number, number + 10))
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM blocks WHERE first = 30")
    connection.commit()
    connection.close()
    follower = stream.follow()
    assert await taken(follower, 30) == [*range(30)]
    with pytest.raises(DataLoss, match="item 30 is missing"):
        await follower.receive()
    assert await taken(stream.follow(45), 5) == [*range(45, 50)]


@pytest.mark.parametrize("name", ["", "-wal"])
async def test_a_file_that_was_removed_acknowledges_nothing(path, monkeypatch, name, caplog):
    monkeypatch.setattr(_store, "WRITTEN_AGAIN_S", 0.02)
    stream = penstock.retained("a", durable=path)
    await stream.send(0)
    there = f"{path}{name}"
    os.rename(there, f"{there}-aside")  # noqa: PTH104 - blocking is what this test wants
    sending = asyncio.ensure_future(stream.send(1))
    await until(lambda: store(path).problem is not None, "the problem is noted")
    assert "was removed or renamed" in store(path).problem
    assert not sending.done()
    os.rename(f"{there}-aside", there)  # noqa: PTH104
    await sending
    assert rows(path, "SELECT next FROM streams") == [(2,)]


async def test_a_change_that_was_written_is_not_written_twice(path):
    """The file was moved away in the middle of a commit, and put back: the same change is tried again."""
    stream = penstock.retained("a", durable=path)
    await stream.send(0)
    file, changes = store(path).file, []
    write = file.write

    def twice(given):
        changes.extend(given)
        write(given)
        return write(given)

    file.write = twice
    await stream.send_many(range(1, 5))
    assert rows(path, "SELECT next, size FROM streams") == [(5, 5 * 129)]
    assert await taken(stream.follow(), 5) == [*range(5)]


async def test_a_stop_is_in_the_file_when_it_returns(path):
    stream = penstock.retained("a", durable=path)
    await stream.stop()
    assert rows(path, "SELECT state FROM streams") == [("cancelled",)]


def test_a_writer_that_swallows_the_end_of_its_loop_ends_nothing(path):
    async def numbers(offset: int):
        try:
            for number in range(offset, 5):
                yield number
                if number == 2 and not offset:
                    await asyncio.sleep(100)
        except asyncio.CancelledError:
            return

    async def first() -> None:
        follower = penstock.retained("a", numbers, durable=path).follow()
        assert await taken(follower, 3) == [0, 1, 2]

    async def second() -> None:
        assert [item async for item in penstock.retained("a", numbers, durable=path)] == [0, 1, 2, 3, 4]

    run(first)
    run(second)


async def test_a_change_that_cannot_be_given_to_the_thread_stays(path, monkeypatch, caplog):
    monkeypatch.setattr(_store, "WRITTEN_AGAIN_S", 0.02)
    stream = penstock.retained("a", durable=path)
    await stream.send(0)
    held, loop = store(path), asyncio.get_running_loop()
    monkeypatch.setattr(held, "_loop", Refusing(loop))
    sending = asyncio.ensure_future(stream.send(1))
    await until(lambda: held.problem is not None, "the problem is noted")
    held._loop = loop
    await sending
    assert await taken(stream.follow(), 2) == [0, 1]


class Refusing:
    """An event loop that gives nothing to a thread, as at the end of the interpreter."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_soon, self.call_later = loop.call_soon, loop.call_later

    def run_in_executor(self, *_arguments: object) -> None:
        raise RuntimeError("cannot schedule new futures")


def test_the_end_of_the_loop_begins_no_stream(path):
    errors: list[BaseException] = []

    async def late():
        try:
            yield 1
        finally:
            try:
                penstock.retained("b", durable=path)
            except Unavailable as error:
                errors.append(error)

    async def main() -> None:
        penstock.retained("a", durable=path)
        loop = asyncio.get_running_loop()
        loop._kept_by_test = items = late()
        await anext(items)

    for _ in range(2):
        run(main)
    assert len(errors) <= 2


async def test_a_file_has_one_name(path, tmp_path):
    await penstock.retained("a", durable=path).send(1)
    (tmp_path / "link.db").symlink_to(path)
    assert penstock.retained("a", durable=tmp_path / "link.db") is penstock.retained("a")
    other = tmp_path / "other.db"
    other.touch()
    os.link(other, tmp_path / "hard.db")
    with pytest.raises(FailedPrecondition, match="a second name, a hard link"):
        penstock.retained("b", durable=other)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE streams SET outcome = x'c1'",
        "UPDATE streams SET ttl_s = NULL",
        "UPDATE streams SET state = 'other'",
        "UPDATE streams SET id = NULL",
        "DROP TABLE streams",
    ],
)
def test_a_damaged_file_is_refused_whole_and_let_go_of(path, damage):
    async def first() -> None:
        await penstock.retained("a", durable=path).send(1)

    async def second() -> None:
        for _ in range(2):
            with pytest.raises(DataLoss, match="damaged"):
                penstock.retained("a", durable=path)
        assert not _streams.streams_here().named

    run(first)
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()
    run(second)


async def test_streams_in_a_file_stay_there_when_memory_is_short(path, monkeypatch):
    monkeypatch.setattr(_streams, "RETAINED_BYTES_MAX", 10_000)
    monkeypatch.setattr(_streams, "RETAINED_MAX", 3)
    async with penstock.retained("kept", durable=path) as kept:
        await kept.send(bytes(5000))
    stream = penstock.retained("a")
    await stream.send(bytes(6000))
    assert await kept.follow().receive() == bytes(5000)
    penstock.retained("b")
    with pytest.raises(penstock.ResourceExhausted):
        penstock.retained("c")
    assert rows(path, "SELECT count(*) FROM streams") == [(1,)]


def test_a_writer_that_was_cancelled_is_followed_by_another(path):
    async def numbers(offset: int):
        for number in range(offset, 5):
            yield number
            await asyncio.sleep(0.01 if offset else 100)

    async def main() -> None:
        stream = penstock.retained("a", numbers, durable=path)
        follower = stream.follow()
        assert await follower.receive() == 0
        stream._writer.cancel()
        await asyncio.sleep(0.01)
        assert penstock.retained("a", numbers, durable=path) is stream
        assert [item async for item in follower] == [1, 2, 3, 4]

    run(main)


# ── restarts of a server ──────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def program(path: Path, port: str = "0", *options: str):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.retention.real.program",
        str(path),
        port,
        *options,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            url = (await process.stdout.readline()).decode().strip()
        yield process, url
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()


@pytest.mark.processes
async def test_followers_go_on_after_kill_9_of_their_server(path):
    """What one of them has seen, each of them sees: nothing is lost, doubled, or another item under the same offset."""
    again = penstock.Reconnect(first_s=0.01, max_s=0.05)
    got: list[list[int]] = [[] for _ in range(20)]

    async def follow(url: str, numbers: list[int], since: int) -> None:
        async with penstock.connect(url, reconnect=again) as peer:
            async for batch in peer.follow("numbers", since=since).batches():
                numbers += batch

    async with asyncio.TaskGroup() as group:
        async with program(path) as (process, url):
            tasks = [group.create_task(follow(url, got[0], 0))]
            await until(lambda: len(got[0]) >= len(got), "the stream has the items at which the others begin")
            tasks += [group.create_task(follow(url, got[at], at)) for at in range(1, len(got))]
            await until(lambda: all(len(numbers) > 100 for numbers in got), "all follow")
            process.kill()
            await process.wait()
        for _ in range(3):
            seen = max(map(len, got))
            async with program(path, url.rpartition(":")[2]) as (process, _url):
                await until(lambda limit=seen + 200: all(len(numbers) > limit for numbers in got), "all go on")
                process.kill()
                await process.wait()
        for task in tasks:
            task.cancel()
    for at, numbers in enumerate(got):
        assert numbers == [*range(at, at + len(numbers))]


@pytest.mark.processes
async def test_a_rolling_restart_of_two_programs_loses_nothing(path):
    """Each waits for the file of the one before; the followers move by themselves."""
    ports = [free_port(), free_port()]
    urls = [f"tcp://127.0.0.1:{port}" for port in ports]
    got: list[list[int]] = [[] for _ in range(20)]

    async def follow(numbers: list[int]) -> None:
        async with penstock.connect(*urls, reconnect=penstock.Reconnect(first_s=0.01, max_s=0.05)) as peer:
            async for batch in peer.follow("numbers").batches():
                numbers += batch

    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        process, _url = await stack.enter_async_context(program(path, str(ports[0])))
        tasks = [group.create_task(follow(numbers)) for numbers in got]
        await until(lambda: all(len(numbers) > 50 for numbers in got), "all follow")
        for port in (ports[1], ports[0], ports[1]):
            after, waiting = await stack.enter_async_context(program(path, str(port)))
            assert waiting == "waiting"
            process.terminate()
            assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
            process, seen = after, max(map(len, got))
            await until(lambda limit=seen + 50: all(len(numbers) > limit for numbers in got), "all go on")
        for task in tasks:
            task.cancel()
    for numbers in got:
        assert numbers == [*range(len(numbers))]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.processes
async def test_what_was_acknowledged_is_there_after_kill_9(path):
    acknowledged: dict[int, int] = {}
    async with program(path) as (process, url), penstock.connect(url, reconnect=None) as peer:

        async def record(first: int) -> None:
            with suppress(ConnectionLost):
                for value in range(first, first + 10_000):
                    acknowledged[value] = await peer.call("Sensor/record", value)

        async with asyncio.TaskGroup() as group:
            for first in range(0, 100_000, 10_000):
                group.create_task(record(first))
            await until(lambda: len(acknowledged) > 500, "values are recorded")
            process.kill()
            await process.wait()
    async with program(path) as (_process, url), penstock.connect(url) as peer:
        kept: dict[int, int] = {}
        follower = peer.follow("sensor")
        async with asyncio.timeout(PATIENCE_S):
            while len(acknowledged.keys() - kept.keys()):
                offset = follower.offset
                kept[await follower.receive()] = offset
    assert {value: kept[value] for value in acknowledged} == kept | acknowledged
