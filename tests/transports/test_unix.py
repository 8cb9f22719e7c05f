"""The particulars of Unix sockets: the file."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from penstock import transports
from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.transports import _lock, _unix
from tests.transports.kit import Recorder, directory_locked, linked


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sock"


async def test_the_file_is_there_while_the_server_is(path) -> None:
    async with linked(f"unix://{path}") as pair:
        assert path.is_socket()
        await pair.listener.aclose()
        assert not path.exists()


async def test_the_socket_file_of_a_dead_server_is_replaced(path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    async with linked(f"unix://{path}"):
        pass
    assert not path.exists()


async def test_a_live_server_is_left_alone_and_never_notices(path) -> None:
    async with linked(f"unix://{path}") as pair:
        with pytest.raises(Unavailable, match=f"a live server has {path}") as caught:
            await transports.listen(f"unix://{path}", Recorder)
        assert caught.value.cause is Cause.ADDRESS_TAKEN
        for _ in range(10):
            await asyncio.sleep(0)
        assert pair.server.made == 1


async def test_a_server_that_is_bound_and_does_not_listen_yet_counts_as_live(path) -> None:
    with socket.socket(socket.AF_UNIX) as starting:
        starting.bind(str(path))
        with pytest.raises(Unavailable, match="a live server"):
            await transports.listen(f"unix://{path}", Recorder)


async def test_a_file_that_is_no_socket_is_never_removed(path) -> None:
    path.write_text("precious")
    with pytest.raises(Unavailable, match="exists and is not a socket") as caught:
        await transports.listen(f"unix://{path}", Recorder)
    assert caught.value.cause is Cause.ADDRESS_UNUSABLE
    assert path.read_text() == "precious"
    with pytest.raises(Unavailable, match="is not a socket, or a dead server has left it") as caught:
        await transports.dial(f"unix://{path}", Recorder())
    assert caught.value.cause is Cause.NOTHING_LISTENS


async def test_a_link_to_a_socket_is_never_followed_or_removed(path, tmp_path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        await transports.listen(f"unix://{path}", Recorder)
    assert path.is_symlink()


async def test_closing_leaves_the_file_of_a_successor(path) -> None:
    listener = await transports.listen(f"unix://{path}", Recorder)
    path.unlink()
    successor = await transports.listen(f"unix://{path}", Recorder)
    await listener.aclose()
    assert path.is_socket()
    await successor.aclose()
    assert not path.exists()


async def test_a_relative_path_is_removed_after_a_change_of_directory(path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    listener = await transports.listen("unix://s.sock", Recorder)
    assert path.is_socket()
    monkeypatch.chdir("/")
    await listener.aclose()
    assert not path.exists()


async def test_a_directory_that_does_not_exist_is_named(tmp_path) -> None:
    with pytest.raises(Unavailable, match=r"directory of .* does not exist; make it first") as caught:
        await transports.listen(f"unix://{tmp_path}/no/s.sock", Recorder)
    assert caught.value.cause is Cause.ADDRESS_UNUSABLE


async def test_a_directory_that_another_process_holds_for_ever_is_an_error(path, monkeypatch) -> None:
    """FAULTS H12: meanwhile the loop runs, and an honest holder is waited for."""
    monkeypatch.setattr(_lock, "HELD_TRIES_MAX", 3)
    with directory_locked(path.parent):
        with pytest.raises(Unavailable, match="another process has locked the directory") as told:
            await transports.listen(f"unix://{path}", Recorder)
        assert told.value.cause is Cause.ADDRESS_UNUSABLE
        monkeypatch.setattr(_lock, "HELD_TRIES_MAX", 10_000)
        waiting = asyncio.create_task(transports.listen(f"unix://{path}", Recorder))
        await asyncio.sleep(0)
        assert not waiting.done()
    await (await waiting).aclose()


async def test_what_a_path_is_in_must_be_a_directory(path) -> None:
    """FAULTS H6: a FIFO in its place is not waited for."""
    os.mkfifo(path)
    with pytest.raises(Unavailable, match=r"cannot listen at .*: Not a directory"):
        await transports.listen(f"unix://{path}/s", Recorder)


async def test_a_path_that_is_too_long_for_the_system_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidArgument, match="at most 103 bytes"):
        await transports.listen(f"unix:///tmp/{'x' * 120}", Recorder)


async def test_a_full_queue_is_waited_for_and_then_reported(path) -> None:
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(path))
        stuck.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            with pytest.raises(Unavailable, match="its queue is full") as caught:
                await transports.dial(f"unix://{path}", Recorder(), timeout_s=0.03)
            assert caught.value.cause is Cause.TIMED_OUT
            waiting = asyncio.create_task(transports.dial(f"unix://{path}", receiver := Recorder()))
            for _ in range(3):
                await asyncio.sleep(0)
            stuck.accept()[0].close()
            await waiting
            receiver.link.abort()
            await receiver.until_lost()


def killed_server(path) -> None:
    """Serve at `path` in another process, and kill that."""
    program = (
        "import asyncio, sys; from penstock import transports\n"
        "async def main():\n"
        "    await transports.listen(sys.argv[1], lambda: None)\n"
        "    print('up', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program, f"unix://{path}"], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        process.kill()


@pytest.mark.processes
async def test_a_server_that_was_killed_leaves_a_path_that_the_next_one_takes(path) -> None:
    await asyncio.to_thread(killed_server, path)
    assert path.is_socket()
    with pytest.raises(Unavailable, match="nothing listens"):
        await transports.dial(f"unix://{path}", Recorder())
    async with linked(f"unix://{path}"):
        pass


async def test_a_system_without_unix_sockets_suggests_tcp(path, monkeypatch) -> None:
    monkeypatch.delattr(_unix.socket, "AF_UNIX")
    with pytest.raises(InvalidArgument, match=r"use tcp://127\.0\.0\.1:port"):
        await transports.dial(f"unix://{path}", Recorder())


async def test_permission_to_the_file_is_permission_to_connect(path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open everything")
    async with linked(f"unix://{path}"):
        path.chmod(0)
        with pytest.raises(Unavailable, match="Permission denied") as caught:
            await transports.dial(f"unix://{path}", Recorder())
        assert caught.value.cause is Cause.UNREACHABLE
