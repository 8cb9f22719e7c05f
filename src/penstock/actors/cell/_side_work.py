"""The work of an actor beside its mailbox, which ends with it: streaming methods and channels in side tasks, and timers.

A side task runs beside the messages of the actor; a tick of a timer is a message, handled before those of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any

from penstock._outcomes import named
from penstock.actors.cell._cell import Cell
from penstock.actors.cell._context import begin_later
from penstock.actors.cell._envelope import Envelope, handling
from penstock.calls import CallInfo
from penstock.channel import ChannelStatistics
from penstock.errors import StatusError
from penstock.streams import Statistics


class SideTask(AbstractAsyncContextManager[None]):
    """One piece of work of an actor, in a task of its own: ``async with`` it inside that task, or `start` it.

    `tell_end` is called with the reason when the actor ends the work: its consumer is told at once, even if the work goes on.

    statistics: returns how its stream or channel stands; None when there is nothing to return. peer: where the other side is;
    empty for this process. call: describes the work to its handler, and says how it has ended.
    """

    __slots__ = (
        "_call",
        "_tell_end",
        "_told",
        "_why",
        "cell",
        "envelope",
        "is_channel",
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
        peer: str = "",
        call: CallInfo | None = None,
    ) -> None:
        self.cell = cell
        self._tell_end = tell_end
        self._told = False
        self._why: StatusError | None = None
        self.name = name
        self.envelope = Envelope(cell, name, (), {}, "system", info=call)
        self.is_channel = is_channel
        self.number = cell.system.next_number()
        self.statistics = statistics
        self.task: asyncio.Task[Any] | None = None
        self.peer = peer
        self._call = call

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in a task that ends with the actor."""
        cell = self.cell
        self.task = begin_later(work, cell.system)
        cell.belongings.add_side_task(self)
        self.task.add_done_callback(lambda _task: cell.belongings.discard_side_task(self))

    def around(self, call: CallInfo) -> SideTask:
        """Return itself, as the innermost interceptor of a call whose sink its statistics show."""
        self._call = call
        self.statistics = None if call.sink is None else call.sink.statistics
        return self

    def call_method(self, *args: Any, **kwargs: Any) -> Any:
        """Call the streaming method of that name. It is looked up only now: a restart may have made another actor."""
        self.begins(args, kwargs)
        return getattr(self.cell.actor, self.name)(*args, **kwargs)

    def cancel(self, why: StatusError | None = None) -> None:
        """Cancel the work, because the other side has left: once, so that its clean-up is not interrupted."""
        task = self.task
        if task is not None and not task.done() and not task.cancelling():
            if why is not None and self._call is not None:
                self._call._leave(why)
            task.cancel()

    def end(self, why: StatusError) -> None:
        """End the work, because its actor ends."""
        self._why = why
        if self._call is not None:
            self._call._leave(why)
        if self._tell_end is not None:
            self._tell_end(why)
        self.cancel()

    async def __aenter__(self) -> None:
        cell = self.cell
        cell.queue.check()
        if self.task is None:  # it was not begun by `start`
            self.task = asyncio.current_task()
            cell.belongings.add_side_task(self)
        self.envelope.run_here()
        if cell.state != "running":  # it starts, starts again, or ends
            may_begin = asyncio.get_running_loop().create_future()
            cell.post_system(partial(_let_begin, may_begin))
            await may_begin
            cell.queue.check()
        handling.set(self.envelope)

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cell.belongings.discard_side_task(self)
        self.envelope.run_no_more()
        if self.envelope.info is not None:
            self.envelope.info._end()
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
            outcome, text = outcome_of(error)
            if outcome == "cancelled" and self._call is not None and self._call.outcome is not None:
                outcome = self._call.outcome
            items = self.statistics().sent if self.statistics is not None else 0
            self.cell.record("stream_ended", stream=self.number, items=items, outcome=outcome, text=text)

    def __repr__(self) -> str:
        return f"<SideTask {self.cell.address} {self.name} {'done' if self.task is None or self.task.done() else 'running'}>"


async def _let_begin(may_begin: asyncio.Future[None]) -> None:
    if not may_begin.done():
        may_begin.set_result(None)


def outcome_of(error: BaseException | None) -> tuple[str, str]:
    """Return how a piece of work ended, as a word and a text for its history."""
    if error is None:
        return "ended", ""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "cancelled", ""
    return ("cancelled" if getattr(error, "code", 0) == 1 else "failed"), named(error)


# ── timers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


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
