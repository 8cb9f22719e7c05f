"""Single keys of a terminal, without Enter. The mode of the terminal is restored afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from penstock.cli._stdio import STDIN, is_terminal

if sys.platform != "win32":
    import termios
    import tty


@contextmanager
def keys_read(actions: Mapping[str, Callable[[], object]]) -> Iterator[bool]:
    """Call the action of each key that is pressed. Yields False when standard input is not a terminal."""
    if sys.platform == "win32" or not is_terminal(STDIN):
        yield False
        return
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(STDIN)

    def read() -> None:
        with suppress(OSError):
            for key in os.read(STDIN, 64).decode(errors="replace"):
                actions.get(key, _nothing)()

    tty.setcbreak(STDIN)  # Ctrl-C is still a signal
    loop.add_reader(STDIN, read)
    try:
        yield True
    finally:
        loop.remove_reader(STDIN)
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


def _nothing() -> None:
    """Ignore a key without an action."""
