"""What every test gets: the leak gates of `tests/gates.py`, Hypothesis profiles, the seed, the log as it was."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.loops import LOOP, Factory, on_the_real_clock

pytest_plugins = ["pytester", "tests.gates"]

#: Where compiled source goes if none may be kept beside the source; `make clean` removes it.
BYTECODE = Path(__file__).parents[1] / ".cache" / "bytecode"

# The suite starts hundreds of processes. If Python must not write bytecode, each of them would compile the whole package.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(BYTECODE))
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

SEED = int(os.environ.get("PENSTOCK_SEED", "1"))
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")

# ci: the same examples each time, so that a run turns red only by a change. search: new examples each time, many of them.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile(
    "search", deadline=None, print_blob=True, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(PROFILE)


def pytest_report_header() -> str:
    return f"penstock: PENSTOCK_SEED={SEED} HYPOTHESIS_PROFILE={PROFILE} PENSTOCK_LOOP={LOOP}"


LOOPS = on_the_real_clock()
if LOOPS is not None:

    def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Factory]:
        return LOOPS


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


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that runs in this process may quiet the log; the next test is to see it."""
    logger = logging.getLogger("penstock")
    level = logger.level
    yield
    logger.setLevel(level)
