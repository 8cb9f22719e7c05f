"""The life of one end of a channel: opening, open, over, and why. This module sends nothing.

Each step of a program that opens or ends a channel passes here first, so this is where its thread is checked.

::

    opening ──accepted──▶ open ──one direction ended──▶ half-closed ──closed, or the other one ended──▶ closed
       ├──▶ rejected        └──────────────────── closed ─────────────────────────▲     one side has closed it
       ├──▶ closed          └──────────────────── failed, lost ──▶ lost                 any other end
       └──▶ lost
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Literal

from penstock.errors import ChannelClosed, FailedPrecondition
from penstock.streams import Bell, check_thread, reraisable

ChannelState = Literal["opening", "open", "half-closed", "closed", "rejected", "lost"]
Ending = Literal["closed", "rejected", "lost"]


class Life:
    """The state of one end of a channel. The first ending counts.

    opened: the acceptor has accepted. ended_here, ended_there: this side, or the other one, sends nothing more.
    ending, reason, outcome: how and why the channel ended, and the error for `send` and `receive`; None, empty and None before.
    on_left: called once when the other side has left, for whatever reason.
    """

    __slots__ = ("_changed", "_thread", "ended_here", "ended_there", "ending", "on_left", "opened", "outcome", "reason")

    def __init__(self) -> None:
        self.opened = False
        self.ended_here = False
        self.ended_there = False
        self.ending: Ending | None = None
        self.outcome: Exception | None = None
        self.reason = ""
        self.on_left: Callable[[], None] | None = None
        self._changed = Bell()
        self._thread = get_ident()

    @property
    def state(self) -> ChannelState:
        """The state as the program sees it."""
        if self.ending is not None:
            return self.ending
        if not self.opened:
            return "opening"
        return "half-closed" if self.ended_here or self.ended_there else "open"

    def open(self) -> None:
        """Note that the channel was accepted."""
        self.opened = True
        self._changed.notify()

    def end_sending(self) -> None:
        """Note that this side sends nothing more. Raises `WrongThread`."""
        check_thread(self._thread, "this channel")
        self.ended_here = True

    def end_receiving(self) -> None:
        """Note that the other side sends nothing more."""
        self.ended_there = True

    def end(self, ending: Ending, reason: str, outcome: Exception) -> bool:
        """Note how the channel ended; return False, and keep the first ending, when it had ended already.

        Raises `WrongThread`.
        """
        check_thread(self._thread, "this channel")
        if self.ending is not None:
            return False
        self.ending, self.reason, self.outcome = ending, reason, outcome
        self._changed.notify()
        return True

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits for the channel to be accepted, or to be over."""
        return bool(self._changed.waiting)

    def leave(self) -> None:
        """Note that the other side has left."""
        on_left, self.on_left = self.on_left, None
        if on_left is not None:
            on_left()

    def refusal(self) -> Exception:
        """Return the error for an operation that the state does not allow; a new one each time."""
        if self.outcome is not None:
            return reraisable(self.outcome, None)
        if not self.opened:
            return FailedPrecondition("the channel was not accepted yet; `await channel.accept()` first")
        return ChannelClosed("this direction has ended, by close_send() or by the other side; nothing more can be sent")

    def check_answerable(self, *, opener: bool) -> None:
        """Raise the reason why this side cannot accept or reject the channel, if there is one, and `WrongThread`."""
        check_thread(self._thread, "this channel")
        if opener:
            raise FailedPrecondition("this side has opened the channel; the other side accepts or rejects it")
        if self.ending is not None:
            raise self.refusal()
        if self.opened:
            raise FailedPrecondition("the channel was accepted before")

    async def wait_opened(self) -> None:
        """Wait until the channel is accepted, or over. Safe to cancel."""
        while not self.opened and self.ending is None:
            await self._changed.wait()

    async def wait_over(self) -> None:
        """Wait until the channel is over. Safe to cancel."""
        while self.ending is None:
            await self._changed.wait()
