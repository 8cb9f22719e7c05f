"""What others want of an actor by a name: a message, an answer, a port. It runs no message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from penstock.actors._ref import Message
from penstock.actors.cell import _life as life
from penstock.actors.cell._cycles import Waiting, check_cycle
from penstock.actors.cell._envelope import NO_REPLY, Envelope, Via, handling, sender_here
from penstock.calls import CallInfo
from penstock.errors import NotFound, Unavailable, Unimplemented
from penstock.protocol import CallKind
from penstock.service import arguments_of, suggest
from penstock.streams import Port, mark_retrieved

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell

_UNARY: Final = CallKind.UNARY


def envelope_for(cell: Cell, type: str, payload: Any, via: Via) -> Envelope:
    """Make a message of a type and its payload: for the method of that name, else for `receive`.

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
    """Post a message and wait for its answer; it is given up at `deadline`, a time of the loop's clock.

    Raises what the actor raised, and `ReentrancyError` for an ask that would wait for itself.
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
    """Describe a message of this process as its handler sees it."""
    cell, method = envelope.cell, envelope.cell.service.methods.get(envelope.name)
    kind = (_UNARY if method is None else method.kind).label
    target = f"/{cell.address}/{envelope.type}"
    return CallInfo(target, kind, "callee", metadata=dict(metadata or {}), deadline=deadline, scope=None)


async def _answer(envelope: Envelope, deadline: float | None) -> Any:
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
            envelope.info.deadline = None  # what the handler started, and goes on, is not bound by a call that is over
        mark_retrieved(reply)  # it may have come after all, when nobody waited any more
        del reply  # an error in it holds this frame


def _expire(envelope: Envelope) -> None:
    reply: asyncio.Future[Any] = envelope.reply
    if not reply.done():
        reply.set_exception(life.too_late(envelope))


def port_of(cell: Cell, name: str) -> Port[Any]:
    """Return a port of an actor. Raises `NotFound`, with what may have been meant."""
    cell.queue.check()
    ports = cell.ports or {}
    if name not in ports and cell.state != "running":
        raise Unavailable(f"{cell.address} is {cell.state} and has no port {name!r} yet; try again", started=False)
    if name not in ports:
        hint = suggest(name, ports, "ports") if ports else "it has none: self.port(name) in its __init__ makes one"
        raise NotFound(f"{cell.address} has no port {name!r}; {hint}", started=False)
    return ports[name]
