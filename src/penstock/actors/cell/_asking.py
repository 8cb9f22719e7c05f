"""What another actor or a program asks of an actor by name: a message, an answer to it, a port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, get_args

from penstock.actors._ref import Message
from penstock.actors.cell._cell import Cell, inline_context
from penstock.actors.cell._cycles import Waiting, WaitingTask, check_cycle, task_of, waiting_chain
from penstock.actors.cell._envelope import NO_REPLY, Envelope, Recipient, Via, handling, sender_here
from penstock.calls import CallInfo
from penstock.errors import DeadlineExceeded, InvalidArgument, NotFound, StatusError, Unavailable, Unimplemented
from penstock.protocol import CallKind
from penstock.service import arguments_of, suggest
from penstock.streams import Overflow, Port, Sink, Source, checked_size, mark_retrieved

_UNARY: Final = CallKind.UNARY


def envelope_for(cell: Cell, type: str, payload: Any, via: Via) -> Envelope:
    """Make a message from a type and a payload: for the method of that name, else for `receive`.

    Raises `Unimplemented` for a type that the actor does not know, `InvalidArgument` for a payload that does not fit; for an
    actor that has stopped, `ActorStopped` in their place.
    """
    try:
        return _envelope_for(cell, type, payload, via)
    except StatusError:
        cell.queue.check()
        raise


def _envelope_for(cell: Cell, type: str, payload: Any, via: Via) -> Envelope:
    method = cell.service.methods.get(type)
    if method is None and "receive" in cell.hooks:
        sender = sender_here()
        return Envelope(cell, "receive", (Message(type, payload, sender),), {}, via, sender=sender)
    if method is None:
        method = cell.service.method(type, of=cell.address)  # raises
    if method.kind:
        raise Unimplemented(f"{cell.address}: {type!r} streams; use stream(), not {via}()", started=False)
    args, kwargs = method.arguments.fitted(*arguments_of(method, payload))
    return Envelope(cell, type, args, kwargs, via, sender=sender_here())


async def ask(envelope: Envelope, deadline: float | None = None) -> Any:
    """Post a message, wait for its answer and return it. `deadline` is a time of the loop's clock, None for no limit.

    Raises what the handler raised, what `Cell.post` raises, `DeadlineExceeded`, and `ReentrancyError` for an ask that would
    wait for itself. Cancelling it withdraws a message that has not begun; a handler that has begun goes on.
    """
    cell = envelope.cell
    envelope.sent_by(handling.get())
    envelope.reply = cell.system.loop.create_future()
    if deadline is not None and envelope.info is None:
        envelope.info = call_of(cell, envelope.type, deadline=deadline)
    if envelope.cause is None:
        return await _answer(envelope, deadline)
    check_cycle(cell, envelope.cause, envelope.asker)
    in_another_task = task_of(envelope.cause) not in {None, envelope.asker}
    with WaitingTask(envelope) if in_another_task else Waiting(cell, envelope.asker):
        return await _answer(envelope, deadline)


def call_of(
    cell: Recipient,
    type: str,
    metadata: Mapping[str, str] | None = None,
    deadline: float | None = None,
    *,
    sink: Sink[Any] | None = None,
) -> CallInfo:
    """Describe a message or stream of this process as `penstock.context()` shows it to its handler."""
    method = cell.service.methods.get(type)
    kind = (_UNARY if method is None else method.kind).label
    target, metadata, loop = f"/{cell.address}/{type}", dict(metadata or {}), cell.system.loop
    return CallInfo(target, kind, "callee", metadata=metadata, deadline=deadline, scope=None, loop=loop)._into(sink)


class Caller(NamedTuple):
    """The actor that runs here, for a call to another process.

    sender: its address. waiting: its id, if a message of its mailbox runs here, and those of the actors that wait for it.
    """

    sender: str | None = None
    waiting: tuple[str, ...] = ()


NO_CALLER = Caller()


def caller_here() -> Caller:
    """Return the actor that runs here and the actors that wait for it; `NO_CALLER` outside of actors."""
    envelope = handling.get()
    if envelope is None:
        return NO_CALLER
    waiting: list[str] = []
    for waits in waiting_chain(envelope, asyncio.current_task()):
        if waits.cell.current is waits:  # else it is a side task, for which no message waits
            waiting.append(waits.cell.id)
        waiting += waits.waiting
    return Caller(envelope.cell.address, tuple(waiting))


def call_here() -> CallInfo | None:
    """Describe the message that an actor of this process handles here, for `penstock.context()`; None for none.

    It is for a message that came without a description, which most do: to make one for each would slow down all asks.
    """
    envelope = handling.get()
    if envelope is None or envelope.via == "timer" or envelope.name not in envelope.cell.service.methods:
        return None
    if envelope is envelope.cell.inline_envelope and envelope.cell.current is not envelope:  # a task that a handler left behind
        return None
    return call_of(envelope.cell, envelope.type, deadline=envelope.deadline)


def deadline_here() -> float | None:
    """Return the deadline of the message that an actor of this process handles here, if it came without a description."""
    envelope = handling.get()
    if envelope is None or envelope.cell.current is not envelope:
        return None
    return envelope.deadline


def handle_now(
    cell: Cell,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    metadata: Mapping[str, str] | None,
    deadline: float | None,
) -> Any:
    """As `Cell.handle_now`, for an ask that may have metadata and a deadline, which its handler sees."""
    if metadata:
        info = call_of(cell, name, metadata, deadline)
        try:
            return cell.handle_now(name, args, kwargs, via="ask", context=inline_context(cell, info))
        finally:
            info._end()
    envelope = cell.inline_envelope
    envelope.bind(deadline)
    try:
        return cell.handle_now(name, args, kwargs, via="ask")
    finally:
        envelope.bind(None)


async def _answer(envelope: Envelope, deadline: float | None) -> Any:
    """Post a message and await its reply, which `deadline` may end."""
    cell, reply = envelope.cell, envelope.reply
    timer = None if deadline is None else cell.system.loop.call_at(deadline, _expire, envelope)
    try:
        if not cell.post(envelope):
            await cell.post_when_room(envelope)
        try:
            return await reply
        finally:
            if not envelope.is_over:
                envelope.withdraw()
    finally:
        envelope.reply = NO_REPLY
        if timer is not None:
            timer.cancel()
        if envelope.info is not None:
            envelope.info._end()
        mark_retrieved(reply)  # the answer may have come after the wait was given up
        del reply  # an error in it holds this frame


def _expire(envelope: Envelope) -> None:
    reply: asyncio.Future[Any] = envelope.reply
    if not reply.done():
        reply.set_exception(_too_late(envelope))


def _too_late(envelope: Envelope) -> DeadlineExceeded:
    cell = envelope.cell
    begun, waiting = cell.current is envelope, len(cell.queue)
    where = "while it was being handled" if begun else f"while {waiting} message{'' if waiting == 1 else 's'} waited"
    return DeadlineExceeded(f"{cell.address}: no answer to {envelope.type!r} in time, {where}", started=begun)


#: The most items that a port keeps for a subscriber that reaches it by its actor: as many as a self-tuning window may reach.
SUBSCRIBER_BUFFER_MAX: Final = 16_384


def subscriber_size(buffer_size: int | None, overflow: str | None) -> int | None:
    """Return the size of a subscriber's buffer. None stands for that of the port, and for its policy.

    Raises `ValueError` for options that no port of an actor takes.
    """
    if overflow not in (None, *get_args(Overflow)):  # a tuple, because a value of a wrong type may have no hash
        raise ValueError(f"overflow is {overflow!r}; it is one of {', '.join(get_args(Overflow))}")
    if buffer_size is None:
        return None
    return checked_size("buffer_size", buffer_size, most=SUBSCRIBER_BUFFER_MAX, or_none="for that of the port")


def subscribe(
    cell: Cell, name: str, buffer_size: int | None, overflow: Overflow | None, encode: Callable[[Any], Any] | None = None
) -> Source[Any]:
    """Subscribe to a port of an actor: for any caller but the actor itself, in this process or another.

    Raises `NotFound`, `Unavailable`, `ActorStopped`; `InvalidArgument` for a subscriber that waits at a port that drops: its
    publisher does not wait for one.
    """
    port = _port_of(cell, name)
    if overflow == "wait" != port.overflow:
        raise InvalidArgument(
            f"port {name!r} of {cell.address} does not wait for subscribers, because its overflow is {port.overflow!r}; "
            "choose another overflow",
            started=False,
        )
    return port.subscribe(buffer_size=buffer_size, overflow=overflow, encode=encode)


def _port_of(cell: Cell, name: str) -> Port[Any]:
    """Return a port of an actor.

    Raises `NotFound` with a similar name, `Unavailable` while the actor starts, `ActorStopped`.
    """
    cell.queue.check()
    ports = cell.belongings.ports
    if name not in ports and cell.state != "running":
        raise Unavailable(f"{cell.address} is {cell.state} and has no port {name!r} yet; try again", started=False)
    if name not in ports:
        hint = suggest(name, ports, "ports") if ports else "it has none: self.port(name) in its __init__ makes one"
        raise NotFound(f"{cell.address} has no port {name!r}; {hint}", started=False)
    return ports[name]
