"""A message in a context of its own: a context variable that its handler sets is set for this message alone.

A task has one context, and an actor handles its messages in one task. As long as no handler has set a variable there, the next
message begins in the same context. After that, and for a message with interceptors around it, the steps of a handler are run
by `handled` in a context that is made for this message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from types import CoroutineType, coroutine
from typing import Any, Final

from penstock.actors.cell._envelope import Envelope, Host, handling
from penstock.calls import Unannounced, current_call, unannounced_call

#: The variables of `own_context`. A context with more of them has some of the program.
OWN_VARIABLES: Final = 3


def own_context(call_here: Unannounced) -> Context:
    """Make the context in which the actors of a system begin: it has the variables of Penstock, and no others."""
    context = Context()
    context.run(unannounced_call.set, call_here)
    context.run(handling.set, None)
    context.run(current_call.set, None)
    return context


def begin_later(work: Coroutine[Any, Any, Any], system: Host) -> asyncio.Task[Any]:
    """Run `work` in a task of the system that begins after its caller, which notes the task first.

    An eager task (3.12) would begin in this call, so the task is made without the task factory of the loop.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), context=system.context.copy())


async def handled(envelope: Envelope, method: Callable[..., Any]) -> Any:
    """Handle a message in a context of its own, the one of the interceptors around it if there are any; answer, and return.

    Raises the error of the method. Cancelling it cancels the method.
    """
    context = envelope.take_context()
    try:
        result = await _rest(context, *context.run(_begin, envelope, method))
    except StopIteration as done:  # it did not wait
        result = done.value
    if envelope.reply is not None and not envelope.reply.done():
        context.run(envelope.reply.set_result, result)  # a ref in it is on offer to the peer that asks
    return result


def _begin(envelope: Envelope, method: Callable[..., Any]) -> tuple[Coroutine[Any, Any, Any], Any]:
    """Call the method of a message and run it until it waits; return it and the future for which it waits.

    Raises `StopIteration` with the result of a method that did not wait.
    """
    handling.set(envelope)
    current_call.set(envelope.info)
    work = method(*envelope.args, **envelope.kwargs)
    if type(work) is not CoroutineType:
        work = _awaited(work)
    return work, work.send(None)


async def _awaited(work: Awaitable[Any]) -> Any:
    """Make a coroutine of the awaitable that a wrapper of a method returned."""
    return await work


@coroutine
def _rest(context: Context, work: Coroutine[Any, Any, Any], waited: Any) -> Generator[Any, Any, Any]:
    """Run a coroutine that waits for `waited` to its end: each step in `context`, each wait in the task that runs this."""
    value: Any = None
    errors: list[BaseException] = []  # emptied before each step: an error in a variable here would hold this frame
    try:
        while True:
            try:
                value = yield waited
            except BaseException as error:  # noqa: BLE001 - for the coroutine, to the cancellation that asyncio throws
                errors.append(error)
            waited = context.run(work.throw, errors.pop()) if errors else context.run(work.send, value)
    except StopIteration as done:
        return done.value
