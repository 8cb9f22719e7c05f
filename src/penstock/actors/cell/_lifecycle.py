"""The state of one actor's life: which steps are legal, and the fields that change with them.

The steps are a table, and an absent key *is* the error. From the table::

    starting    started ▶ running · restart ▶ restarting · stop ▶ stopping · abandon ▶ stopped
    running     restart ▶ restarting · stop ▶ stopping · abandon ▶ stopped
    restarting  make ▶ starting · restart ▶ restarting · stop ▶ stopping
    stopping    stop ▶ stopping · end ▶ stopped · abandon ▶ stopped
    stopped     (the end)

A step from a state to itself repeats work that was interrupted. What is done in each state, with hooks and waits, is in
`_incarnation`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from penstock._outcomes import as_exception, ends_the_loop
from penstock.actors._supervision import Failures, Supervision
from penstock.actors.cell._belongings import Belongings
from penstock.actors.cell._cycles import Waiting, is_waited_for
from penstock.actors.cell._envelope import Envelope, Host, Via
from penstock.actors.cell._mailbox import MailboxQueue, SystemMessage
from penstock.actors.cell._profile import profile_of
from penstock.errors import ActorStopped
from penstock.observe import Kind
from penstock.streams import Bell, check_thread

if TYPE_CHECKING:
    from penstock.actors._ref import ActorRef

log = logging.getLogger("penstock.actor")

#: state -> step -> next state.
STEPS: Final[Mapping[str, Mapping[str, str]]] = {
    "starting": {"started": "running", "restart": "restarting", "stop": "stopping", "abandon": "stopped"},
    "running": {"restart": "restarting", "stop": "stopping", "abandon": "stopped"},
    "restarting": {"make": "starting", "restart": "restarting", "stop": "stopping"},
    "stopping": {"stop": "stopping", "end": "stopped", "abandon": "stopped"},
    "stopped": {},
}

#: How long a handler that was cancelled may go on before it is cancelled again, in seconds.
AGAIN_S: Final = 1.0
#: How often a handler is cancelled before it is left behind, and the actor ends without it.
INTERRUPTS_MAX: Final = 3


def diagram() -> str:
    """Return the table as text, a line for each state, as it stands at the top of this module."""
    width = max(map(len, STEPS))
    lines = (f"{state:{width}}  {' · '.join(f'{step} ▶ {after}' for step, after in STEPS[state].items())}" for state in STEPS)
    return "\n".join(line if "▶" in line else f"{line}(the end)" for line in lines)


class Runner(ABC):
    """The half of a cell that takes messages and runs them, as the half that lives uses it. `Cell` fills it in.

    ref: the actor as a value. queue: its mailbox. current: the message that it is handling. task: the task that handles its
    messages, None for an idle actor. handled: how many messages it has handled. inline_envelope: see `Recipient`.
    """

    __slots__ = ()

    ref: ActorRef
    queue: MailboxQueue
    current: Envelope | None
    task: asyncio.Task[None] | None
    handled: int
    inline_envelope: Envelope

    @abstractmethod
    def post(self, envelope: Envelope) -> bool:
        """Put a message into the mailbox; False when it is full."""

    @abstractmethod
    async def post_when_room(self, envelope: Envelope) -> None:
        """Put a message into the mailbox after a wait for room."""

    @abstractmethod
    def post_system(self, message: SystemMessage) -> None:
        """Put a message before all that are not of the system. An actor that has stopped takes none."""

    @abstractmethod
    def wake(self) -> None:
        """Start the task that handles messages, because one waits and the task has ended."""

    @abstractmethod
    def set_current(self, envelope: Envelope) -> None:
        """Begin to handle a message, or a hook that has an envelope."""

    @abstractmethod
    def take_current(self) -> Envelope | None:
        """Handle no message any more; return the one that was being handled."""


class Lifecycle(Runner):
    """One actor without the loop that runs its messages, which `Cell` adds: what it was made of, and how its life stands.

    state: a key of `STEPS`. stopping: the request to stop, from the first one on. failures: its crashes, as far as they count.
    restarts: how often it was made anew. started_s: when it last began to run, a time of the loop's clock; 0 before.
    belongings: what ends with it. Other modules change none of these fields: they call the methods.
    """

    __slots__ = (
        "__weakref__",
        "_paused",
        "actor",
        "address",
        "args",
        "belongings",
        "channel_type",
        "cls",
        "failures",
        "hooks",
        "inline_methods",
        "kept_methods",
        "kwargs",
        "parent",
        "restarts",
        "serial",
        "service",
        "started_s",
        "state",
        "stopping",
        "supervision",
        "system",
    )

    def __init__(
        self,
        system: Host,
        cls: type[Any],
        address: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        parent: Lifecycle | None = None,
        supervision: Supervision | None = None,
    ) -> None:
        self.system = system
        self.cls = cls
        self.address = address
        self.args = args
        self.kwargs = kwargs
        self.serial = system.next_number()
        self.service, self.hooks, self.inline_methods, self.channel_type, self.kept_methods = profile_of(cls)
        self.parent = parent
        self.supervision = supervision
        self.belongings: Belongings[Lifecycle] = Belongings()
        self.failures = Failures()
        self.actor: Any = None
        self.state = "starting"
        self.stopping: StopRequest | None = None
        self.restarts = 0
        self.started_s = 0.0
        self._paused: Bell | None = None  # a wait that a request to stop cuts short

    @property
    def id(self) -> str:
        """Its unique id; the part of the actor comes before the part of the system, so a beginning of it names the actor."""
        return f"{self.serial:x}-{self.system.id}"

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, name: str) -> None:
        """Take a step of the table. Raises `KeyError` for an illegal one."""
        self.state = STEPS[self.state][name]

    def make(self) -> None:
        """Make the actor's object, in a context of its own. Its `_cell` is set before its ``__init__`` runs.

        Raises what that raises.
        """
        cls: Any = self.cls
        self.actor = actor = cls.__new__(cls)
        actor._cell = self
        try:
            self.system.context.copy().run(actor.__init__, *self.args, **self.kwargs)
        except BaseException as error:
            if isinstance(error, Exception) or ends_the_loop(error):
                raise
            raise as_exception(error, f"{self.address}: its __init__") from error

    def make_again(self, reason: str, delay_s: float) -> None:
        """Make the object of the next incarnation. Raises what its ``__init__`` raises."""
        self.restarts += 1
        self.record("restarted", after_s=delay_s, reason=reason)
        self.step("make")
        self.make()

    def run(self) -> None:
        """Begin to take messages: `on_start` has run."""
        self.step("started")
        self.started_s = self.system.loop.time()
        if self.system.tap is not None:
            self.record("started", restarts=self.restarts)

    def end(self, step: str, reason: str) -> None:
        """Take the last step, "end" or "abandon", and leave the system, which keeps the reason for later callers."""
        self.step(step)
        self.system.remove(self, reason)

    def abandon(self) -> None:
        """End an actor whose spawn failed, unless it has ended or a stop is under way."""
        if self.state != "stopped" and self.stopping is None:
            self.end("abandon", "its spawn failed")

    # ── stopping ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, reason: str = "it was stopped") -> None:
        """Stop after the message that is being handled, which has `Host.stop_grace_s`; wait for it, except from inside.

        Idempotent; the first reason stays. Cancelling it does not undo it.
        """
        self.begin_stop(reason)
        if self.stopping is not None and self.state != "stopped":
            await self.stopping.wait()

    def begin_stop(self, reason: str) -> None:
        """As `stop`, without the wait."""
        check_thread(self.system.thread, self.system.face)
        if self.state == "stopped":
            return
        if self.stopping is None:
            self.stopping = StopRequest(self, reason)
            if self._paused is not None:
                self._paused.notify()
        if self.task is None:
            self.wake()

    async def pause(self, delay_s: float) -> bool:
        """Wait before a restart; return False when a request to stop came before its end."""
        if delay_s > 0 and self.stopping is None:
            self._paused = Bell()
            try:
                async with asyncio.timeout(delay_s):
                    await self._paused.wait()
            except TimeoutError:
                pass
            finally:
                self._paused = None
        return self.stopping is None

    def post_call(self, name: str, *args: Any, via: Via = "system") -> Envelope:
        """Have a method of the actor run before any message that is not of the system; return its envelope."""
        envelope = Envelope(self, name, args, {}, via)
        self.post_system(envelope)
        return envelope

    def record(self, kind: Kind, **data: Any) -> None:
        """Tell the tap, if there is one, of an event of this actor."""
        if self.system.tap is not None:
            self.system.tap.record(self.address, kind, data)


class StopRequest:
    """A stop of an actor that was asked for: waited for, and, with a handler that does not end, insisted on.

    reason: why it is to stop. interrupts: how often the handler was cancelled so far.
    """

    __slots__ = ("_cell", "_ended", "_grace", "interrupts", "reason")

    def __init__(self, cell: Lifecycle, reason: str) -> None:
        loop = asyncio.get_running_loop()
        self._cell = cell
        self._ended: asyncio.Future[None] = loop.create_future()
        self._grace = loop.call_later(cell.system.stop_grace_s, self._interrupt)
        self.reason = reason
        self.interrupts = 0

    async def wait(self) -> None:
        """Wait until the actor has stopped, unless its end has to wait for the message that is handled here."""
        if not is_waited_for(self._cell):
            with Waiting(self._cell):
                await asyncio.shield(self._ended)

    def _interrupt(self) -> None:
        """Cancel a handler, or a wait for the tap, that keeps the actor from stopping; leave it behind in the end."""
        cell = self._cell
        if cell.task is None or cell.state in {"stopping", "stopped"}:
            return
        tap = cell.system.tap
        if cell.current is not None or (tap is not None and tap.full):
            if self.interrupts == INTERRUPTS_MAX:
                self._leave_behind()
                return
            self.interrupts += 1
            cell.task.cancel()
        patience_s = AGAIN_S if self.interrupts else max(AGAIN_S, cell.system.stop_grace_s)
        self._grace = cell.system.loop.call_later(patience_s, self._interrupt)

    def clear_interrupts(self) -> None:
        """Take back the cancellations: the interrupted handler has ended, and the steps that follow are not cancelled."""
        task = self._cell.task
        while self.interrupts and task is not None and task.cancelling():
            task.uncancel()
        self.interrupts = 0

    def _leave_behind(self) -> None:
        """Go on without the task: another one runs the end of the actor."""
        cell = self._cell
        envelope = cell.take_current()
        busy = "its tap" if envelope is None else repr(envelope.type)
        log.error("%s: %s goes on though it was cancelled %d times; it is left behind", cell.address, busy, self.interrupts)
        if envelope is not None:
            envelope.give_up(ActorStopped(f"{cell.address} was stopped while it handled {envelope.type!r}"))
            envelope.release()
        self.interrupts = 0
        cell.wake()

    def done(self) -> None:
        """The actor has stopped: wake the tasks that wait for it."""
        self._grace.cancel()
        if not self._ended.done():
            self._ended.set_result(None)
