"""Who waits for an answer at the other end of a lane; as much of a future as an actor needs. It decides no order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.errors import DeadlineExceeded, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.actors.arrivals._asks import Asks
    from penstock.rpc import CallInfo


class RemoteReply:
    """The answer to one ask. It needs no timer: who wants to begin or to answer looks at the clock."""

    __slots__ = ("_asks", "_deadline", "_info", "_number", "on_give_up")

    def __init__(self, asks: Asks, number: int, info: CallInfo) -> None:
        self._asks: Asks | None = asks
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
            asks.answers.answer(self._number, result, last=not asks.open)

    def set_exception(self, error: BaseException) -> None:
        """Answer with an error."""
        asks = self._leave()
        if asks is not None:
            asks.answers.refuse(self._number, error)

    def _leave(self) -> Asks | None:
        asks, self._asks = self._asks, None
        if asks is not None:
            asks.open.pop(self._number, None)
            if self._deadline is not None:
                self._info.deadline = None  # what the handler started, and goes on, is not bound by a call that is over
            asks.ring()
        return asks
