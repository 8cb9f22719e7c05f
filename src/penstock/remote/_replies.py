"""Who waits for answers at the other end of a lane, and how many may: each is as much of a future as an actor needs.

It handles no message, and decides no order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from penstock.errors import DeadlineExceeded, StatusError
from penstock.streams import Bell

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.calls import CallInfo
    from penstock.remote._answers import Answers


#: Asks of one lane that are being worked on, and answers that its caller has not taken: beyond it the lane is not read.
ASKS_MAX: Final = 4096


class RemoteReply:
    """The answer to one ask. It needs no timer: who wants to begin or to answer looks at the clock."""

    __slots__ = ("_asks", "_deadline", "_info", "_number", "on_give_up")

    def __init__(self, asks: OpenAsks, number: int, info: CallInfo) -> None:
        self._asks: OpenAsks | None = asks
        self._number = number
        self._info = info
        self._deadline = info.deadline
        self.on_give_up: Callable[[StatusError], None] | None = None

    def done(self) -> bool:
        """Whether it was answered, or nobody waits any more."""
        asks = self._asks
        if asks is None:
            return True
        if self._deadline is None or asks.loop.time() < self._deadline:
            return False
        self.set_exception(DeadlineExceeded(f"{self._info.target}: the deadline passed before it was answered"))
        return True

    def give_up(self, error: StatusError) -> None:
        """The asker wants no answer."""
        if self._leave() is not None and self.on_give_up is not None:
            self.on_give_up(error)

    def set_result(self, result: Any) -> None:
        """Answer."""
        asks = self._leave()
        if asks is not None:
            asks.answers.answer(self._number, result, flush=not asks.open)

    def set_exception(self, error: BaseException) -> None:
        """Answer with an error."""
        asks = self._leave()
        if asks is not None:
            asks.answers.refuse(self._number, error)

    def _leave(self) -> OpenAsks | None:
        asks, self._asks = self._asks, None
        if asks is not None:
            asks.open.pop(self._number, None)
            if self._deadline is not None:
                self._info.deadline = None  # what the handler started, and goes on, is not bound by a call that is over
            asks.changed.notify()
        return asks


class OpenAsks:
    """Those that are open, by their numbers; `answers` is where they will be answered."""

    __slots__ = ("answers", "changed", "loop", "open")

    def __init__(self, loop: asyncio.AbstractEventLoop, answers: Answers) -> None:
        self.loop = loop
        self.answers = answers
        self.open: dict[int, RemoteReply] = {}
        self.changed = Bell()  # an ask was answered, or given up, or an answer has left

    def is_full(self) -> bool:
        """Whether nothing more is to be read for this caller."""
        return len(self.open) + len(self.answers.late) >= ASKS_MAX or self.answers.too_late

    def is_busy(self) -> bool:
        """Whether an answer is still to be given, or to leave."""
        return bool(self.open or self.answers.late)

    async def wait_while(self, condition: Callable[[], bool]) -> None:
        """Wait until one of these two does not hold any more."""
        while condition():
            await self.changed.wait()

    def give_up(self, number: int, error: StatusError) -> None:
        """The asker of this one wants no answer."""
        ask = self.open.get(number)
        if ask is not None:
            ask.give_up(error)

    def give_up_all(self, error: StatusError) -> None:
        """Nobody wants an answer."""
        for ask in tuple(self.open.values()):
            ask.give_up(error)
