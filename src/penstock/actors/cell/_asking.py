"""What others want of an actor by a name: a message, an answer, a port. It runs no message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.actors.cell import _life as life
from penstock.actors.cell._cycles import Waiting, check_cycle
from penstock.actors.cell._letter import TAKEN, Letter, Via, handling, sender_here
from penstock.errors import NotFound, Unavailable, Unimplemented
from penstock.rpc import KINDS, CallInfo, Message, arguments_of, seen, unknown
from penstock.streams import Port

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell


def letter_for(cell: Cell, type: str, payload: Any, via: Via) -> Letter:
    """Make a message of a type and its payload: for the method of that name, else for `receive`.

    Raises `Unimplemented` for a type that the actor does not know, `InvalidArgument` for a payload that does not fit.
    """
    method = cell.service.methods.get(type)
    if method is not None and not method.kind:
        args, kwargs = method.arguments.fitted(*arguments_of(method, payload))
        return Letter(cell, type, args, kwargs, via, sender=sender_here())
    if method is not None:
        raise Unimplemented(f"{cell.address}: {type!r} streams; use stream(), not {via}()", started=False)
    if "receive" not in cell.hooks:
        meant = unknown(type, list(cell.service.methods))
        raise Unimplemented(f"{cell.address} ({cell.service.name}) has no method {type!r}; {meant}", started=False)
    sender = sender_here()
    return Letter(cell, "receive", (Message(type, payload, sender),), {}, via, sender=sender)


async def ask(letter: Letter, deadline: float | None = None) -> Any:
    """Post a message and wait for its answer; it is given up at `deadline`, a time of the loop's clock.

    Raises what the actor raised, and `ReentrancyError` for an ask that would wait for itself.
    """
    cell, letter.cause = letter.cell, handling.get()
    letter.reply = cell.system.loop.create_future()
    if deadline is not None and letter.info is None:
        letter.info = call_of(letter, deadline=deadline)
    if letter.cause is None:
        return await _answer(letter, deadline)
    check_cycle(cell, letter.cause)
    with Waiting(cell):
        return await _answer(letter, deadline)


def call_of(letter: Letter, metadata: Mapping[str, str] | None = None, deadline: float | None = None) -> CallInfo:
    """Describe a message of this process as its handler sees it."""
    cell, method = letter.cell, letter.cell.service.methods.get(letter.name)
    kind = KINDS[0 if method is None else method.kind]
    target = f"/{cell.address}/{letter.type}"
    return CallInfo(target, kind, "callee", metadata=dict(metadata or {}), deadline=deadline, peer=None)


async def _answer(letter: Letter, deadline: float | None) -> Any:
    cell, reply = letter.cell, letter.reply
    timer = None if deadline is None else cell.system.loop.call_at(deadline, _expire, letter)
    try:
        if not cell.post(letter):
            await cell.post_when_room(letter)
        return await reply
    finally:
        letter.reply = TAKEN
        if timer is not None:
            timer.cancel()
        if letter.info is not None:
            letter.info.deadline = None  # what the handler started, and goes on, is not bound by a call that is over
        seen(reply)  # it may have come after all, when nobody waited any more
        del reply  # an error in it holds this frame


def _expire(letter: Letter) -> None:
    reply: asyncio.Future[Any] = letter.reply
    if not reply.done():
        reply.set_exception(life.too_late(letter))


def port_of(cell: Cell, name: str) -> Port[Any]:
    """Return a port of an actor. Raises `NotFound`, with what may have been meant."""
    cell.queue.check()
    ports = cell.ports or {}
    if name not in ports and cell.state != "running":
        raise Unavailable(f"{cell.address} is {cell.state} and has no port {name!r} yet; try again", started=False)
    if name not in ports:
        meant = unknown(name, list(ports)) if ports else "it has none: self.port(name) in its __init__ makes one"
        raise NotFound(f"{cell.address} has no port {name!r}; {meant}", started=False)
    return ports[name]
