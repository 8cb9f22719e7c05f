"""The leak gates which every test passes through. They never sleep to let a leak go away.

A test fails when it leaves behind a running task, an open file, a live object of `COUNTED`, or an error that nothing but its
event loop has seen. `tests/house/test_gates.py` shows that each gate can fail.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest
import pytest_asyncio

import penstock
from penstock.protocol import Connection, WireStream
from penstock.session import Session

#: What has to be gone after a test, as soon as the garbage collector has run.
COUNTED = (penstock.Peer, Session, Connection, WireStream, penstock.Stream)

#: A closed transport needs a few turns of the loop to tell everyone; a task that needs more was not waited for.
TURNS_BEFORE_A_TASK_COUNTS_AS_LEFT = 20

#: Where Linux lists the open files of this process.
OPEN_FILES = "/proc/self/fd"
ASYNCIO_LOG = logging.getLogger("asyncio")
FAILED = pytest.StashKey[bool]()
LOOP_ERRORS = pytest.StashKey["LoopErrors"]()


# ── objects, and errors that only the loop has seen: looked at when all fixtures of the test are torn down ────────────────


class LoopErrors(logging.Handler):
    """Keeps the text of each error that an event loop logs because nothing else takes it: of any loop, in any thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []
        self._level_before = logging.NOTSET

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    def open(self) -> None:
        self._level_before = ASYNCIO_LOG.level
        ASYNCIO_LOG.setLevel(logging.WARNING)  # whatever level the test gives to the root logger
        ASYNCIO_LOG.addHandler(self)

    def close(self) -> None:
        ASYNCIO_LOG.removeHandler(self)
        ASYNCIO_LOG.setLevel(self._level_before)
        super().close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Put aside all objects that exist: what the collector sees during the test is the test's, and its runs are short."""
    item.stash[LOOP_ERRORS] = LoopErrors()
    item.stash[LOOP_ERRORS].open()
    gc.freeze()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    errors = item.stash[LOOP_ERRORS]
    try:
        result = yield
        _let_go(item)
        gc.collect()  # also reports futures and tasks whose error was never looked at
        if not item.stash.get(FAILED, False):  # the report of a failure holds the frames of the test
            alive = live_objects()
            assert not alive, f"left alive: {dict(alive)}"
            assert not errors.texts, "left to the event loop:\n" + "\n".join(errors.texts)
        return result
    finally:
        gc.unfreeze()
        errors.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed or hasattr(report, "wasxfail"):
        item.stash[FAILED] = True
    return report


def live_objects() -> Counter[str]:
    """Count the objects of `COUNTED` that were made since the last `gc.freeze()`."""
    return Counter(type(found).__name__ for found in gc.get_objects() if issubclass(type(found), COUNTED))


def _let_go(item: pytest.Item) -> None:
    """Drop the values of the fixtures, which pytest keeps a little longer than their teardown."""
    funcargs: dict[str, Any] | None = getattr(item, "funcargs", None)
    if funcargs is not None:
        funcargs.clear()


# ── open files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _open_files() -> dict[str, str]:
    try:
        numbers = os.listdir(OPEN_FILES)  # noqa: PTH208 - twice for each test, at a tenth of the time that `Path` takes
    except FileNotFoundError:  # no such view on this system: the gate stays open
        return {}
    found: dict[str, str] = {}
    for number in numbers:
        try:
            found[number] = os.readlink(f"{OPEN_FILES}/{number}")  # noqa: PTH115 - the same
        except OSError:  # the descriptor of the listing itself
            continue
    return found


def _left_open(before: dict[str, str]) -> dict[str, str]:
    return {number: target for number, target in _open_files().items() if before.get(number) != target}


@pytest.fixture(scope="session", autouse=True)
def _once_in_a_process() -> None:
    """Open what uvloop opens at its first run and keeps, before anyone counts open files."""
    try:
        import uvloop
    except ImportError:  # not on every system
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))


@pytest.fixture(autouse=True)
def no_file_left_open() -> Iterator[None]:
    """Fail the test that leaves a socket, pipe or file open."""
    before = _open_files()
    yield
    left = _left_open(before)
    if left:
        gc.collect()  # what waits only for the collector has been let go of
        left = _left_open(before)
    assert not left, f"left open: {left}"


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(autouse=True)
def no_task_left_running(request: pytest.FixtureRequest, no_file_left_open: None) -> None:
    """Fail the test that leaves a task behind on its loop."""
    if pytest_asyncio.is_async_test(request.node):
        request.getfixturevalue("_task_gate")


@pytest.fixture
async def _task_gate() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    before.add(asyncio.current_task())
    left = asyncio.all_tasks() - before
    for _ in range(TURNS_BEFORE_A_TASK_COUNTS_AS_LEFT):
        if not left:
            return
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
    assert not left, f"left running: {sorted(task.get_name() + ' ' + repr(task.get_coro()) for task in left)}"
