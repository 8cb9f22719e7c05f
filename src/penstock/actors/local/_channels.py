"""Channels to actors and from them: how a channel is opened, which hook handles it, and with which actor it ends.

A channel to an actor is handled beside its mailbox (`on_channel`), or, in the callback style, message by message in it. Each
channel has a task of its own, so an actor that is slow to accept, or to read, delays no other channel.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Final, cast

from penstock._outcomes import as_failure, ends_the_loop, log_error, sole_error, text_of
from penstock.actors._ref import VerbOptions
from penstock.actors.cell import Cell, Envelope, SideTask, Waiting, ask, check_cycle, handling, sender_here
from penstock.calls import CallInfo, CallScope, Interceptor, current_call, intercepted
from penstock.channel import Channel, is_in_use, local_channel, when_left
from penstock.errors import ActorStopped, ChannelClosed, ChannelRejected, ConnectionLost, StatusError
from penstock.protocol import CallKind
from penstock.streams import check_thread

log = logging.getLogger("penstock.actor")

#: The initiator of a channel that a program opens to an actor of its own process, outside of actors.
OUTSIDE = "outside"
#: Seconds without a message read, after which the handler of a channel that the other side has left is cancelled.
HANDLER_LINGER_S: Final = 30.0
_KIND = CallKind.BIDIRECTIONAL.label
_CALLBACKS = frozenset({"on_channel_open", "on_channel_message", "on_channel_close"})


async def open_local(cell: Cell, payload: Any, options: VerbOptions) -> Channel[Any]:
    """Open a channel to an actor of this process. Cancelling it withdraws the opening."""
    check_thread(cell.system.thread, cell.system.face)
    cell.queue.check()
    if cell.state != "running":
        check_cycle(cell, handling.get())
    opener, acceptor = local_channel(
        sender_here() or OUTSIDE,
        cell.address,
        payload,
        buffer_size=cast("int", options.buffer_size),
        messages=options.type,
        accept_messages=cell.channel_type,
    )
    adopt(opener)
    work = handle_channel(cell, acceptor, channel_call(cell, {}))
    del acceptor  # its handler has it; to drop a channel is to leave it
    with Waiting(work.envelope):
        await opener.wait_opened(options.timeout)
    return opener


def adopt(channel: Channel[Any]) -> None:
    """Let a channel end with the actor that opens it, if an actor does."""
    envelope = handling.get()
    if envelope is not None:
        cell = envelope.cell
        if cell.system.tap is not None:
            channel.observe(partial(cell.system.tap.record, cell.address))
        cell.belongings.add_channel(channel)


def channel_call(cell: Cell, metadata: dict[str, str], scope: CallScope | None = None) -> CallInfo:
    """Return a channel to an actor as a call, for interceptors and `penstock.context()`."""
    return CallInfo(
        f"/{cell.address}!channel", _KIND, "callee", metadata=metadata, deadline=None, scope=scope, loop=cell.system.loop
    )


def handle_channel(
    cell: Cell,
    channel: Channel[Any],
    call: CallInfo,
    interceptors: Sequence[Interceptor] = (),
    *,
    waiting: Sequence[str] = (),
) -> SideTask:
    """Begin to handle a channel in a side task, inside the interceptors: for them it is a call, until it is over.

    waiting: ids of actors in other processes that wait for its opening.
    """
    remote = "" if call._scope is None else call._scope.remote
    work = SideTask(cell, "on_channel", channel.fail, is_channel=True, statistics=channel.statistics, peer=remote)
    work.envelope.waited_for_by(waiting)
    if cell.system.tap is not None:
        channel.observe(partial(cell.system.tap.record, cell.address))
    when_left(channel, partial(_end_handler, work, channel))
    work.start(_handle(work, channel, call, interceptors))
    return work


def _end_handler(work: SideTask, channel: Channel[Any]) -> None:
    """End the handler of a channel that the other side has left: at once when it uses the channel for nothing.

    Else it may read what has arrived, and do what it does at the end of a channel.
    """
    if is_in_use(channel):
        _wait_for_handler(work, channel, -1)
    else:
        work.cancel()


def _wait_for_handler(work: SideTask, channel: Channel[Any], received: int) -> None:
    """Cancel the handler unless it has read a message since it had `received`; then look again in `HANDLER_LINGER_S`."""
    task, received_now = work.task, channel.statistics().received
    if task is None or task.done():
        return
    if received_now == received:
        log.warning(
            "%s: its handler of a channel has read nothing for %g s after the other side left",
            work.cell.address,
            HANDLER_LINGER_S,
        )
        work.cancel()
    else:
        timer = work.cell.system.loop.call_later(HANDLER_LINGER_S, _wait_for_handler, work, channel, received_now)
        task.add_done_callback(lambda _task: timer.cancel())


async def _handle(work: SideTask, channel: Channel[Any], call: CallInfo, interceptors: Sequence[Interceptor]) -> None:
    cell = work.cell
    current_call.set(call)
    try:
        await _answer_inside(work, channel, call, interceptors)
    except BaseException as error:
        await _fail(cell, channel, sole_error(error))
        if ends_the_loop(error):
            raise
    else:
        if channel.state == "opening":
            await channel.reject(f"{cell.address} neither accepted nor rejected the channel")
        else:
            await channel.close()


async def _fail(cell: Cell, channel: Channel[Any], error: BaseException) -> None:
    """End a channel whose handler has raised `error`."""
    if isinstance(error, ChannelRejected) and channel.state == "opening":
        await channel.reject(error.message)
    elif isinstance(error, ChannelClosed | ConnectionLost):  # the other side is gone, and a handler need not expect it
        channel.fail(ActorStopped(f"{cell.address} does not handle this channel any more"))
    else:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, StatusError):
            log_error(log, error, "%s: on_channel failed; its channel is over, the actor goes on", cell.address)
        channel.fail(as_failure(error, f"{cell.address}: the handler of this channel"))


async def _answer_inside(work: SideTask, channel: Channel[Any], call: CallInfo, interceptors: Sequence[Interceptor]) -> None:
    """Run the handler of a channel inside the interceptors."""
    swallowed = f"{work.cell.address}: an interceptor swallowed how the handler of this channel ended"
    async with intercepted(interceptors, call, swallowed=swallowed), work:
        await _answer(work.cell, channel)


async def _answer(cell: Cell, channel: Channel[Any]) -> None:
    if "on_channel" in cell.hooks:
        await cell.actor.on_channel(channel)
    elif cell.hooks & _CALLBACKS:
        await _by_callbacks(cell, channel)
    else:
        raise ChannelRejected(f"{cell.address} takes no channels: its class has no on_channel")


async def _by_callbacks(cell: Cell, channel: Channel[Any]) -> None:
    """Run the callbacks in the mailbox, one message at a time; the return value of `on_channel_open` goes with the accept."""
    accepted = await _callback(cell, "on_channel_open", channel)
    if channel.state == "rejected":  # by on_channel_open
        return
    outcome = ""
    try:
        if channel.state == "opening":
            await channel.accept(accepted)
        async for message in channel:
            await _callback(cell, "on_channel_message", channel, message)
        outcome = channel.reason
    except (ChannelClosed, StatusError) as error:
        outcome = text_of(error)
        raise
    finally:
        if cell.state == "running":
            await _callback(cell, "on_channel_close", channel, outcome)


async def _callback(cell: Cell, name: str, *args: Any) -> Any:
    if name in cell.hooks:
        return await ask(Envelope(cell, name, args, {}, "system", info=current_call.get(), context=copy_context()))
    return None
