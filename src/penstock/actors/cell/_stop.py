"""The end of an actor, as others want it: asked for, waited for, and with a handler that does not end, insisted on.

What an actor does at its end is in `_life`. This module runs no hook.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from penstock.actors.cell._cycles import Waiting, is_waited_for
from penstock.errors import ActorStopped

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell

log = logging.getLogger("penstock.actor")

#: How long a handler that was cancelled may go on before it is cancelled again …
AGAIN_S: Final = 1.0
#: … and how often that is tried before it is left behind, and the actor ends without it.
INTERRUPTS_MAX: Final = 3


async def stop(cell: Cell, reason: str = "it was stopped") -> None:
    """Stop after the message that is being handled, which has `World.stop_grace_s`; wait for it, except from inside.

    Cancelling it does not undo it.
    """
    if cell.state == "stopped":
        return
    loop = asyncio.get_running_loop()
    if not cell.stopping:
        cell.stopping = reason
        cell.ended = loop.create_future()
        cell.grace = loop.call_later(cell.system.stop_grace_s, interrupt, cell)
        if cell.bell is not None and not cell.bell.done():
            cell.bell.set_result(None)
    if cell.task is None:
        cell.wake()
    if cell.ended is not None and not is_waited_for(cell):
        with Waiting(cell):
            await asyncio.shield(cell.ended)


def interrupt(cell: Cell) -> None:
    """Cancel what keeps an actor from stopping: a handler, or a tap that has no room. What does not end is left behind."""
    if cell.task is None or cell.state in {"stopping", "stopped"}:
        return
    tap = cell.system.tap
    if cell.current is not None or (tap is not None and tap.full):
        if cell.interrupts == INTERRUPTS_MAX:
            _leave_behind(cell)
            return
        cell.interrupts += 1
        cell.task.cancel()
    patience_s = AGAIN_S if cell.interrupts else max(AGAIN_S, cell.system.stop_grace_s)
    cell.grace = cell.system.loop.call_later(patience_s, interrupt, cell)


def calm(cell: Cell) -> None:
    """What was interrupted is over: what comes now is not cancelled."""
    task = cell.task
    while cell.interrupts and task is not None and task.cancelling():
        task.uncancel()
    cell.interrupts = 0


def _leave_behind(cell: Cell) -> None:
    """Go on without the task: the end of the actor is run by another one."""
    envelope, cell.current = cell.current, None
    what = "its tap" if envelope is None else repr(envelope.type)
    log.error("%s: %s goes on though it was cancelled %d times; it is left behind", cell.address, what, cell.interrupts)
    if envelope is not None:
        envelope.give_up(ActorStopped(f"{cell.address} was stopped while it handled {envelope.type!r}"))
    cell.interrupts = 0
    cell.wake()
