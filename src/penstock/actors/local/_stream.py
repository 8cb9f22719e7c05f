"""`LocalStream`: the items of a streaming method of an actor of this process, which runs beside its mailbox.

The items go through a pipe, as they are. The method runs in a `SideTask`, which ends with the actor.
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, TypeVar

from penstock._outcomes import as_answer, as_failure, ends_the_loop
from penstock.actors.cell import Cell, SideTask, Waiting, call_of, check_cycle, check_read, handling
from penstock.calls import Stream, current_call, inherited_deadline
from penstock.errors import DeadlineExceeded, IdleTimeout, StatusError
from penstock.service import CallOptions, Method
from penstock.streams import BUFFER_SIZE, Fed, PipeSink, PipeSource, PipeState, check_thread, finalize_on

T = TypeVar("T")


def deadline_of(cell: Cell, timeout_s: float | None) -> float | None:
    """Return the deadline of a call to an actor of this process, as a time of the loop's clock; None for no limit."""
    return inherited_deadline(timeout_s, cell.system.loop.time())


class LocalStream(PipeSource[T], Stream[T]):
    """The items of a streaming method of an actor of this process. It begins when it is made."""

    __slots__ = ("__weakref__", "_deadline", "_idle_s", "_work", "target")

    def __init__(self, cell: Cell, method: Method, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions) -> None:
        check_thread(cell.system.thread, cell.system.face)
        cell.queue.check()
        if cell.state != "running":
            check_cycle(cell, handling.get())
        ahead = options.buffer_size or BUFFER_SIZE
        shared: PipeState[T] = PipeState(ahead)
        super().__init__(shared)
        self.target = f"{cell.address}/{method.name}"
        self._idle_s = options.idle_timeout_s
        sink: PipeSink[T] = PipeSink(shared)
        deadline = deadline_of(cell, options.timeout)
        call = call_of(cell, method.name, options.metadata, deadline, sink=sink if method.streams_responses else None)
        self._work = SideTask(cell, method.name, sink.fail, statistics=sink.statistics, call=call)
        self._work.start(_produce(self._work, sink, method, args, kwargs, ahead=ahead, context=copy_context()))
        loop = cell.system.loop
        self._deadline = None if deadline is None else loop.call_at(deadline, _expire, weakref.ref(self))

    def _cancel_with(self, error: StatusError) -> None:
        shared = self._pipe
        shared.cancel()
        if shared.state == "cancelled":
            shared.outcome = error
        self._work.cancel(error)
        if self._deadline is not None:
            self._deadline.cancel()

    def _end(self, error: StatusError) -> None:
        """End the stream with `error`, after the items that are here; an end that is here stays the end."""
        if self._pipe.state == "open":
            self._pipe.finish("failed", error)
            self._work.cancel(error)

    async def aclose(self) -> None:
        """As `cancel`. The producer's clean-up has begun when it returns; a long one goes on, as in another process."""
        self.cancel()
        await asyncio.sleep(0)

    def _keep_ahead(self, items: int | None) -> None:
        self._pipe.keep_ahead(items)

    async def single_result(self) -> T:
        """Return the only item of this stream. Cancelling it cancels the call."""
        try:
            return await self.receive()
        finally:
            self.cancel()

    async def _readable(self) -> None:
        if handling.get() is None:
            await self._item()
            return
        check_read(self._work.envelope)
        with Waiting(self._work.envelope):
            await self._item()

    async def _item(self) -> None:
        if self._idle_s is None:
            await super()._readable()
            return
        timer = self._work.cell.system.loop.call_later(self._idle_s, self._idle)
        try:
            await super()._readable()
        finally:
            timer.cancel()

    def _idle(self) -> None:
        if not self._pipe.buffer:
            self._end(IdleTimeout(f"{self.target}: no item for {self._idle_s:g} s"))

    def _on_loop_left(self) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "_work"):  # not when its __init__ raised
            finalize_on(self._work.cell.system.loop, self.cancel)

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Stream {self.target} {now.state}, {now.buffered} of {now.buffer_size} buffered, {now.received} received>"


def _expire(forgettable: weakref.ref[Any]) -> None:
    stream: LocalStream[Any] | None = forgettable()
    if stream is not None:
        stream._end(DeadlineExceeded(f"{stream.target}: the deadline passed before the stream was over"))


async def _produce(
    work: SideTask,
    sink: PipeSink[Any],
    method: Method,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    ahead: int,
    context: Context,
) -> None:
    """Run a streaming method into a pipe. The requests of the caller, if the method takes some, come from another pipe.

    ahead: requests that may wait in that pipe, unless `receives` sets fewer. context: that of the caller, for its iterable.
    """
    if not method.streams_requests:
        await _run(work, sink, method, args, kwargs)
        return
    requests, rest, keywords = method.arguments.split_requests(args, kwargs)
    window = min(ahead, method.window[0] or ahead)
    fed = Fed(requests, window, context, f"{work.cell.address}/{method.name}: the stream of requests")
    try:
        await _run(work, sink, method, *method.arguments.with_requests(rest, dict(keywords), fed.source))
    finally:
        with suppress(asyncio.CancelledError):  # the requests then close by themselves
            await fed.aclose()


async def _run(work: SideTask, sink: PipeSink[Any], method: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run a streaming method into a pipe. Whatever it raises ends the pipe."""
    cell = work.cell
    current_call.set(work.envelope.info)
    try:
        async with work:
            work.begins(args, kwargs)
            run = getattr(cell.actor, method.name)
            result = run(*args, **kwargs)
            if method.awaited:
                result = await result
            if method.streams_responses:
                await sink.feed(result)
            else:
                await sink.send(result)
    except BaseException as error:
        sink.fail(_failure(error, f"{cell.address}/{method.name}"))
        if ends_the_loop(error):
            raise
    else:
        sink.close()


def _failure(error: BaseException, name: str) -> Exception:
    """Return the error of a stream whose method has raised: without the frames that hold the stream, which holds the error."""
    answer = as_answer(error, name)
    if answer is not None:
        return answer.fresh_copy()
    return as_failure(error, name).with_traceback(_from_the_method(error.__traceback__))


def _from_the_method(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that ran the method: they hold the stream, which holds the error."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("penstock."):
        trace = trace.tb_next
    return trace
