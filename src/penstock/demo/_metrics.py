"""`Metrics`: live samples of this machine. The one file that psutil enters; it never paces by anything but its own clock."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import penstock

#: Faster than this, reading the machine's figures would be most of what the figures show.
EVERY_MIN_S: Final = 0.01


class Sample(penstock.Struct, frozen=True):
    """How the machine stands at one moment: shares from 0 to 1, sizes in bytes, rates in bytes per second."""

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
    """Return how much memory this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    import psutil

    return bool(psutil.pid_exists(pid))


class Metrics:
    """Live figures of the machine that the server runs on."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    async def uptime_s(self) -> float:
        """Return for how many seconds this server has been up: a small call, to see how fast small calls are answered."""
        return time.monotonic() - self._started

    async def resident_bytes(self) -> int:
        """Return how much memory the server process holds now."""
        return resident_bytes()

    async def samples(self, every_s: float = 0.1) -> AsyncIterator[Sample]:
        """Send a sample every `every_s` seconds; a consumer that is slower gets fewer, never a backlog."""
        if not every_s >= EVERY_MIN_S:
            raise penstock.InvalidArgument(f"every_s is {every_s!r}; the shortest is {EVERY_MIN_S:g} s")
        machine = _Machine()
        due = time.monotonic()
        while True:
            due = max(due + every_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            yield machine.sample()


class _Machine:
    """Reads the machine; rates are since the reading before."""

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
