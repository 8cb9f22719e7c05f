"""Messages that are handled where they are sent: no mailbox, no future, no turn of the loop. It waits for nothing.

Only for handlers that never await (their code says so), of an actor that is idle: whatever order of events the mailbox would
have given, this is one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.actors.cell import _life as life
from penstock.actors.cell._envelope import Envelope, Via, handling, sender_here
from penstock.calls import CallInfo, current_call
from penstock.errors import StatusError

if TYPE_CHECKING:
    from penstock.actors.cell._cell import Cell


def inline_context(cell: Cell, info: CallInfo | None = None) -> Context:
    """Make the context in which messages of an actor are handled where they are sent."""
    context = cell.system.context.copy()
    context.run(handling.set, cell.inline_envelope)
    context.run(current_call.set, info)
    return context


def handle_now(
    cell: Cell, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, via: Via, context: Context | None = None
) -> Any:
    """Handle a message of an idle actor here and now; return its answer, or raise."""
    system = cell.system
    system.inline += 1
    cell.current = cell.inline_envelope
    cell.inline_envelope.name = name
    cell.handled += 1
    tap = system.tap
    if tap is not None:
        life.record_message(cell, Envelope(cell, name, args, kwargs, via, sender=sender_here()))
    if context is None:
        context = cell.context
        if context is None:
            context = cell.context = inline_context(cell)
    try:
        method = getattr(cell.actor, name)
        context.run((method(*args, **kwargs) if kwargs else method(*args)).send, None)
    except StopIteration as done:
        if tap is not None:
            tap.record(cell.address, "reply", {"n": cell.handled, "result": done.value})
        return done.value
    except StatusError as error:
        raise life.answer_of(cell, error) from None
    except asyncio.CancelledError as error:  # of what it looked at; nobody cancels the one who asks
        raise life.cancelled_in(cell, name) from error
    except Exception as error:
        cell.order(partial(life.crashed, cell, error, cell.handled))
        raise
    finally:
        cell.current = None
    raise RuntimeError(f"{cell.address}: {name} waited, though its code has no await")
