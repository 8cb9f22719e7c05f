"""What every test gets: the leak gates, Hypothesis profiles, the seed. It never sleeps to let a leak go away."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SEED = int(os.environ.get("PENSTOCK_SEED", "1"))
LOOP = os.environ.get("PENSTOCK_LOOP", "asyncio")
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
# A closed transport needs a few turns of the loop to tell everyone; a task that needs more was not waited for.
TURNS_BEFORE_A_TASK_COUNTS_AS_LEFT = 20

# ci: the same examples each time, so that a run turns red only by a change. search: new examples each time, many of them.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile(
    "search", deadline=None, print_blob=True, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(PROFILE)


def pytest_report_header() -> str:
    return f"penstock: PENSTOCK_SEED={SEED} HYPOTHESIS_PROFILE={PROFILE} PENSTOCK_LOOP={LOOP}"


if LOOP == "uvloop":

    def pytest_asyncio_loop_factories(
        config: pytest.Config, item: pytest.Item
    ) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        import uvloop

        return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def seed(record_property: pytest.RecordProperty) -> int:
    """The seed of a simulation; a failing test names it, and PENSTOCK_SEED repeats it."""
    record_property("PENSTOCK_SEED", SEED)
    return SEED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.failed and ("PENSTOCK_SEED", SEED) in item.user_properties:
        report.sections.append(("seed", f"repeat with PENSTOCK_SEED={SEED}"))
    return report


def _open_files() -> dict[str, str]:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():  # no such view on this system: the gate stays open
        return {}
    found: dict[str, str] = {}
    for link in list(folder.iterdir()):
        try:
            found[link.name] = str(link.readlink())
        except OSError:  # the descriptor of the listing itself
            continue
    return found


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
def logs_as_they_were() -> Iterator[None]:
    """A command that runs in this process may quiet the log; the next test is to see it."""
    logger = logging.getLogger("penstock")
    level = logger.level
    yield
    logger.setLevel(level)


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


def _left_open(before: dict[str, str]) -> dict[str, str]:
    return {number: target for number, target in _open_files().items() if before.get(number) != target}


@pytest.fixture(autouse=True)
def no_task_left_running(request: pytest.FixtureRequest, no_file_left_open: None) -> None:
    """Fail the test that leaves a task behind on its loop."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
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
