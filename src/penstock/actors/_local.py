"""Actors of this process as values: `LocalRef`, and the streams of their methods. No message here is encoded.

A message whose method has no ``await`` is handled where it is sent, when its actor is idle: nothing could happen between, and
a future and two turns of the loop cost six times as much as the message (measured). All others go through the mailbox.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penstock._outcomes import as_answer, as_failure, ends_the_loop
from penstock.actors._channels import open_local
from penstock.actors._ref import ActorRef, ask_timeout
from penstock.actors.cell import (
    NO_REPLY,
    Cell,
    Envelope,
    SideTask,
    Waiting,
    ask,
    call_of,
    check_cycle,
    check_read,
    envelope_for,
    handle_now,
    handling,
    sender_here,
    subscribe,
    subscriber_size,
)
from penstock.calls import CancelToken, ConvertedStream, Stream, current_call, inherited_deadline
from penstock.codec import reader
from penstock.errors import DataLoss, DeadlineExceeded, IdleTimeout, StatusError, Unimplemented
from penstock.service import CallOptions, Method, arguments_of, suggest
from penstock.streams import (
    BUFFER_SIZE,
    Converted,
    Fed,
    Overflow,
    PipeSink,
    PipeSource,
    PipeState,
    Source,
    check_thread,
    finalize_on,
)

if TYPE_CHECKING:
    from penstock.channel import Channel

T = TypeVar("T")


class LocalRef(ActorRef):
    """An actor of this process."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @property
    def address(self) -> str:
        """Its name."""
        return self.cell.address

    @property
    def id(self) -> str:
        """Its unique id."""
        return self.cell.id

    async def tell(self, name: str, payload: Any = None) -> None:
        cell = self.cell
        try:
            envelope = envelope_for(cell, name, payload, "tell")
        except StatusError as error:
            cell.system.dead_letter(Envelope(cell, name, (), {}, "tell", sender=sender_here()), error.message)
            raise
        if not cell.post(envelope):
            await cell.post_when_room(envelope)

    async def ask(
        self,
        name: str,
        payload: Any = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
        type: Any = Any,
    ) -> Any:
        if type is not Any:
            read = reader(type, f"{self.address}/{name}: its result", DataLoss)
            return read(await self.ask(name, payload, timeout=timeout, cancel=cancel))
        cell, timeout_s = self.cell, ask_timeout(timeout)
        envelope = envelope_for(cell, name, payload, "ask")
        if cancel is not None:
            cancel.check()
        deadline = _deadline(cell, timeout_s)
        if envelope.name in cell.inline_methods and cell.is_idle():
            try:
                return handle_now(cell, envelope.name, envelope.args, envelope.kwargs, metadata=None, deadline=deadline)
            finally:
                if next(cell.system.turns):
                    await asyncio.sleep(0)  # behind the message: before it, the next one would overtake it
        if cancel is None:
            return await ask(envelope, deadline)
        forget = cancel._add(envelope.give_up)
        try:
            return await ask(envelope, deadline)
        finally:
            forget()

    def _stream(self, name: str, payload: Any, options: CallOptions, kind: Any) -> Stream[Any]:
        self.cell.queue.check()
        method = self.cell.service.methods.get(name)
        if method is None or not method.streams_responses:
            streams = [each.name for each in self.cell.service.methods.values() if each.streams_responses]
            raise Unimplemented(f"{self.address} has no stream {name!r}; {suggest(name, streams, 'streams')}", started=False)
        args, kwargs = method.arguments.fitted(*arguments_of(method, payload))
        read = None if kind is Any else reader(kind, f"{self.address}/{name}: an item", DataLoss)
        stream: LocalStream[Any] = LocalStream(self.cell, method, args, kwargs, options)
        return stream if read is None else ConvertedStream(stream, read)

    async def open_channel(
        self, payload: Any = None, *, timeout: float | None = None, buffer_size: int = BUFFER_SIZE, type: Any = Any
    ) -> Channel[Any]:
        return await open_local(self.cell, payload, timeout, buffer_size, type)

    def subscribe(
        self, port: str, *, buffer_size: int | None = None, overflow: str | None = None, type: Any = Any
    ) -> Source[Any]:
        buffer_size = subscriber_size(buffer_size, overflow)
        read = None if type is Any else reader(type, f"port {port} of {self.address}: an item", DataLoss)
        source = subscribe(self.cell, port, buffer_size, cast("Overflow | None", overflow))
        return source if read is None else Converted(source, read, lambda _error: source._on_loop_left())

    async def stop(self) -> None:
        await self.cell.stop()

    # ── for typed stubs ───────────────────────────────────────────────────────────────────────────────────────────────

    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        if method.streams_responses:
            return _streaming(self.cell, method, options)
        if method.streams_requests:
            return _collecting(self.cell, method, options)
        return _asking(self.cell, method, options)

    def _telling(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        cell, name, check, takes = self.cell, method.name, method.arguments.check, method.arguments.takes
        post, metadata = cell.post, options.metadata

        async def tell(*args: Any, **kwargs: Any) -> None:
            if kwargs or len(args) not in takes:
                check(args, kwargs)
            sender = handling.get()
            if sender is None:
                envelope = Envelope(cell, name, args, kwargs, "tell")
            else:
                envelope = Envelope(cell, name, args, kwargs, "tell", sender=sender.cell.address)
            if metadata:
                envelope.info = call_of(cell, name, metadata)
            if not post(envelope):
                await cell.post_when_room(envelope)

        return tell

    def __repr__(self) -> str:
        cell = self.cell
        return f"<ActorRef {cell.address} {cell.state}, {len(cell.queue)} of {cell.queue.rules.size} waiting>"


def _asking(cell: Cell, method: Method, options: CallOptions) -> Callable[..., Any]:
    """Make the function of a stub that asks a method of an actor of this process.

    It has three ways: an idle actor handles the message here; an ask from outside of actors, without a deadline, waits for a
    future and for nothing else; all others go through `ask`, which sees deadlines and circles of waits.
    """
    name, check, takes = method.name, method.arguments.check, method.arguments.takes
    turns, timeout_s, metadata = cell.system.turns, options.timeout, options.metadata
    runs_inline, is_described = name in cell.inline_methods, timeout_s is not None or bool(metadata)

    async def ask_it(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) not in takes:
            check(args, kwargs)
        if runs_inline and cell.is_idle():
            try:
                if not is_described and current_call.get() is None:
                    return cell.handle_now(name, args, kwargs, via="ask")
                return handle_now(cell, name, args, kwargs, metadata=metadata, deadline=_deadline(cell, timeout_s))
            finally:
                if next(turns):
                    await asyncio.sleep(0)  # behind the message: before it, the next one would overtake it
        if is_described or handling.get() is not None or current_call.get() is not None:
            envelope, deadline = Envelope(cell, name, args, kwargs, "ask", sender=sender_here()), _deadline(cell, timeout_s)
            if metadata:
                envelope.info = call_of(cell, name, metadata, deadline)
            return await ask(envelope, deadline)
        envelope = Envelope(cell, name, args, kwargs, "ask", cell.system.loop.create_future())  # no deadline, and no cycle
        if not cell.post(envelope):
            await cell.post_when_room(envelope)
        try:
            return await envelope.reply
        finally:
            envelope.reply = NO_REPLY
            if not envelope.is_over:
                envelope.withdraw()

    return ask_it


def _deadline(cell: Cell, timeout_s: float | None) -> float | None:
    return inherited_deadline(timeout_s, cell.system.loop.time())


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _streaming(cell: Cell, method: Method, options: CallOptions) -> Callable[..., Any]:
    """Make the function of a stub that begins a streaming method of an actor of this process."""

    def stream(*args: Any, **kwargs: Any) -> LocalStream[Any]:
        method.arguments.check(args, kwargs)
        return LocalStream(cell, method, args, kwargs, options)

    return stream


def _collecting(cell: Cell, method: Method, options: CallOptions) -> Callable[..., Any]:
    """Make the function of a stub that gives a stream to a method and waits for its one answer."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        method.arguments.check(args, kwargs)
        return await LocalStream(cell, method, args, kwargs, options).single_result()

    return call


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
        deadline = _deadline(cell, options.timeout)
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
