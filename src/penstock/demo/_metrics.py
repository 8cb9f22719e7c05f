"""`Metrics`: live samples of this machine. The only file that imports `psutil`."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import penstock

#: The shortest interval: with a shorter one, the figures would mostly show the work of reading them.
EVERY_MIN_S: Final = 0.01


class Sample(penstock.Struct, frozen=True):
    """The figures of the machine at one moment: shares from 0 to 1, sizes in bytes, rates in bytes per second."""

    cores: list[float]
    memory_used: int
    memory_total: int
    load: tuple[float, float, float]
    received_per_s: float
    sent_per_s: float
    processes: int


def is_available() -> bool:
    """Whether psutil is installed."""
    return importlib.util.find_spec("psutil") is not None


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def is_running(pid: int) -> bool:
    """Whether a process with this id exists."""
    import psutil

    return bool(psutil.pid_exists(pid))


class Metrics:
    """Live figures of the machine that the server runs on."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    async def uptime_s(self) -> float:
        """Return the uptime of this server in seconds: a small call, for measuring calls."""
        return time.monotonic() - self._started

    async def resident_bytes(self) -> int:
        """Return the resident memory of the server process in bytes."""
        return resident_bytes()

    async def samples(self, every_s: float = 0.1) -> AsyncIterator[Sample]:
        """Yield a sample every `every_s` seconds. A slower consumer gets fewer samples, never a backlog."""
        if not every_s >= EVERY_MIN_S:
            raise penstock.InvalidArgument(f"every_s is {every_s!r}; the shortest is {EVERY_MIN_S:g} s")
        machine = _Machine()
        due = time.monotonic()
        while True:
            due = max(due + every_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            yield machine.sample()


class _Machine:
    """Reads the figures of the machine. Rates are differences to the previous reading."""

    def __init__(self) -> None:
        import psutil

        self._psutil: Any = psutil
        self._at = time.monotonic()
        self._network = psutil.net_io_counters()
        psutil.cpu_percent(percpu=True)  # the first reading has nothing to compare with

    def sample(self) -> Sample:
        psutil = self._psutil
        memory = psutil.virtual_memory()
        received, sent = self._network_rates()
        return Sample(
            cores=[percent / 100 for percent in psutil.cpu_percent(percpu=True)],
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            load=os.getloadavg() if hasattr(os, "getloadavg") else psutil.getloadavg(),
            received_per_s=received,
            sent_per_s=sent,
            processes=len(psutil.pids()),
        )

    def _network_rates(self) -> tuple[float, float]:
        before, self._network = self._network, self._psutil.net_io_counters()
        seconds, self._at = time.monotonic() - self._at, time.monotonic()
        if before is None or self._network is None or seconds <= 0:  # a container may have no network at all
            return 0.0, 0.0
        now = self._network
        return (now.bytes_recv - before.bytes_recv) / seconds, (now.bytes_sent - before.bytes_sent) / seconds
