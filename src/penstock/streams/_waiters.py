"""Waiting inside one event loop: `Waiters` form a fair line for room, a `Bell` wakes all tasks that look for themselves.

Both wake a task by the result of a future of its own, so cancelling one task never disturbs another.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections import deque
from collections.abc import Callable
from typing import Any

from penstock.streams._watch import Pressure


class Waiters:
    """Tasks that wait for room, first come, first served. The owner counts its places; this class keeps the line.

    A free place is **reserved** for the task at the head of the line when the owner calls `wake`, not when that task runs.
    Until then the owner counts `reserved` as used, so no later task can take the place::

        if free() == 0:                          # the owner counts `waiters.reserved` as used
            await waiters.wait(self._wake)       # `_wake` calls `waiters.wake(free())`
        ...                                      # take the place here, before the next await

    line: the futures of the tasks that wait; empty, or None before the first one, when no task does.
    reserved: places kept for tasks that were woken and have not run yet. loop: the event loop of the last task that waited.
    """

    __slots__ = ("_pressure", "line", "loop", "reserved")

    def __init__(self) -> None:
        self.line: deque[asyncio.Future[None]] | None = None  # a deque costs 600 bytes, and most owners never need one
        self.reserved = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self._pressure: Pressure | None = None

    @property
    def waiting(self) -> int:
        """How many tasks wait, or were woken and have not taken their place yet."""
        return len(self.line) + self.reserved if self.line else self.reserved

    def watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change` with True when a first task has to wait, and with False when the line is empty again."""
        if self._pressure is None:
            self._pressure = Pressure(paused=bool(self.line))
        self._pressure.watch(on_change)

    async def wait(  # no parameter is keyword-only: calls of such a function are slower, and this one is in a hot path
        self,
        wake: Callable[[], None],
        waiter: asyncio.Future[None] | None = None,
        first: bool = False,  # noqa: FBT001, FBT002 - see above
    ) -> None:
        """Wait at the end of the line until a place is reserved. The caller takes the place before it awaits anything else.

        A wait that is cancelled leaves the line. A place that was reserved for it is given back, and `wake` is called, with
        which the owner passes the place on. `waiter` is the future to wait with, for an owner that may end the wait early by
        setting an exception, which is raised. With `first` the task goes to the head of the line: it was woken, and found that
        the room was gone.
        """
        self.loop = get_running_loop()
        if waiter is None:
            waiter = self.loop.create_future()
        line = self.line
        if line is None:
            line = self.line = deque()
        if first:
            line.appendleft(waiter)
        else:
            line.append(waiter)
        try:
            if self._pressure is not None:
                self._pressure.set(True)
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.reserved -= 1
            elif waiter in line:
                line.remove(waiter)
            wake()
            if not line and self._pressure is not None:
                self._pressure.set(False)
            raise
        self.reserved -= 1

    def wake(self, places: int) -> None:
        """Reserve up to `places` free places, for the tasks that have waited longest."""
        line = self.line
        while line and places > 0:
            waiter = line.popleft()
            if not waiter.done():
                self.reserved += 1
                places -= 1
                waiter.set_result(None)
        if not line and self._pressure is not None:
            self._pressure.set(False)

    def wake_all(self) -> None:
        """Wake every task: nothing is left to wait for, and each of them asks its owner why."""
        self.wake(self.waiting)


class Bell:
    """Wakes all tasks that wait; each of them looks for itself whether its condition holds now.

    ::

        while not condition():
            await bell.wait()

    waiting: the futures of the tasks that wait, or were woken and have not run yet; empty when no task does.
    """

    __slots__ = ("_asleep", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[None], None] = {}
        self._asleep: dict[asyncio.Future[None], None] = {}  # those that were not woken

    async def wait(self) -> None:
        """Wait for the next `notify`. Cancelling it has no effect on other tasks that wait."""
        waiter = get_running_loop().create_future()
        self.waiting[waiter] = self._asleep[waiter] = None
        try:
            await waiter
        finally:
            del self.waiting[waiter]
            self._asleep.pop(waiter, None)

    def notify(self) -> None:
        """Wake all tasks that wait now. A second one in the same turn of the loop finds none of them."""
        if not self._asleep:
            return
        woken, self._asleep = self._asleep, {}
        for waiter in woken:
            if not waiter.done():
                waiter.set_result(None)


def mark_retrieved(future: asyncio.Future[Any]) -> None:
    """Mark the exception of `future`, if it has one, as retrieved: the loop logs nothing when no task awaits it."""
    if future.done() and not future.cancelled():
        future.exception()
