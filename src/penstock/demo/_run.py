"""The demo from its start to its exit code: processes, scenes, screen, summary."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final, Protocol, cast

import penstock
from penstock._loop import loop_factory
from penstock.demo import _end_scenes, _file_scene, _scenes
from penstock.demo._board import Board, Card, Verdict
from penstock.demo._metrics import is_available, is_running
from penstock.demo._plain import PlainScreen
from penstock.demo._stage import DemoError, Stage, first_of, server_process, write_file

#: The size of the file by default.
FILE_MB: Final = 200
#: The sum of the durations in the scenes; `seconds` stretches or shortens them.
NORMAL_S: Final = 25.0
#: The shortest demo that can measure anything.
SECONDS_MIN: Final = 3.0
#: The demo ends within a minute in every case, unless a longer one was asked for.
TIMEOUT_S: Final = 55.0
#: How long a finished scene stays before the next one begins.
FINISHED_SCENE_S: Final = 0.7
EXIT_INTERRUPTED: Final = 130  # the exit codes of a shell
EXIT_TERMINATED: Final = 143

Scene = Callable[[Stage, Card], Awaitable[None]]


def scenes() -> list[tuple[Card, Scene]]:
    """Return the scenes in their order. The first one goes on beside all others."""
    return [
        (Card("Metrics", "live samples of this machine, beside everything below", 4), _scenes.metrics),
        (Card("Slow consumer", f"the producer waits: buffer_size={_scenes.SLOW_BUFFER_SIZE}", 5), _scenes.bound),
        (Card("Files", "a large file, and small calls beside it", 6), _file_scene.file),
        (Card("Chat", "two people, both ways in one call", 6), _scenes.chat),
        (Card("Leaving", "break, return, exception, cancel: the producer cleans up", 4), _end_scenes.leave),
        (Card("Losing", "kill -9 of a second server in the middle of a stream", 3), _end_scenes.lose),
    ]


class Screen(AbstractContextManager["Screen"], Protocol):
    """A view of the board. It is drawn every `every_s` seconds, and when a scene begins or ends."""

    every_s: float

    def draw(self, board: Board) -> None:
        """Show the current state of the board."""

    def summarize(self, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Show each promise with its measured value, after the last drawing."""


class Demo:
    """One run of the demo."""

    def __init__(self, screen: Screen, *, file_mb: int, pace: float) -> None:
        self.scenes = scenes()
        self.board = Board(*(card for card, _scene in self.scenes))
        self.pids: list[int] = []
        self._screen = screen
        self._file_mb = file_mb
        self._pace = pace
        self._timeout_s = TIMEOUT_S * max(pace, 1.0)

    async def play(self, workspace: Path) -> None:
        """Play all scenes. Raises `DemoError`. Cancelling it ends the other processes."""
        _cancel_on_signals()
        try:
            async with asyncio.timeout(self._timeout_s):
                await first_of(self._draw(), self._play(workspace))
        except TimeoutError:
            raise DemoError(f"the demo was not over within {self._timeout_s:g} s") from None
        self._screen.draw(self.board)

    async def _draw(self) -> None:
        while True:
            self._screen.draw(self.board)
            await asyncio.sleep(self._screen.every_s)

    async def _play(self, workspace: Path) -> None:
        """Write the file, start the server process, and play the scenes."""
        self.board.heading = f"writing a file of {self._file_mb} MB, starting the server process …"
        file = await asyncio.to_thread(write_file, workspace, self._file_mb)
        async with server_process(workspace) as server, penstock.connect(server.urls[0]) as peer:
            self.pids.append(server.pid)
            loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
            self.board.heading = f"client {os.getpid()} ⇄ server {server.pid} · {server.urls[0]} · {loop}"
            stage = Stage(peer, server, workspace, file, self._pace, self.pids)
            await first_of(server.watch(), self._play_scenes(stage))

    async def _play_scenes(self, stage: Stage) -> None:
        """Play the first scene beside the others, which follow one another."""
        beside = asyncio.create_task(self._play_scene(stage, *self.scenes[0]))
        try:
            await stage.pause(FINISHED_SCENE_S)
            for card, scene in self.scenes[1:]:
                await self._play_scene(stage, card, scene)
                await stage.pause(FINISHED_SCENE_S)
        finally:
            beside.cancel()
            await asyncio.wait([beside])

    async def _play_scene(self, stage: Stage, card: Card, scene: Scene) -> None:
        """Play one scene; an error breaks a promise of its card."""
        card.state = "running"
        self._screen.draw(self.board)
        try:
            await scene(stage, card)
        except (penstock.PenstockError, OSError) as error:
            card.judge(f"{card.title}: the scene is played", f"{type(error).__name__}: {error}", held=False)
        finally:
            card.finish()
        self._screen.draw(self.board)


def run(*, plain: bool, file_mb: int | None, seconds: float | None) -> int:
    """Run the demo; see `run_demo`."""
    if not is_available():
        return _refuse("the demo needs psutil for the figures of this machine; install it with: pip install 'penstock[demo]'")
    screen: Screen = PlainScreen() if plain or not _can_draw() else _live_screen()
    pace = max(seconds or NORMAL_S, SECONDS_MIN) / NORMAL_S
    demo = Demo(screen, file_mb=FILE_MB if file_mb is None else file_mb, pace=pace)
    began = time.monotonic()
    workspace = Path(tempfile.mkdtemp(prefix="penstock-demo-"))
    try:
        with screen, asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(demo.play(workspace))
    except DemoError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        print("penstock demo: stopped; its processes have ended and its files are removed", file=sys.stderr)
        return EXIT_INTERRUPTED if isinstance(stop, KeyboardInterrupt) else EXIT_TERMINATED
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    verdicts = [*demo.board.verdicts, _nothing_left(demo.pids, workspace)]
    screen.summarize(verdicts, time.monotonic() - began)
    return 0 if all(verdict.held for verdict in verdicts) else 1


def _nothing_left(pids: Sequence[int], workspace: Path) -> Verdict:
    running = [pid for pid in pids if is_running(pid)]
    files = f"files in {workspace}" if workspace.exists() else "no file"
    held = not running and not workspace.exists()
    return Verdict("Nothing is left behind", f"{len(running)} of {len(pids)} processes still run, {files}", held)


def _can_draw() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def _live_screen() -> Screen:
    from penstock.demo._view import LiveScreen  # it imports rich, which only a terminal needs

    return LiveScreen()


def _refuse(why: str) -> int:
    print(f"penstock demo: {why}", file=sys.stderr)
    return 1


def _cancel_on_signals() -> None:
    """Cancel this task on SIGTERM and SIGHUP, too; the runner does it for Ctrl-C."""
    task = cast("asyncio.Task[None]", asyncio.current_task())
    for name in ("SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # not on every system
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), task.cancel)
