"""The caller's asks of a lane: `PendingAsks`, by id, and `ask_within`, an ask with a deadline or a cancel token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from penstock.calls import CancelToken
from penstock.errors import DeadlineExceeded, StatusError
from penstock.remote._wire import LaneReply, PlainMessage
from penstock.session import RemoteSink


class PendingAsks:
    """The asks of one lane that wait for their answers.

    last_id: id of the newest ask.
    last_id_at_tell: `last_id` when the newest tell was sent; -1 before the first tell.
    highest_answered: the highest id that was answered.
    waiting: the futures of the answers, by id.
    abandoned: ids of asks without a waiter, still to be cancelled at the callee.
    """

    __slots__ = ("abandoned", "highest_answered", "last_id", "last_id_at_tell", "waiting")

    def __init__(self) -> None:
        self.last_id = 0
        self.last_id_at_tell = -1
        self.highest_answered = 0
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.abandoned: list[int] = []

    def resolve(self, replies: list[LaneReply], side: str) -> None:
        """Give each answer of the other side to the ask with its id. An answer without an ask is ignored."""
        waiting = self.waiting
        for reply in replies:
            future = waiting.get(reply.id)
            if future is None or future.done():
                continue
            if reply.error is None:
                future.set_result(reply.result)
            else:
                future.set_exception(reply.error.error(side))
        self.highest_answered = max(self.highest_answered, replies[-1].id)

    def fail(self, error: StatusError) -> None:
        """End every ask with `error`: there will be no answers."""
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(error.fresh_copy())

    def send_cancels(self, sink: RemoteSink[Any]) -> None:
        """Send the cancels of abandoned asks, as far as there is room."""
        abandoned = self.abandoned
        while abandoned and sink.try_send(PlainMessage(-abandoned[-1], "", None)):
            abandoned.pop()


class AskLimits(NamedTuple):
    """The limits of an ask.

    deadline: a time of the loop's clock in seconds; None for no limit.
    cancel: a token that ends the ask when it is cancelled.
    before: called when the ask had to wait for room, just before it is encoded: it notes what is left of the deadline.
    """

    deadline: float | None = None
    cancel: CancelToken | None = None
    before: Callable[[], None] | None = None


class AskingLane(Protocol):
    """The lane of an ask, as `ask_within` needs it."""

    address: str

    async def send(self, message: PlainMessage, before: Callable[[], None] | None = None) -> None:
        """Send a message; wait for room, and call `before` after that wait."""

    def cancel_ask(self, number: int) -> None:
        """Cancel the ask with id `number` at the callee."""


async def ask_within(lane: AskingLane, message: PlainMessage, answer: asyncio.Future[Any], limits: AskLimits) -> Any:
    """Send a message and wait for its answer, within limits.

    Raises `DeadlineExceeded` or `Cancelled` at a limit; their `started` is False when the message was not sent yet.
    """
    deadline, cancel, before = limits
    sending = _Sending()

    def end(error: StatusError) -> None:
        if answer.done():
            return
        error.started = sending.done
        answer.set_exception(error)
        if sending.done:
            lane.cancel_ask(message.id)
        else:
            sending.interrupt()

    def expire() -> None:
        end(DeadlineExceeded(f"{lane.address}: no answer to {message.name!r} in time"))

    if cancel is not None:
        cancel.check()
    timer = None if deadline is None else answer.get_loop().call_at(deadline, expire)
    unregister = None if cancel is None else cancel._add(lambda error: end(error.fresh_copy()))
    try:
        with sending:  # in this task, because messages of other tasks would overtake one that a new task sends
            await lane.send(message, before)
        return await answer
    except asyncio.CancelledError:
        if sending.done:
            lane.cancel_ask(message.id)
        raise
    finally:
        if timer is not None:
            timer.cancel()
        if unregister is not None:
            unregister()


class _Sending(AbstractContextManager[None]):
    """Around a send that a callback may interrupt: `interrupt` leaves the block without cancelling the task.

    It works as `asyncio.timeout` does: a task that is also cancelled by other code stays cancelled.
    """

    __slots__ = ("_cancels_before", "_interrupted", "_task", "done")

    def __init__(self) -> None:
        self.done = False
        self._interrupted = False
        self._task: asyncio.Task[Any] | None = None
        self._cancels_before = 0

    def interrupt(self) -> None:
        """Leave the block."""
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._cancels_before = self._task.cancelling() if self._task is not None else 0

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.done = error is None
        if not self._interrupted or self._task is None:
            return False
        return self._task.uncancel() <= self._cancels_before and isinstance(error, asyncio.CancelledError)
