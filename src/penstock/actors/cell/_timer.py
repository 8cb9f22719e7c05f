"""Timers bound to an actor: a tick is a message, handled before those of others, and ends with the actor."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.actors.cell._cell import Cell
from penstock.actors.cell._envelope import Envelope


class Timer:
    """A method that an actor runs later, once or again and again. `Actor.schedule` makes it.

    A tick is left out, and counted in `missed`, while the last one waits or is being handled: ticks do not pile up before a
    slow actor. Ticks come at multiples of the period after the first one, so they do not drift. The timer ends with the actor,
    and when the actor is restarted.
    """

    __slots__ = ("_args", "_cell", "_every", "_handle", "_tick", "missed", "name")

    def __init__(self, cell: Cell, delay: float, name: str, args: tuple[Any, ...], every: float | None) -> None:
        self._cell = cell
        self._args = args
        self._every = every
        self._tick: Envelope | None = None
        self.name = name
        self.missed = 0
        self._handle: asyncio.TimerHandle | None = cell.system.loop.call_later(delay, self._fire)
        cell.belongings.add_timer(self)

    @property
    def active(self) -> bool:
        """Whether it will tick again."""
        return self._handle is not None

    def cancel(self) -> None:
        """Tick no more; a tick that waits is taken back. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._cell.belongings.discard_timer(self)
        if self._tick is not None:
            self._cell.queue.drop_ticks(self._tick)

    def _fire(self) -> None:
        """Post a tick, unless the last one is not done, and arm the timer for the next."""
        handle, cell = self._handle, self._cell
        if self._every is not None and handle is not None:
            late = int((cell.system.loop.time() - handle.when()) / self._every)  # whole periods: something held up the loop
            self._miss(late)
            self._handle = cell.system.loop.call_at(handle.when() + (late + 1) * self._every, self._fire)  # no drift
        else:
            self.cancel()
        tick = self._tick
        if tick is not None and (cell.current is tick or any(message is tick for message in cell.queue.system_messages or ())):
            self._miss(1)
        else:
            self._tick = cell.post_call(self.name, *self._args, via="timer")

    def _miss(self, ticks: int) -> None:
        self.missed += ticks
        if ticks:
            self._cell.record("timer", type=self.name)

    def __repr__(self) -> str:
        when = "done" if self._handle is None else f"every {self._every:g} s" if self._every is not None else "once"
        return f"<Timer {self._cell.address}.{self.name} {when}, {self.missed} missed>"
