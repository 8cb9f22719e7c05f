"""A history has one writer; another program's file is left alone, a torn one is put aside and told."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from penstock._database import FileLock
from penstock.errors import FailedPrecondition, OutOfRange, Unavailable
from penstock.history import History, verify_file
from tests.history.kit import blocks, change, fill, made, numbers, rest


async def test_a_file_that_is_no_history_is_refused_and_left_as_it_is(path):
    path.write_text("notes " * 100)
    with pytest.raises(FailedPrecondition, match=r"is not a history: it has another format"):
        async with History(path):
            pass
    assert path.read_text() == "notes " * 100


async def test_a_database_of_another_program_is_refused(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes(text)")
    connection.close()
    with pytest.raises(FailedPrecondition, match="is a database, but not a history"):
        async with History(path):
            pass


async def test_a_history_of_another_version_is_refused(path):
    await made(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(FailedPrecondition, match="version 2; this program knows version 1"):
        async with History(path):
            pass


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path):
    folder = tmp_path / "no"
    with pytest.raises(Unavailable, match=f"cannot be opened: the folder {folder} does not exist; create it first"):
        async with History(folder / "history.db"):
            pass


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
async def test_a_torn_file_is_put_aside_and_the_new_one_says_so_and_goes_on_behind_it(path, share, caplog):
    await made(path, 30, 400)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    async with History(path) as history:
        fill(history, 3)
        torn, *others = await history.events()
        assert (torn.offset, torn.actor, torn.kind) == (12_000, "", "torn")
        assert numbers(others) == [12_001, 12_002, 12_003]
        assert (await history.verify()).ok
        with pytest.raises(OutOfRange):
            await history.stream(since=11_000).receive()
    aside = path.with_name("history.db.torn-1")
    assert torn.data["file"] == str(aside)
    assert verify_file(aside).why == "torn"
    assert "is torn" in caplog.text


async def test_a_tail_that_was_changed_stays_for_verify_to_find(path, caplog):
    await made(path, 3, 4)
    change(path, "UPDATE blocks SET hashes = randomblob(128) WHERE first = 8")
    async with History(path) as history:
        fill(history, 1)
        assert numbers(await history.events()) == list(range(13))
        assert (await history.verify())[1:4] == (8, 8, "changed")
    assert "are not those that were written; verify it" in caplog.text


async def test_a_tail_that_was_removed_stays_missing(path):
    await made(path, 3, 4)
    change(path, "DELETE FROM blocks WHERE first = 8")
    async with History(path) as history:
        fill(history, 1)
        assert (await history.verify())[1:4] == (8, 8, "missing")


async def test_a_write_ahead_log_that_is_cut_off_ends_at_a_commit(path):
    async with History(path) as history:
        for _ in range(20):
            fill(history, 50)
            await history.flush()
        wal = path.with_name("history.db-wal").read_bytes()
        base = path.read_bytes()
    copy = path.with_name("copy.db")
    copy.write_bytes(base)
    path.with_name("copy.db-wal").write_bytes(wal[: len(wal) * 2 // 3])
    found = verify_file(copy)
    assert found.ok
    assert 0 < found.events < 1000
    assert found.events % 50 == 0
    async with History(copy) as again:
        assert again.next_offset == found.events
        fill(again, 1)
        assert (await again.verify()).events == found.events + 1


async def test_a_failed_opening_leaves_the_file_free(path):
    path.write_text("notes " * 100)
    history = History(path)
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match="not a history"):
            await history.__aenter__()
    path.unlink()
    await made(path)


def test_a_second_lock_names_the_process_that_holds_it(path):
    lock = FileLock(path, "history")
    with pytest.raises(FailedPrecondition, match=f"written by process {os.getpid()}; such a file has one writer"):
        FileLock(path, "history")
    lock.release()
    FileLock(path, "history").release()


async def test_a_second_history_of_a_file_is_refused_and_the_first_goes_on(path):
    async with History(path) as history:
        with pytest.raises(FailedPrecondition, match="one writer"):
            async with History(path):
                pass
        fill(history, 3)
        assert len(await history.events()) == 3


@pytest.mark.processes
async def test_a_second_process_is_refused(path):
    program = (
        "import asyncio, sys\nfrom penstock.history import History\n"
        "async def main():\n    async with History(sys.argv[1]): pass\nasyncio.run(main())"
    )
    async with History(path):
        command = [sys.executable, "-c", program, path]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"is being written by process {os.getpid()}" in done.stderr
    await made(path)


# ── the files of the machine ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["", "-wal", "-shm", "-journal", "-lock"])
def beside(request, path):
    """The path of a history, or of a file that is opened beside it."""
    return path.with_name(path.name + request.param)


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR])
@pytest.mark.parametrize("linked", [False, True])
async def test_only_a_regular_file_is_a_history(path, beside, kind, linked):
    """FAULTS H6: a device or a FIFO is neither opened nor renamed, nor is one behind a link; no file is made beside it."""
    special = beside.with_name("special") if linked else beside
    try:
        os.mknod(special, 0o600 | kind, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"it cannot be made here: {error}")
    if linked:
        beside.symlink_to(special.name)
    before = sorted(path.parent.iterdir())
    with pytest.raises(FailedPrecondition, match=r"cannot be used for a history: it is a (FIFO|character device)"):
        async with History(path):
            pass
    if beside != path:
        path.touch()
    with pytest.raises(FailedPrecondition, match="cannot be used for a history"):
        verify_file(path)
    assert sorted(path.parent.iterdir()) == sorted({*before, path})
    assert stat.S_IFMT(special.stat().st_mode) == kind


async def test_two_links_to_one_history_have_one_lock(path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    async with History(path):
        with pytest.raises(FailedPrecondition, match="is being written by process"):
            async with History(link):
                pass


async def test_a_relative_path_means_the_folder_in_which_it_was_given(path, monkeypatch, tmp_path):
    """FAULTS F3."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    async with History(path.name) as history:
        monkeypatch.chdir(tmp_path / "elsewhere")
        fill(history, 3)
        assert numbers(await history.events()) == [0, 1, 2]
        assert (await history.verify()).ok
    async with history:
        assert history.next_offset == 3
    assert not list((tmp_path / "elsewhere").iterdir())


