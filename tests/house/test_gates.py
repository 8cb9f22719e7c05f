"""The leak gates of `tests/gates.py` can fail: each leak makes an error of the test that leaves it, and of no other."""

from __future__ import annotations

import pytest

from tests.house._source import ROOT

LEAKS = '''
import asyncio
import gc
import logging
import os

import penstock
import pytest
from penstock.protocol import Connection, Settings
from penstock.testing import run

kept = []


class Endless:
    async def numbers(self):
        while True:
            yield 1

    async def wait(self) -> None:
        await asyncio.Event().wait()


class Around:
    """A cycle that only the collector frees."""

    def __init__(self, held):
        self.held, self.me = held, self


async def connection_and_stream():
    async with penstock.serve(Endless(), listen="memory://gates") as server, penstock.connect("memory://gates") as peer:
        stream = penstock.Stream.of(peer.service(Endless).numbers())
        await stream.receive()
        return peer, stream


@pytest.fixture
async def given():
    return await connection_and_stream()


async def fail():
    raise ZeroDivisionError


def test_leaks_a_connection():
    kept.append(Connection("client", Settings(), 0.0))


def test_after_a_leak_passes():
    Around(Connection("client", Settings(), 0.0))


async def test_leaks_a_peer_and_a_stream():
    kept.append(await connection_and_stream())


async def test_that_lets_go_passes(given):
    Around(await connection_and_stream())


async def test_leaks_an_error_of_a_task():
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_leaks_an_error_on_a_loop_of_its_own(caplog):
    caplog.set_level("CRITICAL")

    async def main():
        Around(asyncio.get_running_loop().create_future()).held.set_exception(ZeroDivisionError())

    run(main())


async def test_leaks_a_task():
    kept.append(asyncio.ensure_future(asyncio.sleep(60)))


def test_leaks_a_file():
    kept.append(os.open(os.devnull, os.O_RDONLY))


def test_fails_once():
    connection = Connection("client", Settings(), 0.0)
    assert not connection
'''


@pytest.mark.processes
def test_each_leak_is_an_error_of_the_test_that_leaves_it(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest('pytest_plugins = ["tests.gates"]')
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(LEAKS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    result.assert_outcomes(passed=8, failed=1, errors=6)
    found = {
        line.partition("::")[2].partition(" ")[0] for line in result.outlines if line.startswith("ERROR ") and "::" in line
    }
    assert found == {
        "test_leaks_a_connection",
        "test_leaks_a_peer_and_a_stream",
        "test_leaks_an_error_of_a_task",
        "test_leaks_an_error_on_a_loop_of_its_own",
        "test_leaks_a_task",
        "test_leaks_a_file",
    }
    result.stdout.fnmatch_lines_random(
        [
            "*left alive: {'Connection': 1}*",
            "*left alive: *'Peer': 2*",
            "*left to the event loop:*",
            "*left running: *",
            "*left open: *",
        ]
    )
