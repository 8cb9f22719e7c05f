"""Sides in processes of their own, commanded over a pipe. This module never measures: a side times itself."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).resolve().parent.parent
#: No command takes longer on a machine that is not stuck; a side that does not answer by then is given up.
ANSWER_TIMEOUT_S = 60.0
_EXIT_TIMEOUT_S = 2.0
_ERROR_TAIL_BYTES = 600


class SideFailed(Exception):
    """A side could not do what it was told; the message says why, in its own words."""


class Process:
    """One side in one process."""

    def __init__(self, python: str, side: str, role: str, loop: str) -> None:
        self._name = f"{side} {role}"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.sides", side, role, loop],
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'src'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def ask(self, command: str, **arguments: object) -> Any:
        """Send one command and return its answer; raises `SideFailed`."""
        try:
            self._stdin.write(json.dumps({"do": command, "with": arguments}).encode() + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise SideFailed(f"{self._name} ended: {self._last_words()}") from None
        return self._answer()

    def _answer(self) -> Any:
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            if not selector.select(ANSWER_TIMEOUT_S):
                raise SideFailed(f"{self._name} did not answer within {ANSWER_TIMEOUT_S:.0f} s")
        line = self._stdout.readline()
        if not line:
            raise SideFailed(f"{self._name} ended: {self._last_words()}")
        reply = json.loads(line)
        if "failed" in reply:
            raise SideFailed(f"{self._name}: {reply['failed']}")
        return reply["done"]

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read()[-_ERROR_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no words"

    def close(self) -> None:
        """End the process: politely, then not."""
        with suppress(BrokenPipeError):  # it ended before us, with our last command unread
            self._stdin.close()
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()
        self._errors.close()


class Pair:
    """A driver and the server it is connected to. Transport "none": no server; "memory": the driver serves itself."""

    def __init__(self, python: str, side: str, loop: str, transport: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-bench-")
        self._processes: list[Process] = []
        self.server: Process | None = None
        try:
            self._start(python, side, loop, transport)
        except SideFailed:
            self.close()
            raise

    def _start(self, python: str, side: str, loop: str, transport: str) -> None:
        place = {"transport": transport, "folder": self._folder.name}
        url = ""
        if transport not in ("none", "memory"):
            self.server = self._process(python, side, "Server", loop)
            url = self.server.ask("serve", **place)
        self.driver = self._process(python, side, "Driver", loop)
        if transport != "none":
            self.driver.ask("connect", url=url, **place)

    def _process(self, python: str, side: str, role: str, loop: str) -> Process:
        self._processes.append(Process(python, side, role, loop))
        return self._processes[-1]

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU time that each process has used so far."""
        processes = {"driver": self.driver, "server": self.server}
        return {name: process.ask("cpu") for name, process in processes.items() if process is not None}

    def close(self) -> None:
        """End both processes."""
        for process in reversed(self._processes):
            process.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
