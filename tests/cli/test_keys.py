"""Single keys of a terminal: read at once, and the terminal is as it was."""

from __future__ import annotations

import asyncio
import os
import pty
import termios

import pytest

from penstock.cli._keys import keys_read

pytestmark = pytest.mark.processes


@pytest.fixture
def terminal():
    """A terminal as standard input; its other end."""
    before = os.dup(0)
    outer, inner = pty.openpty()
    os.dup2(inner, 0)
    yield outer
    os.dup2(before, 0)
    for descriptor in (before, outer, inner):
        os.close(descriptor)


async def test_a_key_is_taken_without_enter_and_the_terminal_is_as_it_was(terminal):
    before, pressed = termios.tcgetattr(0), asyncio.Event()
    with keys_read({"q": pressed.set}) as there:
        assert there
        os.write(terminal, b"xq")
        async with asyncio.timeout(10):
            await pressed.wait()
    assert termios.tcgetattr(0) == before


async def test_where_no_terminal_is_there_are_no_keys(tmp_path):
    before = os.dup(0)
    with (tmp_path / "empty").open("w+") as file:
        os.dup2(file.fileno(), 0)
        with keys_read({}) as there:
            assert not there
    os.dup2(before, 0)
    os.close(before)
