"""The prompt of `penstock channel open`, on a terminal as a person has one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.cli.node.conftest import FOLDER, SECONDS_MAX

pytest.importorskip("prompt_toolkit")
pytestmark = pytest.mark.processes

_STEERING = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\x1b[=>]")


class Terminal:
    """A terminal with a command in it."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.descriptor = descriptor
        self.seen = b""

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def until(self, text: str) -> str:
        """Read until a text has been shown, and forget what was before it."""
        deadline = time.monotonic() + SECONDS_MAX
        while text.encode() not in (shown := _STEERING.sub(b"", self.seen)):
            assert time.monotonic() < deadline, shown.decode(errors="replace")
            if not self._read():
                break
        shown = _STEERING.sub(b"", self.seen).decode(errors="replace")
        assert text in shown, shown
        self.seen = b""
        return shown

    def _read(self) -> bool:
        if select.select([self.descriptor], [], [], 0.1)[0]:
            try:
                part = os.read(self.descriptor, 65536)
            except OSError:  # the other end is closed
                return False
            self.seen += part
            if b"\x1b[6n" in part:  # where is the cursor?
                os.write(self.descriptor, b"\x1b[1;1R")
        return True

    def wait(self) -> int:
        while self.process.poll() is None:
            self._read()
        return self.process.returncode


@pytest.fixture
def terminal(places, server):
    """Open a channel to the counter on a terminal."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = {**os.environ, **places, "TERM": "xterm-256color"}
    words = [sys.executable, "-m", "penstock", "channel", "open", "counter", "-m", "1"]
    process = subprocess.Popen(
        words, stdin=inner, stdout=inner, stderr=inner, env=environment, cwd=FOLDER, start_new_session=True
    )
    os.close(inner)
    shown = Terminal(process, outer)
    yield shown
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait(SECONDS_MAX)
    os.close(outer)


def test_a_conversation(terminal):
    terminal.until("counter>")
    terminal.type('send {"a": 1}\r')
    terminal.until('← {"echo": {"a": 1}}')
    terminal.type("send bye\r")
    terminal.until("closed: you said bye")
    assert terminal.wait() == 0


def test_commands_are_completed(terminal):
    terminal.until("counter>")
    terminal.type("he")
    terminal.until("show this list")
    terminal.type("\t")
    terminal.until("help")
    terminal.type("\r")
    terminal.until("close the channel at once; a reason may follow")


def test_what_was_typed_before_is_remembered(terminal):
    terminal.until("counter>")
    terminal.type("send first\r")
    terminal.until('"first"')
    terminal.type("\x1b[A\r")
    terminal.until('{"echo": "first"}')


def test_a_mistake_is_told_and_the_prompt_goes_on(terminal):
    terminal.until("counter>")
    terminal.type("nonsense\r")
    terminal.until("unknown command 'nonsense'")
    terminal.type("send 1\r")
    terminal.until('← {"echo": 1}')


@pytest.mark.parametrize("keys", ["\x04", "exit\r"])
def test_it_is_left_by_ctrl_d_and_exit(terminal, keys):
    terminal.until("counter>")
    terminal.type(keys)
    assert terminal.wait() == 0


def test_ctrl_c_forgets_the_line_and_on_an_empty_one_says_how_to_leave(terminal):
    terminal.until("counter>")
    terminal.type('send {"half": ')
    terminal.until('"half":')
    terminal.type("\x03")
    terminal.until("counter>")
    terminal.type("\x03")
    terminal.until("Ctrl-D closes the channel")
    terminal.type("send 1\r")
    terminal.until('← {"echo": 1}')


def test_what_begins_like_json_and_is_none_stays_in_the_history(terminal, places):
    terminal.until("counter>")
    terminal.type('send {"a": b}\r')
    terminal.until("is not valid JSON: ")
    assert 'send {"a": b}' in Path(places["XDG_STATE_HOME"], "penstock", "channel_lines").read_text()


def test_the_terminal_is_as_it_was(terminal):
    before = termios.tcgetattr(terminal.descriptor)
    terminal.until("counter>")
    terminal.type("\x04")
    terminal.wait()
    assert termios.tcgetattr(terminal.descriptor)[3] == before[3]
