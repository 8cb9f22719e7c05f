"""An event loop whose time jumps to the next deadline instead of waiting for it. This module never reads the real clock.

::

    penstock.testing.run(main())                                # like asyncio.run, an hour passes in no time

    def pytest_asyncio_loop_factories(config, item):            # conftest.py: every async test of a folder
        return {"virtual": penstock.testing.VirtualClockLoop}

Work in threads (`asyncio.to_thread`) takes no virtual time: the clock stands still until it is done. Real sockets work, but a
deadline does not wait for bytes that are still on their way. For tests of time-outs use `SimulatedNetwork` or ``memory://``.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import PurePath
from types import FrameType
from typing import Any, TypeVar

from penstock._upkeep import is_upkeep

T = TypeVar("T")

#: Deadlines that are closer than this count as one. asyncio's own resolution, a nanosecond, is below the precision of a float
#: at half a year, and the loop would then run for ever without reaching the deadline.
CLOCK_RESOLUTION_S = 1e-6

#: How many waiting tasks a `Deadlock` describes; the others are only counted.
TASKS_SHOWN_MAX = 20


#: How often each timer of a keep-alive may be due, while no task goes on, before the program counts as one that waits for ever:
#: a peer that is silent is lost after two.
UPKEEP_ROUNDS = 4


class Deadlock(Exception):
    """The program would wait for ever: nothing is ready, no deadline is set and no I/O is awaited. Lists the waiting tasks.

    The keep-alive of a connection does not count as a deadline when all tasks go on waiting while the peers answer, nor do the
    attempts to connect again. So the clock may have moved on by some intervals of them.
    """


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at `start` seconds and jumps to the next deadline when all tasks wait.

    When no deadline is set and no I/O is awaited, the jump raises `Deadlock` in the caller of the loop.
    """

    # Attributes of asyncio's loop that it does not declare.
    _scheduled: list[Any]
    _selector: _JumpingSelector
    _signal_handlers: dict[int, Any]

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._working_threads = 0
        self._went_on = True  # whether a task has gone on since the last jump
        self._quiet_until: float | None = None  # no task has gone on since the timers began to be those of upkeep alone
        super().__init__(_JumpingSelector(self._jump))
        self._clock_resolution = CLOCK_RESOLUTION_S
        # Files that the loop registers for itself, to be woken from threads.
        self._own_files = len(self._selector.get_map())

    def __repr__(self) -> str:
        return f"<VirtualClockLoop at {self._now:g} s>"

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds`, as if the whole process had been blocked for that long: deadlines are then late.

        Raises `ValueError` for a negative time.
        """
        if seconds < 0:
            raise ValueError(f"time cannot go back by {-seconds} s")
        self._now += seconds

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        """Arrange for a callback to be called, and note that a task goes on when it is a step of one."""
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, asyncio.Task) and not is_upkeep(owner):
            self._went_on = True
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run `func` in a thread; the clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._working_threads += 1
        future.add_done_callback(self._thread_is_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Wait for the threads, in real time."""
        self._working_threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._working_threads -= 1

    def _thread_is_done(self, _: object) -> None:
        self._working_threads -= 1

    def _jump(self) -> bool:
        """Move the clock to the next deadline; return whether the loop has to wait in real time instead."""
        if self._working_threads:
            return True
        deadline = self._scheduled[0].when() if self._scheduled else math.inf
        if deadline < math.inf and not self._is_quiet():
            self._now = max(self._now, deadline)
            return False
        if len(self._selector.get_map()) > self._own_files or self._signal_handlers:
            return True
        self._quiet_until = None
        raise Deadlock(self._describe())

    def _is_quiet(self) -> bool:
        """Whether nothing but timers of upkeep is left, and no task has gone on while each of them was due a few times."""
        if self._went_on:  # the timers of a thousand connections are not looked at each time
            self._went_on, self._quiet_until = False, None
        elif not all(timer.cancelled() or is_upkeep(timer._callback) for timer in self._scheduled):
            self._quiet_until = None
        elif self._quiet_until is None:
            latest = max(timer.when() for timer in self._scheduled)
            self._quiet_until = self._now + UPKEEP_ROUNDS * (latest - self._now)
        return self._quiet_until is not None and self._now > self._quiet_until

    def _describe(self) -> str:
        waiting = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        lines = [f"  {task.get_name()}: {_where(task)}" for task in waiting[:TASKS_SHOWN_MAX]]
        if len(waiting) > TASKS_SHOWN_MAX:
            lines.append(f"  and {len(waiting) - TASKS_SHOWN_MAX} more")
        head = f"at {self._now:g} s nothing is ready, no deadline is set and no I/O is awaited"
        return "\n".join([f"{head}; these tasks wait:", *lines]) if lines else f"{head}, and no task waits"


class _JumpingSelector(selectors.BaseSelector):
    """The selector of the system, which waits only when the clock cannot jump."""

    def __init__(self, jump: Callable[[], bool]) -> None:
        self._inner = selectors.DefaultSelector()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self._inner.select(None) if self._jump() else ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


def run(main: Coroutine[Any, Any, T], *, start: float = 0.0) -> T:
    """Run `main` to its end on a `VirtualClockLoop` that starts at `start` seconds, and return its result.

    Raises the error of `main`, and `Deadlock` when the program would wait for ever. Call it like `asyncio.run`: in a thread in
    which no event loop runs.
    """
    with asyncio.Runner(loop_factory=partial(VirtualClockLoop, start)) as runner:
        return runner.run(main)


def _where(task: asyncio.Task[Any]) -> str:
    """Return where a task waits, from its own function down to the innermost await."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = _frame_of(awaited)
        if frame is None:
            break
        places.append(f"{frame.f_code.co_qualname} ({PurePath(frame.f_code.co_filename).name}:{frame.f_lineno})")
        awaited = _next_of(awaited)
    return " → ".join(places) or repr(task.get_coro())


def _frame_of(awaited: Any) -> FrameType | None:
    frames = (getattr(awaited, name, None) for name in ("cr_frame", "gi_frame", "ag_frame"))
    return next((frame for frame in frames if isinstance(frame, FrameType)), None)


def _next_of(awaited: Any) -> Any:
    inner = (getattr(awaited, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
    return next((one for one in inner if one is not None), None)