# ── a file that goes away while it is open ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_a_file_that_was_removed_is_noticed_at_the_next_block(path, suffix):
    """FAULTS A9: nothing is called written that is not."""
    told: list[str | None] = []
    async with History(path, on_problem=told.append) as history:
        await blocks(history, 1, 2)
        path.with_name(path.name + suffix).unlink()
        fill(history, 3)
        with pytest.raises(Unavailable, match=r"3 events are not written: .* was removed or renamed while it was open"):
            await history.flush()
        assert told == [history.problem]
        assert history.waiting == 3
        assert not history.full, "actors go on meanwhile"


async def test_a_file_that_was_renamed_and_replaced_is_not_written(path):
    """FAULTS A9: as log rotation does it. The other file belongs to whoever made it."""
    async with History(path) as history:
        await blocks(history, 1, 2)
        path.rename(path.with_suffix(".1"))
        path.write_text("another file")
        fill(history, 3)
        with pytest.raises(Unavailable, match="put it back, or restart the program"):
            await history.flush()
    assert path.read_text() == "another file"


async def test_the_events_of_a_file_that_was_replaced_can_still_be_read(path):
    """FAULTS A9: another file at its path is not taken for it, also by the first question."""
    async with History(path) as history:
        await blocks(history, 1, 2)
        path.rename(path.with_suffix(".1"))
        path.write_text("another file")
        assert numbers(await history.events()) == [0, 1]


async def test_a_file_that_is_put_back_is_written_again_without_a_gap(path):
    """FAULTS A9."""
    told: list[str | None] = []
    async with History(path, on_problem=told.append) as history:
        await blocks(history, 1, 2)
        path.rename(path.with_suffix(".1"))
        fill(history, 3)
        with pytest.raises(Unavailable):
            await history.flush()
        fill(history, 2)
        path.with_suffix(".1").rename(path)
        while history.problem is not None:
            await rest()
        await history.flush()
        assert told[-1] is None
        assert numbers(await history.events()) == list(range(7))
        assert (await history.verify()).ok
