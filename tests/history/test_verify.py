"""Whatever is changed, removed, swapped or cut off in a file is found, and where."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import threading

import pytest

from penstock.errors import Cancelled, DataLoss, FailedPrecondition, NotFound, Unavailable
from penstock.history import History, verify_file
from tests.history.kit import ask, blocks, change, fill, made


def lines_of(path, first):
    return ask(path, f"SELECT events FROM blocks WHERE first = {first}").split(b"\n")


def write_lines(path, first, lines):
    change(path, "UPDATE blocks SET events = ? WHERE first = ?", b"\n".join(lines), first)


async def test_a_whole_history_verifies(path):
    await made(path, 3, 4)
    found = verify_file(path)
    assert found[:5] == (True, 12, None, "", "12 events, all as they were recorded")
    async with History(path) as history:
        (last,) = await history.events(last=True, limit=1)
    assert found.head == (last.offset, last.hash)
    assert last.offset == 11


async def test_a_head_that_was_noted_shows_that_the_end_was_rewritten_together_with_it(path):
    await made(path, 3, 4)
    noted = verify_file(path).head
    change(path, "DELETE FROM blocks WHERE first = 8")
    change(path, "UPDATE chain SET next = 8, head = (SELECT substr(hashes, -32) FROM blocks WHERE first = 4)")
    assert verify_file(path).why == "missing"  # the file beside it tells
    path.with_name(f"{path.name}-head").unlink()
    found = verify_file(path)
    assert found.ok  # nothing in the file can tell
    assert found.head is not None
    assert found.head[0] == 7
    assert found.head != noted


async def test_an_empty_one_too(path):
    await made(path, 0)
    assert verify_file(path).ok
    assert verify_file(path).head is None


async def test_a_file_without_any_event_that_can_be_read_says_so(path):
    await made(path, 3, 4)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE chain")
    found = verify_file(path)
    assert (found.ok, found.why, found.events, found.head) == (False, "torn", 0, None)
    assert found.text.startswith("the file cannot be read from its beginning, and no event of it: ")


async def test_one_that_is_being_written_too(path):
    async with History(path) as history:
        fill(history, 5000)
        assert (await history.verify()).events == 5000
        fill(history, 5)
        assert verify_file(path).ok


@pytest.mark.parametrize("at", range(4))
async def test_a_changed_value_is_found_where_it_is(path, at):
    await made(path, 3, 4)
    lines = lines_of(path, 4)
    lines[at] = lines[at].replace(b'"pad":""', b'"pad":"!"')
    write_lines(path, 4, lines)
    assert verify_file(path)[:4] == (False, 4 + at, 4 + at, "changed")


@pytest.mark.parametrize("column", ["first", "count", "begun", "ended", "actors", "hashes", "events"])
async def test_one_flipped_bit_in_any_column_of_a_block_is_found(path, column):
    await made(path, 3, 4)
    value = ask(path, f"SELECT {column} FROM blocks WHERE first = 4")
    bits = 8 * len(value) if isinstance(value, bytes | str) else 16
    for bit in range(0, bits, bits // 16 - 1 if bits > 16 else 1):
        changed = flipped(value, bit)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            try:
                connection.execute(f"UPDATE blocks SET {column} = ? WHERE first = 4", (changed,))
            except sqlite3.IntegrityError:  # the number of another block
                continue
            connection.commit()
        found = verify_file(path)
        assert not found.ok, (column, bit, changed)
        assert found.offset is None or found.offset <= 8
        change(path, f"UPDATE blocks SET {column} = ? WHERE {column} = ?", value, changed)
    assert verify_file(path).ok


def flipped(value, bit):
    if isinstance(value, bytes):
        at, mask = bit // 8, 1 << bit % 8
        return value[:at] + bytes([value[at] ^ mask]) + value[at + 1 :]
    if isinstance(value, str):
        return flipped(value.encode(), bit).decode("utf-8", "replace")
    return value ^ (1 << bit) if isinstance(value, int) else value + 1 / (1 << bit)


async def test_a_change_by_a_tool_for_databases_is_found_where_it_is(path):
    await made(path, 3, 4)
    change(path, """UPDATE blocks SET events = replace(events, '"n":2', '"n":9') WHERE first = 4""")
    assert verify_file(path)[1:4] == (6, 6, "changed")


@pytest.mark.parametrize("value", [None, 1, "", b"", b"[", b"[4]", b"\xff"])
@pytest.mark.parametrize("column", ["hashes", "events"])
async def test_a_block_that_is_none_is_found_and_reading_it_is_data_loss(path, column, value):
    await made(path, 3, 4)
    change(path, f"UPDATE blocks SET {column} = ? WHERE first = 4", value)
    found = verify_file(path)
    assert (found.ok, found.events, found.offset) == (False, 4, 4)
    async with History(path) as history:
        assert not (await history.verify()).ok
        with pytest.raises(DataLoss, match=r"cannot be read|not the one that was written"):
            await history.events()


@pytest.mark.parametrize("column", ["base", "base_hash", "next", "head"])
async def test_a_change_of_where_the_chain_begins_or_ends_is_found(path, column):
    await made(path, 3, 4)
    value = ask(path, f"SELECT {column} FROM chain")
    change(path, f"UPDATE chain SET {column} = ?", flipped(value, 3))
    assert not verify_file(path).ok


async def test_a_change_of_the_index_of_actors_is_found(path):
    await made(path, 3, 4)
    change(path, "DELETE FROM mentions WHERE first = 4")
    assert verify_file(path)[1:4] == (8, 4, "changed")
    change(path, "INSERT INTO mentions VALUES ('counter', 4), ('somebody', 4)")
    assert "index" in verify_file(path).text


@pytest.mark.parametrize("at", range(4))
async def test_a_missing_event_is_found(path, at):
    await made(path, 3, 4)
    lines = lines_of(path, 4)
    hashes = ask(path, "SELECT hashes FROM blocks WHERE first = 4")
    del lines[at]
    change(path, "UPDATE blocks SET hashes = ? WHERE first = 4", hashes[: 32 * at] + hashes[32 * at + 32 :])
    write_lines(path, 4, lines)
    found = verify_file(path)
    assert (found.ok, found.events, found.offset) == (False, 4 + at, 4 + at) if at < 3 else not found.ok
    assert found.why == ("missing" if at < 3 else "changed")


async def test_a_missing_block_is_found(path):
    await made(path, 3, 4)
    change(path, "DELETE FROM blocks WHERE first = 4")
    assert verify_file(path)[1:4] == (4, 4, "missing")


async def test_a_missing_tail_is_found(path):
    await made(path, 3, 4)
    change(path, "DELETE FROM blocks WHERE first = 8")
    assert verify_file(path)[1:4] == (8, 8, "missing")


@pytest.mark.parametrize("hashes_too", [False, True])
async def test_a_swapped_pair_is_found(path, hashes_too):
    await made(path, 3, 4)
    lines = lines_of(path, 4)
    lines[1], lines[2] = lines[2], lines[1]
    write_lines(path, 4, lines)
    if hashes_too:
        old = ask(path, "SELECT hashes FROM blocks WHERE first = 4")
        change(path, "UPDATE blocks SET hashes = ? WHERE first = 4", old[:32] + old[64:96] + old[32:64] + old[96:])
    assert verify_file(path)[1:4] == (5, 5, "reordered")


async def test_two_swapped_blocks_are_found(path):
    await made(path, 3, 4)
    change(path, "UPDATE blocks SET first = 1000 WHERE first = 4")
    change(path, "UPDATE blocks SET first = 4 WHERE first = 8")
    change(path, "UPDATE blocks SET first = 8 WHERE first = 1000")
    found = verify_file(path)
    assert (found.ok, found.offset) == (False, 4)


async def test_a_changed_event_with_a_new_hash_of_its_own_breaks_the_chain_behind_it(path):
    from penstock.history._event import chain_hashes

    await made(path, 3, 4)
    lines = lines_of(path, 4)
    lines[1] = lines[1].replace(b'"pad":""', b'"pad":"!"')
    before = ask(path, "SELECT substr(hashes, -32) FROM blocks WHERE first = 0")
    write_lines(path, 4, lines)
    change(path, "UPDATE blocks SET hashes = ? WHERE first = 4", b"".join(chain_hashes(before, lines)))
    assert verify_file(path)[1:4] == (8, 8, "changed")


async def test_a_flipped_bit_in_the_bytes_of_the_file_is_found(path):
    await made(path, 3, 400)
    whole = path.read_bytes()
    at = whole.index(b'"n":123,')
    path.write_bytes(flipped(whole, at * 8 + 8 * 5))
    assert verify_file(path)[2:4] == (123, "changed")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
async def test_a_file_that_is_cut_off_is_torn(path, share):
    await made(path, 30, 400)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    found = verify_file(path)
    assert (found.ok, found.why, found.offset) == (False, "torn", found.events)
    assert 12_000 * (share - 0.15) < found.events < 12_000 * (share + 0.05)


async def test_reading_that_is_interrupted_is_unavailable_and_no_loss_of_data(path):
    await made(path, 3, 4)
    async with History(path) as history:
        assert len(await history.events()) == 12
        history._archive._reader.set_progress_handler(lambda: 1, 1)
        with pytest.raises(Unavailable, match="cannot be read now"):
            await history.events()
        history._archive._reader.set_progress_handler(None, 0)
        assert len(await history.events()) == 12


async def test_a_file_that_is_not_there_or_no_history_is_an_error(tmp_path):
    with pytest.raises(NotFound, match="does not exist"):
        verify_file(tmp_path / "nothing.db")
    (tmp_path / "notes.txt").write_text("notes " * 100)
    with pytest.raises(FailedPrecondition, match="is not a history"):
        verify_file(tmp_path / "notes.txt")


async def test_a_check_can_be_stopped(path):
    await made(path, 3, 4)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        verify_file(path, stop=stop)


async def test_a_cancelled_check_stops(path):
    async with History(path) as history:
        fill(history, 10)
        await history.flush()
        checking = asyncio.ensure_future(history.verify())
        await asyncio.sleep(0)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert (await history.verify()).ok


async def test_after_retention_the_chain_verifies_from_its_anchor_and_a_change_of_it_is_found(path):
    async with History(path, keep_bytes=300_000) as history:
        for _ in range(40):
            fill(history, 20, size=1000)
            await history.flush()
    base = ask(path, "SELECT base FROM chain")
    assert base > 0
    assert verify_file(path).ok
    change(path, "UPDATE chain SET base_hash = randomblob(32)")
    assert verify_file(path)[1:4] == (0, base, "changed")


# ── the end, noted beside the file ──────────────────────────────────────────────────────────────────────────────


async def killed(path, there):
    """Copy a history with its log, as a node that is killed leaves it."""
    async with History(path) as history:
        await blocks(history, 6, 4)
        for suffix in ("", "-wal", "-head"):
            shutil.copy(f"{path}{suffix}", f"{there}{suffix}")


async def test_a_bit_of_the_log_that_was_flipped_is_found_and_said(path, tmp_path):
    """FAULTS H7: SQLite ends a damaged log before the damage, and the chain with it."""
    there = tmp_path / "killed.db"
    await killed(path, there)
    log = there.with_name("killed.db-wal")
    data = bytearray(log.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    log.write_bytes(data)
    found = verify_file(there)
    assert (found.ok, found.why) == (False, "missing")
    assert found.text.endswith("to 23, the last ones, are missing (noted beside it)")
    async with History(there) as history:
        (torn,) = await history.events("")
        assert torn.offset == 24
        assert "notes them" in torn.data["why"]
    assert verify_file(there).ok


async def test_a_history_that_was_killed_is_whole(path, tmp_path):
    await killed(path, tmp_path / "killed.db")
    assert verify_file(tmp_path / "killed.db").ok
    async with History(tmp_path / "killed.db") as history:
        assert history.next_offset == 24
    assert verify_file(tmp_path / "killed.db").ok


@pytest.mark.parametrize("damage", ["DROP TRIGGER block_removed", "DROP VIEW events", "CREATE TABLE other(x)"])
async def test_a_damaged_schema_is_found(path, damage):
    """FAULTS H7."""
    await made(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
    found = verify_file(path)
    assert not found.ok
    assert "tables, triggers or views" in found.text
