"""One message on its way to an actor, and the context variable that says which message is being handled here.

`Recipient` and `Host` say what the parts of the run-time may use of an actor and of its system. They stand here, below the
parts, so that no part has to import `Cell`.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

from penstock.calls import CallInfo
from penstock.codec import exact
from penstock.errors import StatusError

if TYPE_CHECKING:
    from penstock.actors._ref import ActorRef
    from penstock.actors._supervision import Supervision
    from penstock.actors.cell._belongings import Belongings
    from penstock.observe import Kind, Tap
    from penstock.service import Service

Via = Literal["tell", "ask", "timer", "system"]


class Reply(Protocol):
    """The place for an answer: an ``asyncio.Future``, or an asker at the other end of a connection."""

    @abstractmethod
    def done(self) -> bool:
        """Whether the asker has its answer, or has given up."""

    @abstractmethod
    def set_result(self, result: Any, /) -> None:
        """Answer."""

    @abstractmethod
    def set_exception(self, error: Any, /) -> None:
        """Answer with an error."""


class _NoReply:
    """A reply without an asker."""

    __slots__ = ()

    def done(self) -> bool:
        return True

    def set_result(self, _result: Any, /) -> None: ...

    def set_exception(self, _error: Any, /) -> None: ...


#: Replaces a reply future once its result was read: a failed future keeps the asker's frames alive, and they the envelope.
NO_REPLY: Final[Reply] = _NoReply()


class HeldBytes(Protocol):
    """What the messages of one sender in another process hold, while they wait and are handled."""

    @abstractmethod
    def give(self, size: int, /) -> None:
        """Note that a message of this size is over."""


class Host(Protocol):
    """The actor system as one of its actors sees it.

    id: the suffix of the ids of its actors. context: the context variables with which their tasks begin: those of Penstock,
    and no others. tap: the receiver of their events, if there is one. supervision: the rules for actors without a parent.
    stop_grace_s: how long a message that is being handled may go on when its actor is to stop. thread: the id of the thread of
    `loop`. turns: yields True when a message that was handled where it was sent has to give other tasks a turn of the loop.
    """

    id: str
    context: Context
    stop_grace_s: float
    supervision: Supervision
    tap: Tap | None
    thread: int
    turns: Iterator[bool]

    @property
    @abstractmethod
    def face(self) -> Any:
        """The `ActorSystem` that programs hold."""

    @property
    @abstractmethod
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs the actors."""

    @abstractmethod
    def next_number(self) -> int:
        """Return a number that is unique in this system."""

    @abstractmethod
    def make_ref(self, cell: Any) -> ActorRef:
        """Make the ref of an actor."""

    @abstractmethod
    def family(self, cell: Any) -> Mapping[str, Any]:
        """Return the cells with the same parent, `cell` among them, in the order they were spawned."""

    @abstractmethod
    def remove(self, cell: Any, reason: str) -> None:
        """Forget an actor that has stopped, or was never started, and keep the reason."""

    @abstractmethod
    def dead_letter(self, envelope: Envelope, reason: str, error: StatusError | None = None) -> None:
        """Keep a message that will not be handled as a dead letter, and answer its asker with `error`, if given."""


class WaitingMessages(Sized, Protocol):
    """The messages that wait for an actor. `MailboxQueue` is one."""

    @abstractmethod
    def withdraw(self, envelope: Envelope) -> None:
        """Free the place and the values of a waiting message, because its asker has given it up."""


class Recipient(Protocol):
    """The actor of an envelope, as far as the envelope's holders need it. `Cell` is one."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Its name."""

    @property
    @abstractmethod
    def id(self) -> str:
        """Its unique id."""

    @property
    @abstractmethod
    def parent(self) -> Recipient | None:
        """The actor that spawned it."""

    @property
    @abstractmethod
    def service(self) -> Service:
        """Its methods."""

    @property
    @abstractmethod
    def system(self) -> Host:
        """Its surroundings."""

    @property
    @abstractmethod
    def queue(self) -> WaitingMessages:
        """The messages that wait in its mailbox."""

    @property
    @abstractmethod
    def current(self) -> Envelope | None:
        """The message that it is handling."""

    @property
    @abstractmethod
    def task(self) -> asyncio.Task[Any] | None:
        """The task that handles its messages."""

    @property
    @abstractmethod
    def inline_envelope(self) -> Envelope:
        """The envelope that stands for each message that is handled where it is sent."""

    @property
    @abstractmethod
    def belongings(self) -> Belongings[Any]:
        """What ends with it."""

    @abstractmethod
    def post(self, envelope: Envelope) -> bool:
        """Put a message into the mailbox; False when it is full."""

    @abstractmethod
    async def post_when_room(self, envelope: Envelope) -> None:
        """Put a message into the mailbox after a wait for room."""

    @abstractmethod
    def record(self, kind: Kind, **data: Any) -> None:
        """Tell the tap of an event of this actor."""


