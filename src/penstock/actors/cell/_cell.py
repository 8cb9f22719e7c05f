"""The run-time of one actor: takes its messages one at a time, in order, and runs them.

An idle actor has no task: one is started when a message comes, and ends when none waits. The messages of the system (ticks of
timers, news of children, restarts) go before all others. An idle actor handles a message whose method has no ``await`` in the
task of the sender (`Cell.handle_now`): no mailbox, no future, no turn of the loop. The order of events is one that the mailbox
could have produced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from threading import get_ident
from typing import Any, Final

from penstock._outcomes import log_error
from penstock.actors._supervision import Supervision
from penstock.actors.cell import _incarnation as incarnation
from penstock.actors.cell._context import OWN_VARIABLES, begin_later, handled
from penstock.actors.cell._cycles import Waiting, check_room
from penstock.actors.cell._envelope import Envelope, Host, Via, exactly, handling, sender_here
from penstock.actors.cell._lifecycle import Lifecycle
from penstock.actors.cell._mailbox import Mailbox, MailboxQueue, SystemMessage
from penstock.calls import CallInfo, current_call
from penstock.errors import ActorStopped, Internal, MailboxFull
from penstock.streams import check_thread

log = logging.getLogger("penstock.actor")

#: How many messages an actor may handle before other tasks get a turn of the loop.
TURN_MESSAGES: Final = 64


class _AlwaysOpen:
    """Stands for the tap of an actor without one: it is never full."""

    full = False


_ALWAYS_OPEN: Final = _AlwaysOpen()


class Cell(Lifecycle):
    """One actor: its `Lifecycle`, its mailbox, and the loop that runs its messages.

    context: copied for each message that is handled where it is sent; made for the first.
    """

    __slots__ = ("context", "current", "handled", "inline_envelope", "queue", "ref", "task")

    def __init__(
        self,
        system: Host,
        cls: type[Any],
        address: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        parent: Lifecycle | None = None,
        mailbox: Mailbox | None = None,
        supervision: Supervision | None = None,
    ) -> None:
        super().__init__(system, cls, address, args, kwargs, parent=parent, supervision=supervision)
        self.queue = MailboxQueue(mailbox or cls.mailbox)
        self.ref = system.make_ref(self)
        self.inline_envelope = Envelope(self, "", (), {}, "system")
        self.context: Context | None = None
        self.current: Envelope | None = None
        self.task: asyncio.Task[None] | None = None
        self.handled = 0

    # ── taking messages ───────────────────────────────────────────────────────────────────────────────────────────────

    def post(self, envelope: Envelope) -> bool:
        """Put a message into the mailbox; False when its sender has to wait, by `post_when_room`.

        Raises `ActorStopped`; `MailboxFull` when the mailbox rejects, or a wait for room would never end. Then the message is a
        dead letter.
        """
        if self.system.thread != get_ident():
            check_thread(self.system.thread, self.system.face)
        queue = self.queue
        envelopes = queue.envelopes
        if len(envelopes) + queue.senders.reserved < queue.bound and not queue.closed:
            envelopes.append(envelope)
            if self.task is None:
                self.wake()
            return True
        load = queue.load()
        try:
            dropped = queue.make_room(self.address)
            if not dropped:
                check_room(self, envelope, load)
                return False
        except (ActorStopped, MailboxFull) as error:
            self.system.dead_letter(envelope, error.message)
            raise
        for oldest in dropped:
            self.record("dropped", type=oldest.type, sender=oldest.sender)
            why = f"{self.address}: {oldest.type!r} was dropped for a newer message; its mailbox holds {load}"
            self.system.dead_letter(oldest, why, MailboxFull(why, started=False))
        queue.envelopes.append(envelope)
        return True

    async def post_when_room(self, envelope: Envelope) -> None:
        """Put a message into the mailbox after a wait for room. Raises `ActorStopped`. Cancelling it sends nothing."""
        try:
            with Waiting(self):
                await self.queue.room(envelope.reply if isinstance(envelope.reply, asyncio.Future) else None)
                self.queue.check()
        except ActorStopped as error:
            self.system.dead_letter(envelope, error.message)
            raise
        if envelope.reply is not None and envelope.reply.done():  # its asker has given up meanwhile
            envelope.leave()
            self.queue.wake()
            return
        self.queue.envelopes.append(envelope)
        if self.task is None:
            self.wake()

    def post_system(self, message: SystemMessage) -> None:
        if self.state == "stopped":
            return
        self.queue.add_system(message)
        if self.task is None:
            self.wake()

    def wake(self) -> None:
        self.task = begin_later(self._run(), self.system)

    # ── handled where it is sent ──────────────────────────────────────────────────────────────────────────────────────

    def is_idle(self) -> bool:
        """Whether a message could be handled at once. Raises `WrongThread`."""
        if self.system.thread != get_ident():
            check_thread(self.system.thread, self.system.face)
        if self.task is not None or self.current is not None or self.state != "running" or self.queue.senders.reserved:
            return False
        tap = self.system.tap
        return tap is None or not tap.full

    def handle_now(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, via: Via, context: Context | None = None
    ) -> Any:
        """Handle a message of an idle actor in the task of its sender: return its answer, or raise what the handler raises.

        The method is one of `inline_methods`. `context` is one that `inline_context` made, or a copy of it, for this message
        alone; None for a message that is not described.
        """
        envelope = self.inline_envelope
        self.current = envelope
        envelope.name = name
        self.handled += 1
        tap = self.system.tap
        if tap is not None:
            self.record_message(Envelope(self, name, args, kwargs, via, sender=sender_here()))
        if context is None:
            if self.context is None:
                self.context = inline_context(self)
            context = self.context.copy()
        try:
            method = getattr(self.actor, name)
            context.run((method(*args, **kwargs) if kwargs else method(*args)).send, None)
        except StopIteration as done:
            if tap is not None:
                tap.record(self.address, "reply", {"n": self.handled, "result": done.value})
            return done.value
        except BaseException as error:  # noqa: BLE001 - it is raised again, or its answer is
            answer = incarnation.judge_inline(self, name, error)
            try:
                if answer is error:
                    raise
                raise answer from error
            finally:
                del answer  # it holds this frame, and the frame the arguments
        finally:
            self.current = None
        raise RuntimeError(f"{self.address}: {name} waited, though its code has no await")

    def record_message(self, envelope: Envelope) -> None:
        """Tell the tap, if there is one, of a message that begins to be handled."""
        tap = self.system.tap
        if tap is not None:
            args: Sequence[Any] = envelope.args
            kwargs = envelope.kwargs
            if (args or kwargs) and envelope.via != "system" and envelope.name not in self.kept_methods:
                args, kwargs = exactly(args, kwargs, envelope.name)
            data: dict[str, Any] = {"n": self.handled, "via": envelope.via, "type": envelope.type, "args": args}
            if kwargs:
                data["kwargs"] = kwargs
            if envelope.sender is not None:
                data["sender"] = envelope.sender
            tap.record(self.address, "message", data)

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_current(self, envelope: Envelope) -> None:
        self.current = envelope

    def take_current(self) -> Envelope | None:
        envelope, self.current = self.current, None
        return envelope

    async def _run(self) -> None:
        """Handle the waiting messages until there is none."""
        while True:
            try:
                await self._drain()
            except BaseException as error:
                if not self._goes_on(error):
                    raise
            else:
                if self.task is asyncio.current_task():
                    self.task = None
                return

    def _goes_on(self, error: BaseException) -> bool:
        """Whether the task goes on after an error that is not a handler's.

        A request to stop cancels the message that is being handled, and nothing else.
        """
        if self.task is not asyncio.current_task():  # it was left behind
            return False
        envelope = self.take_current()
        if envelope is not None and isinstance(error, Exception):
            log_error(log, error, "%s could not handle %.200r; it goes on", self.address, envelope.type)
            envelope.give_up(Internal(f"{self.address} could not handle {envelope.type!r}"))
            envelope.release()
            return True
        if self.stopping is not None and self.stopping.interrupts and isinstance(error, asyncio.CancelledError):
            return True
        self.task = None
        if self.queue.envelopes or self.queue.system_messages or self.stopping is not None:
            self.wake()
        return False

    async def _drain(self) -> None:  # noqa: C901, PLR0912 - in one piece, see below
        """Handle envelope after envelope, in one loop: a coroutine more for each message costs a fifth of it."""
        queue, envelopes, tap = self.queue, self.queue.envelopes, self.system.tap
        gate = _ALWAYS_OPEN if tap is None else tap
        in_turn = 0
        while True:
            if queue.system_messages or self.stopping is not None or self.state != "running" or not envelopes or gate.full:
                reply = None
                envelope = await self._next()
                if envelope is None:
                    return
            else:
                envelope = envelopes.popleft()
            reply = envelope.reply
            if reply is not None and reply.done():  # its asker has given it up
                queue.skip(envelope)
                continue
            if queue.senders.line:
                queue.wake()
            self.current = envelope
            is_apart = envelope.context is not None or len(copy_context()) > OWN_VARIABLES  # a handler has set one in this task
            if not is_apart:
                handling.set(envelope)
                current_call.set(envelope.info)
            self.handled += 1
            if tap is not None:
                self.record_message(envelope)
            try:
                method = getattr(self.actor, envelope.name)
                if is_apart:
                    result = await handled(envelope, method)
                else:
                    result = await (method(*envelope.args, **envelope.kwargs) if envelope.kwargs else method(*envelope.args))
            except BaseException as error:  # noqa: BLE001 - `_failed` raises again an error that is not the actor's
                await self._failed(envelope, error)
            else:
                if reply is not None and not reply.done():
                    reply.set_result(result)
                if tap is not None:
                    tap.record(self.address, "reply", {"n": self.handled, "result": result})
            self.current = None
            envelope.release()
            in_turn = (in_turn + 1) % TURN_MESSAGES
            if not in_turn:
                await asyncio.sleep(0)

    async def _next(self) -> Envelope | None:
        """Run the system messages that are steps of a life, then return the next message; None when there is none."""
        queue, tap = self.queue, self.system.tap
        while self.task is asyncio.current_task():  # else it was left behind
            if queue.system_messages:
                message = queue.system_messages.popleft()
                if not isinstance(message, Envelope):
                    await message()
                elif self.state == "running" and self.stopping is None:
                    return message
            elif self.stopping is not None:
                self.stopping.clear_interrupts()
                await incarnation.finish(self, self.stopping.reason)
                return None
            elif not queue.envelopes or self.state != "running":
                return None
            elif tap is not None and tap.full:
                await tap.room()
            else:
                return queue.envelopes.popleft()
        return None

    async def _failed(self, envelope: Envelope, error: BaseException) -> None:
        """Answer for a handler that raised; let the supervisor decide when the error is not an answer."""
        if self.task is not asyncio.current_task():  # it was left behind, and answered
            return
        interrupted = self.stopping is not None and self.stopping.interrupts > 0
        answer, verdict = incarnation.judge(self, envelope, error, interrupted=interrupted)
        if envelope.reply is not None and not envelope.reply.done():
            envelope.reply.set_exception(answer)
        self.current = None
        envelope.release()
        if verdict == "cancelled":
            raise error
        if verdict == "crash":
            await incarnation.crashed(self, error, self.handled, envelope.error_id)

    def __repr__(self) -> str:
        return f"<Cell {self.address} {self.state}, {len(self.queue)} waiting>"


def inline_context(cell: Cell, info: CallInfo | None = None) -> Context:
    """Make the context in which `Cell.handle_now` runs methods; `info` describes the call to `penstock.context()`."""
    context = cell.system.context.copy()
    context.run(handling.set, cell.inline_envelope)
    context.run(current_call.set, info)
    return context
