"""What another actor or a program asks of an actor by name: a message, an answer to it, a port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from penstock.actors._ref import Message
from penstock.actors.cell._cell import Cell
from penstock.actors.cell._cycles import Waiting, check_cycle
from penstock.actors.cell._envelope import NO_REPLY, Envelope, Via, handling, sender_here
from penstock.calls import CallInfo
from penstock.errors import DeadlineExceeded, InvalidArgument, NotFound, Unavailable, Unimplemented
from penstock.protocol import CallKind
from penstock.service import arguments_of, suggest
from penstock.streams import OVERFLOWS, Overflow, Port, Source, mark_retrieved

_UNARY: Final = CallKind.UNARY


def envelope_for(cell: Cell, type: str, payload: Any, via: Via) -> Envelope:
    """Make a message from a type and a payload: for the method of that name, else for `receive`.

    Raises `Unimplemented` for a type that the actor does not know, `InvalidArgument` for a payload that does not fit.
    """
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
    wait for itself. Cancelling it gives up a message that has not begun; a handler that has begun goes on.
    """
    cell, envelope.cause = envelope.cell, handling.get()
    envelope.reply = cell.system.loop.create_future()
    if deadline is not None and envelope.info is None:
        envelope.info = call_of(envelope, deadline=deadline)
    if envelope.cause is None:
        return await _answer(envelope, deadline)
    check_cycle(cell, envelope.cause)
    with Waiting(cell):
        return await _answer(envelope, deadline)


def call_of(envelope: Envelope, metadata: Mapping[str, str] | None = None, deadline: float | None = None) -> CallInfo:
    """Describe a message or stream of this process as `penstock.context()` shows it to its handler."""
    cell, method = envelope.cell, envelope.cell.service.methods.get(envelope.name)
    kind = (_UNARY if method is None else method.kind).label
    target = f"/{cell.address}/{envelope.type}"
    metadata = dict(metadata or {})
    return CallInfo(target, kind, "callee", metadata=metadata, deadline=deadline, scope=None, loop=cell.system.loop)


async def _answer(envelope: Envelope, deadline: float | None) -> Any:
    """Post a message and await its reply, which `deadline` may end."""
    cell, reply = envelope.cell, envelope.reply
    timer = None if deadline is None else cell.system.loop.call_at(deadline, _expire, envelope)
    try:
        if not cell.post(envelope):
            await cell.post_when_room(envelope)
        return await reply
    finally:
        envelope.reply = NO_REPLY
        if timer is not None:
            timer.cancel()
        if envelope.info is not None:
            envelope.info.deadline = None  # work that the handler started, and that goes on, is not bound by an ended call
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


def check_subscription(buffer_size: int | None, overflow: str | None) -> None:
    """Raise `ValueError` for options that no port of an actor takes. None stands for those of the port."""
    is_size = buffer_size is None or (type(buffer_size) is int and 1 <= buffer_size <= SUBSCRIBER_BUFFER_MAX)
    if not is_size:
        raise ValueError(f"buffer_size is {buffer_size!r}; a subscriber takes 1 to {SUBSCRIBER_BUFFER_MAX} items")
    if overflow not in {None, *OVERFLOWS}:
        raise ValueError(f"overflow is {overflow!r}; it is one of {', '.join(OVERFLOWS)}")


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
