"""A run is left, read on and stopped; readings arrive once each, although the collector and the sensor are killed meanwhile."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

import pytest

import penstock
from tests.examples._programs import PROGRAM_SECONDS_MAX, run, running

pytestmark = pytest.mark.processes


def test_a_run_outlives_its_tab_and_is_stopped_by_another():
    lines = run("retained/runs.py").splitlines()
    assert lines[:4] == ["[tab] the", "[tab] water", "[tab] runs", "[tab] closed"]
    first, third, model = sorted(lines[4:])
    assert first.startswith("[from the first token] the water runs through the gate and the ...")
    assert third.startswith("[from the third] runs through the gate and the wheel turns ...")
    assert model.startswith("[model] stopped after")
    assert all("stream 'run-7' was stopped" in line for line in lines[4:] if "from" in line)


def _wait_for(file: Path) -> None:
    """Wait until a program has made its file."""
    end = time.monotonic() + PROGRAM_SECONDS_MAX
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_reading_is_collected_once_through_the_deaths_of_both(tmp_path):
    outbox, collected, count = tmp_path / "outbox.db", tmp_path / "collected.db", 100
    with running("retained/collector.py", "tcp://127.0.0.1:0", str(collected)) as collector:
        url = collector.stdout.readline().split()[-1]
        with running("retained/sensor.py", url, str(outbox), f"--readings={count}"):
            _wait_for(collected)
            time.sleep(0.3)  # some readings are taken; then the sensor is killed
        with running("retained/sensor.py", url, str(outbox), f"--readings={count}") as sensor:
            time.sleep(0.3)
            collector.kill()
            collector.wait()
            with running("retained/collector.py", url, str(collected)):
                printed, complaints = sensor.communicate(timeout=PROGRAM_SECONDS_MAX)
    assert "Traceback" not in complaints
    assert printed.splitlines()[-2:] == [f"the collector has {count} readings", f"the sensor has measured {count}"]

    async def read() -> list[float]:
        kept = penstock.retained("roof", durable=collected).follow()
        return [await kept.receive() for _ in range(count)]

    assert asyncio.run(read()) == [round(20 + 5 * math.sin(number / 10), 2) for number in range(count)]