class Envelope(msgspec.Struct):
    """A message for the actor of `cell`: run its method `name`.

    cause: the message in whose handler, or a task of it, this one was sent; asker: the task that waits for the answer. waiting:
    ids of actors in other processes that wait for it. waits: the actors, or pieces of their side work, for which its handler or
    tasks of it wait now, each with the task that waits, by the id of its `Waiting`; None before the first. task: of side work;
    None for a message. size: the bytes that a message from another process holds, which were charged to `held_by`; 0 for any
    other. context: the context of the
    interceptors around it; None without any. deadline: of a message that is handled where it is sent; that of any other is in
    `info`. is_over: whether it was handled, withdrawn, or refused after it had waited. error_id: the id under which the log has
    the crash of its handler; empty without one.
    """

    cell: Recipient
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    via: Via
    reply: Any = None
    cause: Envelope | None = None
    info: CallInfo | None = None
    sender: str | None = None
    waiting: tuple[str, ...] = ()
    waits: dict[int, tuple[Recipient | Envelope, asyncio.Task[Any] | None]] | None = None
    size: int = 0
    held_by: HeldBytes | None = None
    context: Context | None = None
    deadline: float | None = None
    asker: asyncio.Task[Any] | None = None
    task: asyncio.Task[Any] | None = None
    is_over: bool = False
    error_id: str = ""

    @property
    def type(self) -> str:
        """Its name in a history: the type of a message that `receive` handles, else the method."""
        return self.args[0].type if self.name == "receive" and self.args else self.name

    def take_context(self) -> Context:
        """Return a context for this message, to be used once: that of the interceptors around it, else a new one."""
        context, self.context = self.context, None  # it will hold the message, which must not hold it
        return context or self.cell.system.context.copy()

    def sent_by(self, cause: Envelope | None) -> None:
        """Note the message in whose handler, and the task in which, the answer to this one is awaited."""
        self.cause = cause
        if cause is not None:
            self.asker = asyncio.current_task()

    def waited_for_by(self, ids: Sequence[str]) -> None:
        """Note the actors in other processes that wait for this work."""
        self.waiting = tuple(ids)

    def run_here(self) -> None:
        """Note that this task does the side work of this envelope."""
        self.task = asyncio.current_task()

    def run_no_more(self) -> None:
        """Note that the side work of this envelope is over: the context of its task holds it, so it must not hold the task."""
        self.task = None

    def bind(self, deadline: float | None) -> None:
        """Set the deadline of the message that is handled where it is sent."""
        self.deadline = deadline

    def add_wait(self, number: int, target: Recipient | Envelope, task: asyncio.Task[Any] | None) -> None:
        """Note that a task of the handler waits for an actor, or for the side task of an envelope."""
        if self.waits is None:
            self.waits = {}
        self.waits[number] = target, task

    def drop_wait(self, number: int) -> None:
        """Note that one of these waits is over."""
        if self.waits is not None:
            del self.waits[number]

    def release(self) -> None:
        """Let go of the arguments of a handled message: a task that its handler has left behind has it in its context."""
        self.args, self.kwargs, self.is_over = (), {}, True
        if self.size:
            self.leave()

    def crashed_as(self, error_id: str) -> None:
        """Note the id under which the log has the crash of the handler; empty for none any more."""
        self.error_id = error_id

    def leave(self) -> None:
        """Note that the message is over, and holds nothing more: it was handled, or will not be."""
        self.is_over = True
        size, self.size = self.size, 0
        if self.held_by is not None:
            self.held_by.give(size)

    def empty(self) -> None:
        """Let go of all that the message holds: it is withdrawn."""
        self.release()
        self.reply = NO_REPLY
        self.info = self.context = self.cause = self.asker = None

    def withdraw(self, _error: StatusError | None = None) -> None:
        """Take a message that was posted out of the mailbox, because its asker has given it up. One that has begun goes on."""
        if not self.is_over and self.cell.current is not self:
            self.cell.queue.withdraw(self)

    def give_up(self, error: StatusError) -> None:
        """Answer the asker with `error` if it has no answer yet; it withdraws a message that has not begun."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)


#: The message that is being handled here. Side work has an envelope of its own, which is never `Cell.current`.
handling: ContextVar[Envelope | None] = ContextVar("penstock_handling", default=None)


def chain(envelope: Envelope | None) -> Iterator[Envelope]:
    """Iterate over a message, the message whose handler waits for it, and so on."""
    while envelope is not None:
        yield envelope
        envelope = envelope.cause


def sender_here() -> str | None:
    """Return the address of the actor that runs here; None outside of actors."""
    envelope = handling.get()
    return envelope.cell.address if envelope is not None else None


def exactly(args: Sequence[Any], kwargs: Mapping[str, Any], name: str = "") -> tuple[list[Any], dict[str, Any]]:
    """Return arguments as they are recorded, so that a replay can make them again: untyped ones are marked where JSON fails."""
    if name == "receive":
        (message,) = args
        return [{"type": message.type, "payload": exact(message.payload), "sender": message.sender}], {}
    return [exact(value) for value in args], {key: exact(value) for key, value in kwargs.items()} if kwargs else {}
