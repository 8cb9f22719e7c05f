"""The demo from its beginning to its exit code: processes, scenes, screen, summary. This module never makes a call itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import penstock
from penstock.cli._demo import _end_scenes, _file_scene, _scenes
from penstock.cli._demo._board import Board, Card, size
from penstock.cli._demo._metrics import is_available
from penstock.cli._demo._plain import PlainScreen
from penstock.cli._demo._process import DemoError, ServerProcess, server_process, write_file
from penstock.cli._demo._stage import Stage
from penstock.cli._loop import loop_factory

#: A file of 200 MB is what the demo promises to carry.
FILE_MB: Final = 200
#: What the durations in the scenes add up to; `seconds` is measured against it.
NORMAL_S: Final = 25.0
#: Over before the minute is, whatever happens.
TIMEOUT_S: Final = 55.0
#: How long a finished scene stays before the next one begins.
LINGER_S: Final = 0.7
INTERRUPTED: Final = 130

Scene = Callable[[Stage, Card], Awaitable[None]]


def scenes() -> list[tuple[Card, Scene]]:
    """The scenes in their order. The first one goes on beside all others."""
    return [
        (Card("Metrics", "live samples of this machine, beside everything below", 4), _scenes.metrics),
        (Card("Slow consumer", f"the producer waits: buffer_size={_scenes.BUFFER_SIZE}", 5), _scenes.bound),
        (Card("Files", "a large file, and small calls beside it", 6), _file_scene.file),
        (Card("Chat", "two people, both ways in one call", 6), _scenes.chat),
        (Card("Leaving", "break, return, exception, cancel: the producer cleans up", 4), _end_scenes.leave),
        (Card("Losing", "kill -9 of a second server in the middle of a stream", 3), _end_scenes.lose),
    ]


class Screen(Protocol):
    """Where the board is shown, every `every_s` seconds and when a scene begins or ends."""

    every_s: float

    def draw(self, board: Board) -> None:
        """Show how everything stands."""


def run(*, plain: bool, file_mb: int | None, seconds: float | None) -> int:
    """See `run_demo`."""
    if not is_available():
        return _refuse("the demo shows live figures of this machine with psutil: pip install 'penstock[demo]'")
    screen = PlainScreen() if plain or not sys.stdout.isatty() else _live_screen()
    played = scenes()
    board = Board(*(card for card, _scene in played))
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-demo-", ignore_cleanup_errors=True) as folder:
            with screen, asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(_play(screen, board, played, Path(folder), file_mb or FILE_MB, (seconds or NORMAL_S) / NORMAL_S))
    except DemoError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; the server process has ended and the files are removed", file=sys.stderr)
        return INTERRUPTED
    screen.summarize(board.verdicts, time.monotonic() - began)
    return 0 if all(card.state == "held" for card in board.cards) else 1
