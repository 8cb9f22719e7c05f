"""The work of an actor beside its mailbox: a streaming method or a channel, in a task that ends with the actor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any

from penstock.actors.cell._cell import Cell
from penstock.actors.cell._envelope import Envelope, handling
from penstock.channel import ChannelStatistics
from penstock.errors import StatusError
from penstock.streams import Statistics


class SideTask(AbstractAsyncContextManager[None]):
    """One piece of work of an actor, in a task of its own: ``async with`` it inside that task, or `start` it.

    `tell_end` is called with the reason when the actor ends the work: its consumer is told at once, even if the work goes on.

    statistics: returns how its stream or channel stands; None when there is nothing to return. peer: where the other side is;
    empty for this process. is_lost: whether the connection there is lost.
    """

    __slots__ = (
        "_tell_end",
        "_told",
        "_why",
        "cell",
        "envelope",
        "is_channel",
        "is_lost",
        "name",
        "number",
        "peer",
        "statistics",
        "task",
    )

    def __init__(
        self,
        cell: Cell,
        name: str,
        tell_end: Callable[[StatusError], None] | None = None,
        *,
        is_channel: bool = False,
        statistics: Callable[[], Statistics | ChannelStatistics] | None = None,
    ) -> None:
        self.cell = cell
        self._tell_end = tell_end
        self._told = False
        self._why: StatusError | None = None
        self.name = name
        self.envelope = Envelope(cell, name, (), {}, "system")
        self.is_channel = is_channel
        self.number = cell.system.next_number()
        self.statistics = statistics
        self.task: asyncio.Task[Any] | None = None
        self.peer = ""
        self.is_lost: Callable[[], bool] | None = None

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in a task that ends with the actor."""
        cell = self.cell
        self.task = asyncio.get_running_loop().create_task(work, context=cell.system.context.copy())
        cell.belongings.add_side_task(self)
        self.task.add_done_callback(lambda _task: cell.belongings.discard_side_task(self))

    def cancel(self) -> None:
        """Cancel the work, because the other side has left: once, so that its clean-up is not interrupted."""
        task = self.task
        if task is not None and not task.done() and not task.cancelling():
            task.cancel()

    def end(self, why: StatusError) -> None:
        """End the work, because its actor ends."""
        self._why = why
        if self._tell_end is not None:
            self._tell_end(why)
        self.cancel()

    async def __aenter__(self) -> None:
        cell = self.cell
        cell.queue.check()
        if self.task is None:
            self.task = asyncio.current_task()
            cell.belongings.add_side_task(self)
        if cell.state != "running":  # it starts, starts again, or ends
            turn = asyncio.get_running_loop().create_future()
            cell.post_system(partial(_give_turn, turn))
            await turn
            cell.queue.check()
        handling.set(self.envelope)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cell.belongings.discard_side_task(self)
        ended_here = self._why is not None and isinstance(error, asyncio.CancelledError)
        self._record_end(self._why if ended_here else error)
        if self._why is not None and ended_here:
            if self.task is not None:
                self.task.uncancel()
            raise self._why.fresh_copy() from None

    def begins(self, args: tuple[Any, ...], kwargs: Any) -> None:
        """Tell the tap that a streaming method is called now; it is told of the end, too."""
        self._told = self.cell.system.tap is not None
        self.cell.record("stream_started", stream=self.number, type=self.name, args=args, kwargs=kwargs)

    def _record_end(self, error: BaseException | None) -> None:
        if self._told:
            outcome, text = ("lost", "") if self.is_lost is not None and self.is_lost() else outcome_of(error)
            items = self.statistics().sent if self.statistics is not None else 0
            self.cell.record("stream_ended", stream=self.number, items=items, outcome=outcome, text=text)

    def __repr__(self) -> str:
        return f"<SideTask {self.cell.address} {self.name} {'done' if self.task is None or self.task.done() else 'running'}>"


async def _give_turn(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def outcome_of(error: BaseException | None) -> tuple[str, str]:
    """Return how a piece of work ended, as a word and a text for its history."""
    if error is None:
        return "ended", ""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled", ""
    return ("cancelled" if getattr(error, "code", 0) == 1 else "failed"), f"{type(error).__name__}: {error}"
