"""Runs the example programs, and the command `penstock`, as a user does. It never imports one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.house._source import ROOT

EXAMPLES = ROOT / "examples"
PENSTOCK = Path(sys.executable).with_name("penstock")
PROGRAM_SECONDS_MAX = 30


def _popen(name: str, *arguments: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    program = [str(PENSTOCK)] if name == "penstock" else [sys.executable, "-W", "error", str(EXAMPLES / name)]
    pipe = subprocess.PIPE
    environ = {**os.environ, **environment}
    return subprocess.Popen([*program, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ)


def run(name: str, *arguments: str, typed: str = "", **environment: str) -> str:
    """Run a program to its good end and return what it printed."""
    with running(name, *arguments, **environment) as program:
        printed, complaints = program.communicate(typed, timeout=PROGRAM_SECONDS_MAX)
    assert (program.returncode, complaints) == (0, ""), printed + complaints
    return printed


@contextlib.contextmanager
def running(name: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program; at the end of the block it is gone."""
    program = _popen(name, *arguments, environment=environment)
    try:
        yield program
    finally:
        program.kill()
        program.wait()
        for stream in (program.stdin, program.stdout, program.stderr):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


@contextlib.contextmanager
def serving(name: str, url: str, **environment: str) -> Iterator[str]:
    """Start a server, give its URL, and stop it as Ctrl-C does, which has to end well."""
    with running(name, url, **environment) as program:
        first = program.stdout.readline()
        assert first.startswith("serving at "), program.stderr.read()
        yield first.split()[-1]
        program.send_signal(signal.SIGINT)
        printed, complaints = program.communicate(timeout=PROGRAM_SECONDS_MAX)
        assert (program.returncode, printed, complaints) == (0, "", "")
