"""Who waits for which answer of a lane, and how long: until a time, or until somebody cancels it. It knows no stream."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.calls import CancelToken
from penstock.errors import DeadlineExceeded, StatusError
from penstock.remote._wire import LaneMessage, LaneReply, PlainMessage
from penstock.session import RemoteSink

if TYPE_CHECKING:
    from penstock.remote._lane_client import LaneClient


class PendingAsks:
    """The asks of one lane, by their numbers.

    `number` is that of the last one, `told` what it was when something was told last, `answered` the highest that was
    answered; `given_up` are those that nobody waits for, and of which the other side is still to be told.
    """

    __slots__ = ("answered", "given_up", "number", "told", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.told = -1
        self.answered = 0
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.given_up: list[int] = []

    def hand_out(self, replies: list[LaneReply]) -> None:
        """Give these answers to who waits for them."""
        waiting = self.waiting
        for reply in replies:
            future = waiting.get(reply.id)
            if future is None or future.done():
                continue
            if reply.error is None:
                future.set_result(reply.result)
            else:
                future.set_exception(reply.error.raised())
        self.answered = max(self.answered, replies[-1].id)

    def fail(self, error: StatusError) -> None:
        """There will be no answers."""
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(error.fresh_copy())

    def tell_given_up(self, sink: RemoteSink[Any]) -> None:
        """Tell the other side, as far as there is room for it."""
        given_up = self.given_up
        while given_up and sink.offer(PlainMessage(-given_up[-1], "", None)):
            given_up.pop()


class AskLimits(NamedTuple):
    """How long an ask waits: until a time of the loop's clock, or until somebody cancels it."""

    deadline: float | None = None
    cancel: CancelToken | None = None


async def ask_within(
    lane: LaneClient, message: LaneMessage | PlainMessage, answer: asyncio.Future[Any], limits: AskLimits
) -> Any:
    """Send a message and wait for its answer; one that is cut short before it was sent has surely not begun."""
    deadline, cancel = limits
    sending = _Sending()

    def give_up(error: StatusError) -> None:
        if answer.done():
            return
        error.started = sending.done
        answer.set_exception(error)
        if sending.done:
            lane.give_up(message.id)
        else:
            sending.interrupt()

    def expire() -> None:
        give_up(DeadlineExceeded(f"{lane.address}: no answer to {message.name!r} in time"))

    if cancel is not None:
        cancel.check()
    timer = None if deadline is None else answer.get_loop().call_at(deadline, expire)
    forget = None if cancel is None else cancel.add(lambda error: give_up(error.fresh_copy()))
    try:
        with sending:  # in this task, whose turn it is: a task of its own would be overtaken
            await lane.send(message)
        return await answer
    except asyncio.CancelledError:
        if sending.done:
            lane.give_up(message.id)
        raise
    finally:
        if timer is not None:
            timer.cancel()
        if forget is not None:
            forget()


class _Sending(AbstractContextManager[None]):
    """``with`` it, a task sends something, until somebody interrupts that: the block is left, and the task goes on behind it.

    As ``asyncio.timeout`` does it: a task that somebody else cancels at the same time is cancelled.
    """

    __slots__ = ("_before", "_interrupted", "_task", "done")

    def __init__(self) -> None:
        self.done = False
        self._interrupted = False
        self._task: asyncio.Task[Any] | None = None
        self._before = 0

    def interrupt(self) -> None:
        """Leave the block."""
        if self._task is not None:
            self._interrupted = True
            self._task.cancel()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task is not None else 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.done = error is None
        if not self._interrupted or self._task is None:
            return False
        return self._task.uncancel() <= self._before and isinstance(error, asyncio.CancelledError)
