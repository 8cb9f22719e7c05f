"""Timers bound to an actor: a tick is a message, handled before those of others, and ends with the actor. It keeps no clock."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell
    from penstock.actors.cell._envelope import Envelope


class Timer:
    """A method that an actor runs later, once or again and again. Made by `Actor.schedule`.

    A tick that finds the last one waiting or being handled is left out and counted in `missed`: a slow actor is not buried in
    ticks.
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
        if cell.timers is None:
            cell.timers = set()
        cell.timers.add(self)

    @property
    def active(self) -> bool:
        """Whether it will still tick."""
        return self._handle is not None

    def cancel(self) -> None:
        """Tick no more. Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        cell, tick = self._cell, self._tick
        if cell.timers is not None:
            cell.timers.discard(self)
        if tick is not None and cell.orders:
            cell.orders = deque(order for order in cell.orders if order is not tick)

    def _fire(self) -> None:
        handle, cell = self._handle, self._cell
        if self._every is not None and handle is not None:
            late = int((cell.system.loop.time() - handle.when()) / self._every)  # whole periods: something held up the loop
            self._miss(late)
            self._handle = cell.system.loop.call_at(handle.when() + (late + 1) * self._every, self._fire)  # no drift
        else:
            self.cancel()
        tick = self._tick
        if tick is not None and (cell.current is tick or any(order is tick for order in cell.orders or ())):
            self._miss(1)
        else:
            self._tick = cell.call(self.name, *self._args, via="timer")

    def _miss(self, ticks: int) -> None:
        self.missed += ticks
        if ticks:
            self._cell.record("timer", type=self.name)

    def __repr__(self) -> str:
        when = "done" if self._handle is None else f"every {self._every:g} s" if self._every is not None else "once"
        return f"<Timer {self._cell.address}.{self.name} {when}, {self.missed} missed>"
