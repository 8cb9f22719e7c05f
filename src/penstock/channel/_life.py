"""The life of one end of a channel: opening, open, over, and why. This module sends nothing.

::

    opening ──accepted──▶ open ──one direction ended──▶ half-closed ──closed, or the other one ended──▶ closed
       ├──▶ rejected        └──────────────────── closed ─────────────────────────▲     the end was said by a side
       ├──▶ closed          └──────────────────── failed, lost ──▶ lost                 anything else
       └──▶ lost
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from penstock.errors import ChannelClosed, FailedPrecondition
from penstock.observe import Kind
from penstock.streams import Bell, reraisable

ChannelState = Literal["opening", "open", "half-closed", "closed", "rejected", "lost"]
Ending = Literal["closed", "rejected", "lost"]

#: Who wants to know what happens to a channel: it gets the kinds of `Tap` that begin with "channel", with their data.
Observer = Callable[[Kind, dict[str, Any]], None]


class Life:
    """What one end of a channel knows of it. The first ending counts."""

    __slots__ = ("_changed", "ended_here", "ended_there", "ending", "observer", "opened", "outcome", "reason")

    def __init__(self) -> None:
        self.opened = False
        self.ended_here = False  # this side sends nothing more
        self.ended_there = False  # the other side sends nothing more
        self.ending: Ending | None = None
        self.outcome: Exception | None = None  # for who sends, or receives what will not come
        self.reason = ""
        self.observer: Observer | None = None
        self._changed = Bell()

    @property
    def state(self) -> ChannelState:
        """How the channel stands."""
        if self.ending is not None:
            return self.ending
        if not self.opened:
            return "opening"
        return "half-closed" if self.ended_here or self.ended_there else "open"

    def open(self) -> None:
        """It was accepted."""
        self.opened = True
        self._changed.notify()

    def end(self, ending: Ending, reason: str, outcome: Exception) -> bool:
        """It is over; return whether it was not before."""
        if self.ending is not None:
            return False
        self.ending, self.reason, self.outcome = ending, reason, outcome
        self._changed.notify()
        return True

    def refusal(self) -> Exception:
        """Say why nothing can be sent, or received."""
        if self.outcome is not None:
            return reraisable(self.outcome, None)
        if not self.opened:
            return FailedPrecondition("the channel was not accepted yet; `await channel.accept()` first")
        return ChannelClosed("this direction has ended, by close_send() or by the other side; nothing more can be sent")

    async def wait_opened(self) -> None:
        """Wait until it is accepted, or over."""
        while not self.opened and self.ending is None:
            await self._changed.wait()

    async def wait_over(self) -> None:
        """Wait until it is over."""
        while self.ending is None:
            await self._changed.wait()
