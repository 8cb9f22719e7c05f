"""The asks of one lane that are being worked on, and how many there may be. It handles no message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from penstock.errors import StatusError

if TYPE_CHECKING:
    from penstock.actors.arrivals._answers import Answers
    from penstock.actors.arrivals._reply import RemoteReply

#: Asks of one lane that are being worked on, and answers that its caller has not taken: beyond it the lane is not read.
ASKS_MAX: Final = 4096


class Asks:
    """Those that are open, by their numbers; `answers` is where they will be answered."""

    __slots__ = ("_bell", "answers", "loop", "open")

    def __init__(self, loop: asyncio.AbstractEventLoop, answers: Answers) -> None:
        self.loop = loop
        self.answers = answers
        self.open: dict[int, RemoteReply] = {}
        self._bell: asyncio.Future[None] | None = None

    def is_full(self) -> bool:
        """Whether nothing more is to be read for this caller."""
        return len(self.open) + len(self.answers.late) >= ASKS_MAX or self.answers.too_late

    def is_busy(self) -> bool:
        """Whether an answer is still to be given, or to leave."""
        return bool(self.open or self.answers.late)

    async def wait_while(self, condition: Callable[[], bool]) -> None:
        """Wait until one of these two does not hold any more."""
        while condition():
            self._bell = self.loop.create_future()
            try:
                await self._bell
            finally:
                self._bell = None

    def ring(self) -> None:
        """An ask was answered, or given up, or an answer has left."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def give_up(self, number: int, error: StatusError) -> None:
        """The asker of this one wants no answer."""
        ask = self.open.get(number)
        if ask is not None:
            ask.give_up(error)

    def give_up_all(self, error: StatusError) -> None:
        """Nobody wants an answer."""
        for ask in tuple(self.open.values()):
            ask.give_up(error)
