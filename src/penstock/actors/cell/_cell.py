"""The run-time of one actor: takes its messages one at a time, in order, and runs them. It decides nothing about failures.

An idle actor has no task: one is started when a message comes and ends when nothing waits. What the system wants of an actor
(`orders`: ticks of timers, news of children) goes before what others want of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from penstock.actors._ref import ActorRef
from penstock.actors._supervision import Failures, Supervision
from penstock.actors.cell import _life as life
from penstock.actors.cell._cycles import Waiting, check_room
from penstock.actors.cell._envelope import Envelope, Via, handling
from penstock.actors.cell._mailbox import MailboxQueue
from penstock.actors.cell._side_task import SideTask
from penstock.actors.cell._stop import calm
from penstock.calls import current_call
from penstock.channel import Channel
from penstock.errors import ActorStopped, Internal
from penstock.observe import Kind
from penstock.streams import Port

if TYPE_CHECKING:
    from penstock.actors.cell._host import Host
    from penstock.actors.cell._timer import Timer

log = logging.getLogger("penstock.actor")

Order = Callable[[], Coroutine[Any, Any, None]]

#: How many messages an actor may handle before others get a turn of the loop.
TURN_MESSAGES: Final = 64


class Cell:
    """One actor. `state`: starting, running, restarting, stopping, stopped."""

    __slots__ = (
        "__weakref__",
        "actor",
        "address",
        "args",
        "bell",
        "channels",
        "children",
        "cls",
        "context",
        "current",
        "ended",
        "error",
        "failures",
        "grace",
        "handled",
        "hooks",
        "inline_envelope",
        "instant",
        "interrupts",
        "kwargs",
        "messages",
        "orders",
        "parent",
        "ports",
        "queue",
        "ref",
        "restarts",
        "serial",
        "service",
        "started_s",
        "state",
        "stopping",
        "supervision",
        "system",
        "task",
        "timers",
        "watchers",
        "work",
    )

    def __init__(self, system: Host, cls: type[Any], address: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.system = system
        self.cls = cls
        self.address = address
        self.args = args
        self.kwargs = kwargs
        self.serial = system.next_number()
        profile = life.profile_of(cls)
        self.service, self.hooks, self.instant, self.messages = profile
        self.ref: ActorRef  # set by who spawns it
        self.context: Context | None = None  # of messages that are handled where they are sent
        self.inline_envelope = Envelope(self, "", (), {}, "system")  # where work is done for which there is no envelope
        self.actor: Any = None  # made by life.make
        self.parent: Cell | None = None
        self.supervision: Supervision | None = None
        self.queue = MailboxQueue(cls.mailbox)
        self.state = "starting"
        self.started_s = 0.0
        self.restarts = 0
        self.handled = 0
        self.error = ""
        self.stopping = ""  # why it is to stop
        self.current: Envelope | None = None
        self.task: asyncio.Task[None] | None = None
        self.bell: asyncio.Future[None] | None = None  # of a wait that a stop cuts short
        self.grace: asyncio.TimerHandle | None = None  # when a stop loses its patience
        self.ended: asyncio.Future[None] | None = None
        self.failures: Failures | None = None
        self.orders: deque[Order | Envelope] | None = None
        self.children: dict[str, Cell] | None = None
        self.channels: WeakSet[Channel[Any]] | None = None  # that it has opened
        self.watchers: WeakSet[Cell] | None = None  # they may be gone before it
        self.timers: set[Timer] | None = None
        self.ports: dict[str, Port[Any]] | None = None
        self.work: set[SideTask] = set()
        self.interrupts = 0  # how often what it handles was cancelled, to make it stop

    @property
    def id(self) -> str:
        """Its name for ever, whoever else may have its address later; its own part first, so that its beginning names it."""
        return f"{self.serial:x}-{self.system.id}"

    # ── what others want of it ────────────────────────────────────────────────────────────────────────────────────────

    def post(self, envelope: Envelope) -> bool:
        """Take a message; False when its sender has to wait (`post_when_room`).

        Raises `ActorStopped`, and `MailboxFull` of a mailbox that rejects.
        """
        queue = self.queue
        envelopes = queue.envelopes
        if len(envelopes) + queue.senders.reserved < queue.rules.size and not queue.closed and not queue.heavy:
            envelopes.append(envelope)
            if envelope.size:
                queue.hold(envelope.size)
            if self.task is None:
                self.wake()
            return True
        held = queue.load()
        try:
            dropped = queue.make_room(self.address)
        except ActorStopped as error:
            self.system.dead_letter(envelope, error.message)
            raise
        if not dropped:
            check_room(self, envelope)
            return False
        for each in dropped:
            life.dropped(self, each, held)
        queue.envelopes.append(envelope)
        queue.hold(envelope.size)
        return True

    async def post_when_room(self, envelope: Envelope) -> None:
        """As `post`, after a wait for room. Cancelling it sends nothing."""
        try:
            with Waiting(self):
                await self.queue.room(envelope.reply if isinstance(envelope.reply, asyncio.Future) else None)
                self.queue.check()
        except ActorStopped as error:
            self.system.dead_letter(envelope, error.message)
            raise
        self.queue.envelopes.append(envelope)
        self.queue.hold(envelope.size)
        if self.task is None:
            self.wake()

    def order(self, order: Order | Envelope) -> None:
        """Do this before any other message."""
        if self.state == "stopped":
            return
        if self.orders is None:
            self.orders = deque()
        self.orders.append(order)
        if self.task is None:
            self.wake()

    def call(self, name: str, *args: Any, via: Via = "system") -> Envelope:
        """Run a method of the actor before any other message."""
        envelope = Envelope(self, name, args, {}, via)
        self.order(envelope)
        return envelope

    def wake(self) -> None:
        """Something waits, and nobody is handling it."""
        system = self.system
        self.task = system.loop.create_task(self._run(), context=system.context.copy())

    def is_idle(self) -> bool:
        """Whether a message could be handled at once."""
        if self.task is not None or self.current is not None or self.state != "running" or self.queue.senders.reserved:
            return False
        tap = self.system.tap
        return tap is None or not tap.full

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        """Handle what waits, until nothing does."""
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
        """Whether the task does after an error that is no handler's: a stop cancels what is being handled, nothing else."""
        if self.task is not asyncio.current_task():  # it was left behind
            return False
        envelope, self.current = self.current, None
        if envelope is not None and isinstance(error, Exception):
            log.error("%s could not handle %r; it goes on", self.address, envelope.type, exc_info=error)
            envelope.give_up(Internal(f"{self.address} could not handle {envelope.type!r}"))
            return True
        if self.interrupts and isinstance(error, asyncio.CancelledError):
            return True
        self.task = None
        if self.queue.envelopes or self.orders or self.stopping:
            self.wake()
        return False

    async def _drain(self) -> None:  # noqa: C901, PLR0912 - in one piece, see below
        """Handle envelope after envelope, in one loop: a coroutine more for each message costs a fifth of it."""
        queue, envelopes, tap = self.queue, self.queue.envelopes, self.system.tap
        told: object = None
        turn = 0
        while True:
            if self.orders or self.stopping or self.state != "running" or not envelopes or (tap is not None and tap.full):
                reply = None
                envelope = await self._next()
                if envelope is None:
                    return
                told = self  # whatever was done before it may have set another
            else:
                envelope = envelopes.popleft()
                if envelope.size:
                    queue.hold(-envelope.size)
                if queue.senders.line:
                    queue.wake()
            reply = envelope.reply
            if reply is not None and reply.done():  # its asker gave it up before it began
                continue
            self.current = envelope
            handling.set(envelope)
            if envelope.info is not told:
                told = envelope.info
                current_call.set(told)
            self.handled += 1
            if tap is not None:
                life.record_message(self, envelope)
            try:
                method = getattr(self.actor, envelope.name)
                result = await (method(*envelope.args, **envelope.kwargs) if envelope.kwargs else method(*envelope.args))
            except BaseException as error:  # noqa: BLE001 - `_failed` raises again what is not the actor's
                await self._failed(envelope, error)
            else:
                if reply is not None and not reply.done():
                    reply.set_result(result)
                if tap is not None:
                    tap.record(self.address, "reply", {"n": self.handled, "result": result})
            self.current = None
            turn += 1
            if turn == TURN_MESSAGES:
                turn = 0
                await asyncio.sleep(0)

    async def _next(self) -> Envelope | None:
        """Do what goes before messages; return the next one, None when there is nothing to do."""
        tap = self.system.tap
        while self.task is asyncio.current_task():  # else it was left behind
            if self.orders:
                order = self.orders.popleft()
                if not isinstance(order, Envelope):
                    await order()
                elif self.state == "running" and not self.stopping:
                    return order
            elif self.stopping:
                calm(self)
                await life.finish(self, self.stopping)
                return None
            elif not self.queue.envelopes or self.state != "running":
                return None
            elif tap is not None and tap.full:
                await tap.room()
            else:
                return self.queue.take()
        return None

    async def _failed(self, envelope: Envelope, error: BaseException) -> None:
        """A handler raised: answer, and let the supervisor decide when it was no answer."""
        if self.task is not asyncio.current_task():  # it was left behind, and answered
            return
        answer, verdict = life.judge(self, envelope, error, interrupted=self.interrupts > 0)
        if envelope.reply is not None and not envelope.reply.done():
            envelope.reply.set_exception(answer)
        self.current = None
        if verdict == "cancelled":
            raise error
        if verdict == "crash" and isinstance(error, Exception):
            await life.crashed(self, error, self.handled)

    def record(self, kind: Kind, **data: Any) -> None:
        """Tell the tap, if somebody listens."""
        if self.system.tap is not None:
            self.system.tap.record(self.address, kind, data)

    def __repr__(self) -> str:
        return f"<Cell {self.address} {self.state}, {len(self.queue.envelopes)} waiting>"
