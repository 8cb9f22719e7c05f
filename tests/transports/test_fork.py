"""A process with connections forks a child: what the parent closes is closed, however long the child lives."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock import transports
from penstock._database import FileLock
from penstock.errors import Cause, Unavailable
from tests.transports.kit import Recorder, linked, tls_for, url_for

pytestmark = pytest.mark.processes


@contextmanager
def forked_child() -> Iterator[None]:
    """A child that runs and lives as long as the block."""
    (reading, writing), (running, says_so) = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads run: the child calls nothing that needs them
        child = os.fork()
    if not child:
        os.close(writing)
        os.write(says_so, b"!")
        os.read(reading, 1)
        os._exit(0)
    try:
        os.read(running, 1)
        yield
    finally:
        for descriptor in (reading, writing, running, says_so):
            os.close(descriptor)
        os.waitpid(child, 0)


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("scheme", ["tcp", "tls", "unix"])
async def test_the_other_side_hears_of_a_close_although_a_forked_child_lives_on(scheme, end, tmp_path) -> None:
    """FAULTS B4"""
    async with linked(url_for(scheme, tmp_path), tls=tls_for(scheme, tmp_path)) as pair:
        with forked_child():
            getattr(pair.client.link, end)()
            error = await pair.server.until_lost()
            assert isinstance(error, ConnectionResetError) is (end == "abort" and scheme != "unix")


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
async def test_a_closed_listener_refuses_although_a_forked_child_lives_on(scheme, tmp_path) -> None:
    """FAULTS B4"""
    listener = await transports.listen(url_for(scheme, tmp_path), Recorder)
    with forked_child():
        await listener.aclose()
        with pytest.raises(Unavailable) as caught:
            await transports.dial(listener.url, Recorder())
        assert caught.value.cause is Cause.NOTHING_LISTENS


async def test_a_link_goes_on_after_a_fork() -> None:
    async with linked("tcp://127.0.0.1:0") as pair:
        with forked_child():
            pair.client.link.write([b"still here"])
            await pair.server.until_received(10)


def test_a_lock_of_the_history_ends_with_its_holder_although_a_forked_child_lives_on(tmp_path) -> None:
    """FAULTS B4"""
    lock = FileLock(tmp_path / "history.db", "history")
    with forked_child():
        lock.release()
        FileLock(tmp_path / "history.db", "history").release()
