"""`WorkTurns`: the work of one connection, a bounded amount of it in each turn of the event loop.

One read of 64 KiB can hold a thousand calls, or four thousand frames that are answered, and a connection that is lost can have
16,000 open calls. To handle all of them at once would hold up every other connection for a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

#: Frames that are handled before the clock is looked at.
FRAMES_PER_LOOK: Final = 8
#: Seconds of one turn that one connection may take: ten connections that do their worst delay a call of another by 10 ms.
TURN_S: Final = 0.001
#: Seconds of a turn of the loop, with the handlers of its calls, after which a connection with work left over rests: for one
#: large message cannot be parted, and a call of another connection takes several turns.
LONG_TURN_S: Final = 0.005
#: How long it rests, as a multiple of that turn, and at most: a turn may be long because of other work.
RESTS: Final = 2
REST_MAX_S: Final = 0.1
#: Calls that one connection may begin or lose in one turn, because their handlers run behind it: as much work as in `TURN_S`,
#: at 30 µs for each.
CALLS_PER_TURN: Final = 32


class WorkTurns:
    """Does the work of one connection in turns. The work is known to `step` alone.

    step: does a small piece at the given time, and returns how many calls it has begun or ended; None when no work is left.
    now: the clock.
    context: the context of the calls that begin in a later turn.
    waiting: whether work is left over for the next turn.
    """

    __slots__ = ("_began_s", "_context", "_loop", "_now", "_running", "_step", "waiting")

    def __init__(self, step: Callable[[float], int | None], now: Callable[[], float], context: Context) -> None:
        self._step = step
        self._now = now
        self._context = context
        self._loop: Any = asyncio.get_running_loop()
        self._running = False
        self._began_s = 0.0  # when the last turn has begun
        self.waiting = False

    def begin(self) -> None:
        """Do new work, unless that which was there before is being done: then the new work follows it."""
        if not self.waiting and not self._running:
            self.go_on(self._now(), 0)

    def go_on(self, began_s: float, calls: int) -> bool:
        """Do work until the turn is over, and the rest in the next ones; return whether there is a rest.

        began_s: when the turn has begun.
        calls: the number of calls that have begun in it so far.
        """
        self._running = True
        try:
            while True:
                now_s = self._now()
                if now_s - began_s >= TURN_S or calls >= CALLS_PER_TURN:
                    self.waiting, self._began_s = True, began_s
                    self._loop.call_soon(self._next_turn, context=self._context)
                    return True
                more = self._step(now_s)
                if more is None:
                    break
                calls += more
        finally:
            self._running = False
        self.waiting = False
        return False

    def _next_turn(self) -> None:
        now_s = self._now()
        took_s = now_s - self._began_s
        if took_s < LONG_TURN_S:
            self.go_on(now_s, 0)
        else:
            self._loop.call_later(min(RESTS * took_s, REST_MAX_S), self._rested, context=self._context)

    def _rested(self) -> None:
        self.go_on(self._now(), 0)
