"""`Stalls`: says when an event loop has stood still, and in which function of the program.

A handler that computes, or that waits without ``await``, holds up every other call, stream and keep-alive of its loop. No code
of the loop runs meanwhile, so a thread looks: at a pulse that the loop gives, and at the stack of the loop when that is late.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple, Self

from penstock._upkeep import upkeep

log: Final = logging.getLogger("penstock.stalls")

#: A loop that gives no pulse for this time stands still: so long a small call must never wait (asyncio's debug mode has the
#: same bound for one callback).
STANDSTILL_S: Final = 0.1
#: Seconds between two pulses, and between two looks: at most so much later a stall is seen. Both cost some 20 µs each.
PULSE_S: Final = 0.05
#: Where the frames of the loop begin, and of this package: the others are those of the program.
_OF_LOOP: Final = str(Path(asyncio.__file__).parent)
_OF_PENSTOCK: Final = str(Path(__file__).parent)


class Stall(NamedTuple):
    """The last time that the loop stood still: for how long, and in which function of the program."""

    seconds: float
    where: str


class Stalls:
    """Watches the running event loop, from entry to exit of its ``async with`` block.

    count: how often the loop has stood still. last: the last of these times; None before the first.

    Each is logged as a warning with the function of the program that ran, a handler as a rule, and with the innermost one, by
    their files and lines.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last: Stall | None = None
        self._pulse_s = 0.0
        self._where = ""
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._over.clear()
        self._pulse_s = time.monotonic()
        self._timer = self._loop.call_later(PULSE_S, self._pulse)
        self._thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="penstock-stalls", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join(STANDSTILL_S)  # it ends at once

    @upkeep
    def _pulse(self) -> None:
        now_s = time.monotonic()
        late_s = now_s - self._pulse_s - PULSE_S
        self._pulse_s = now_s
        where, self._where = self._where, ""
        if late_s >= STANDSTILL_S and where:
            self.count += 1
            self.last = Stall(late_s, where)
            log.warning("the event loop stood still for %.0f ms in %s", late_s * 1000, where)
        self._timer = self._loop.call_later(PULSE_S, self._pulse)

    def _watch(self, thread: int) -> None:
        """Look at the pulse from a thread of its own, until the end."""
        while not self._over.wait(PULSE_S):
            if not self._where and time.monotonic() - self._pulse_s - PULSE_S >= STANDSTILL_S:
                frame = sys._current_frames().get(thread)
                self._where = "" if frame is None else where_in(frame)
                del frame  # it holds the variables of a handler


def where_in(frame: FrameType) -> str:
    """Return the functions of the program in a stack: the one that the loop or Penstock has called, and the innermost one.

    Empty without a function of the program: the loop waits, and the machine or another thread holds it up.
    """
    own: list[str] = []
    step: FrameType | None = frame
    while step is not None:
        code = step.f_code
        if not code.co_filename.startswith((_OF_LOOP, _OF_PENSTOCK)):
            own.append(f"{code.co_qualname} ({Path(code.co_filename).name}:{step.f_lineno})")
        elif own:
            break
        step = step.f_back
    return f"{own[-1]}, at {own[0]}" if len(own) > 1 else "".join(own)
