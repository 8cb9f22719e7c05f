"""Actors of this process as values: `LocalRef`. No message here is encoded.

A message whose method has no ``await`` is handled where it is sent, when its actor is idle: nothing could happen between, and
a future and two turns of the loop cost six times as much as the message (measured). All others go through the mailbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

import msgspec

from penstock.actors._ref import ActorRef, VerbOptions
from penstock.actors.cell import (
    NO_REPLY,
    Cell,
    Envelope,
    ask,
    call_of,
    envelope_for,
    handle_now,
    handling,
    sender_here,
    subscribe,
    subscriber_size,
)
from penstock.actors.local._channels import open_local
from penstock.actors.local._stream import LocalStream, deadline_of
from penstock.calls import CancelToken, ConvertedStream, Stream, current_call, inherited_deadline
from penstock.codec import reader
from penstock.errors import DataLoss, StatusError, Unimplemented
from penstock.service import CallOptions, Method, arguments_of, suggest
from penstock.streams import Converted, Overflow, Source

if TYPE_CHECKING:
    from penstock.channel import Channel


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

    def _ask(self, name: str, payload: Any, options: VerbOptions) -> Coroutine[Any, Any, Any]:
        cell = self.cell
        if options.type is not Any:
            read = reader(options.type, f"{cell.address}/{name}: its result", DataLoss)
            return _read(self._ask(name, payload, msgspec.structs.replace(options, type=Any)), read)
        envelope = envelope_for(cell, name, payload, "ask")
        deadline = inherited_deadline(options.timeout, cell.system.loop.time())
        if envelope.name in cell.inline_methods and cell.is_idle():
            return _ask_now(cell, envelope, deadline)
        return ask(envelope, deadline) if options.cancel is None else _ask_until(options.cancel, envelope, deadline)

    def _stream(self, name: str, payload: Any, options: CallOptions, item_type: Any) -> Stream[Any]:
        self.cell.queue.check()
        method = self.cell.service.methods.get(name)
        if method is None or not method.streams_responses:
            streams = [each.name for each in self.cell.service.methods.values() if each.streams_responses]
            raise Unimplemented(f"{self.address} has no stream {name!r}; {suggest(name, streams, 'streams')}", started=False)
        args, kwargs = method.arguments.fitted(*arguments_of(method, payload))
        read = None if item_type is Any else reader(item_type, f"{self.address}/{name}: an item", DataLoss)
        stream: LocalStream[Any] = LocalStream(self.cell, method, args, kwargs, options)
        return stream if read is None else ConvertedStream(stream, read)

    def _open_channel(self, payload: Any, options: VerbOptions) -> Coroutine[Any, Any, Channel[Any]]:
        return open_local(self.cell, payload, options)

    def _subscribe(self, port: str, options: VerbOptions) -> Source[Any]:
        buffer_size = subscriber_size(options.buffer_size, options.overflow)
        read = None if options.type is Any else reader(options.type, f"port {port} of {self.address}: an item", DataLoss)
        source = subscribe(self.cell, port, buffer_size, cast("Overflow | None", options.overflow))
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


async def _read(asking: Coroutine[Any, Any, Any], read: Callable[[Any], Any]) -> Any:
    """Return the answer of an ask as `read` makes it."""
    return read(await asking)


async def _ask_now(cell: Cell, envelope: Envelope, deadline: float | None) -> Any:
    """Handle a message of an idle actor here, and return its answer."""
    try:
        return handle_now(cell, envelope.name, envelope.args, envelope.kwargs, metadata=None, deadline=deadline)
    finally:
        if next(cell.system.turns):
            await asyncio.sleep(0)  # behind the message: before it, the next one would overtake it


async def _ask_until(cancel: CancelToken, envelope: Envelope, deadline: float | None) -> Any:
    """Ask until the token is cancelled."""
    forget = cancel._add(envelope.give_up)
    try:
        return await ask(envelope, deadline)
    finally:
        forget()


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
                return handle_now(cell, name, args, kwargs, metadata=metadata, deadline=deadline_of(cell, timeout_s))
            finally:
                if next(turns):
                    await asyncio.sleep(0)  # behind the message: before it, the next one would overtake it
        if is_described or handling.get() is not None or current_call.get() is not None:
            envelope, deadline = Envelope(cell, name, args, kwargs, "ask", sender=sender_here()), deadline_of(cell, timeout_s)
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
