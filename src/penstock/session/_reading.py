"""`FrameTurns`: the frames of one connection, a bounded amount of work in each turn of the event loop.

One read of 64 KiB can hold a thousand calls, or four thousand frames that are answered. To handle all of them at once would
hold up every other connection for a second. What is left over is handled in the next turns, and the link is not read meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, Final

from penstock.protocol import Connection
from penstock.protocol import events as ev
from penstock.transports import Link

#: Frames that are handled before the clock is looked at.
FRAMES_PER_LOOK: Final = 8
#: Seconds of one turn that one connection may take: ten connections that do their worst delay a call of another by 10 ms.
TURN_S: Final = 0.001
#: Calls that one connection may begin in one turn, because their handlers run behind it: as much work as in `TURN_S`, at 30 µs
#: for each.
CALLS_PER_TURN: Final = 32


class FrameTurns:
    """Handles the frames of a connection in turns.

    handle: called with the events of each piece.
    context: the context of the calls that begin here; the caller of `take` and `finish` runs them in it.
    waiting: whether frames are left over for the next turn.
    link: the link that is paused while frames wait; None before there is one.
    """

    __slots__ = ("_connection", "_context", "_handle", "_loop", "_now", "link", "waiting")

    def __init__(
        self,
        connection: Connection,
        handle: Callable[[Sequence[ev.Event]], None],
        now: Callable[[], float],
        context: Context,
    ) -> None:
        self._context = context
        self._connection = connection
        self._handle = handle
        self._now = now
        self._loop: Any = asyncio.get_running_loop()
        self.waiting = False
        self.link: Link | None = None

    def take(self, size: int) -> None:
        """Take `size` bytes from the link, and handle their frames as far as this turn goes."""
        now_s = self._now()
        if self.waiting:  # a link may bring some bytes more after it was paused
            self._connection.buffer_updated(size, now_s, 0)
            return
        events = self._connection.buffer_updated(size, now_s, FRAMES_PER_LOOK)
        self._handle(events)
        if self._connection.decoder.has_frame():
            self._go_on(now_s, _calls_in(events))

    def finish(self) -> None:
        """Handle all frames that have arrived: the link is gone, and what came before its end counts."""
        while self._has_frames():
            self._handle(self._connection.buffer_updated(0, self._now(), FRAMES_PER_LOOK))

    def _go_on(self, began_s: float, calls: int) -> None:
        """Handle further frames until the turn is over, and the rest in the next one."""
        connection = self._connection
        while self._has_frames():
            now_s = self._now()
            if now_s - began_s >= TURN_S or calls >= CALLS_PER_TURN:
                self._wait()
                return
            events = connection.buffer_updated(0, now_s, FRAMES_PER_LOOK)
            self._handle(events)
            calls += _calls_in(events)
        if self.waiting:
            self.waiting = False
            if self.link is not None:
                self.link.resume_reading()

    def _has_frames(self) -> bool:
        return not self._connection.failed and self._connection.decoder.has_frame()

    def _wait(self) -> None:
        if not self.waiting:
            self.waiting = True
            if self.link is not None:
                self.link.pause_reading()
        self._loop.call_soon(self._next_turn, context=self._context)

    def _next_turn(self) -> None:
        self._go_on(self._now(), 0)


def _calls_in(events: Sequence[ev.Event]) -> int:
    return sum(type(event) is ev.Opened for event in events)
