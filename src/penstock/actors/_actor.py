"""`Actor`, the base class of the actors that a program writes: its public async methods can be asked, told and streamed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from penstock._outcomes import formatted
from penstock.actors._ref import ActorRef, Message
from penstock.actors._stub import ref
from penstock.actors.cell import DEFAULT_MAILBOX, HOOKS, Cell, Mailbox, Supervision, Timer
from penstock.actors.local import LocalRef
from penstock.channel import Channel
from penstock.errors import InvalidArgument
from penstock.service import MethodDescription, ServiceDescription, describe
from penstock.streams import Overflow as PortOverflow
from penstock.streams import Port

if TYPE_CHECKING:
    from penstock.actors._system import ActorSystem

A = TypeVar("A", bound="Actor")
Scheduled = str | Callable[..., Coroutine[Any, Any, Any]]


class ActorLog(logging.LoggerAdapter[logging.Logger]):
    """The logger of one actor: its records begin with the address, and are events of the actor's history."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(logging.getLogger("penstock.actor"), {"actor": cell.address})
        self._cell = cell

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and tell the tap: also below the level of the logger."""
        if self._cell.system.tap is not None:
            self._cell.record("log", level=logging.getLevelName(level), text=formatted(msg, args))
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the actor's address before the text."""
        return f"{self._cell.address}: {formatted(msg, ())}", kwargs


class _Unspawned:
    """Stands for the cell of an actor's object that a program has made itself."""

    def __get__(self, actor: object, cls: type[Any]) -> Any:
        if actor is None:
            return self
        raise TypeError(
            f"{cls.__name__}() makes no actor: give the class to `spawn`, as in `await system.spawn({cls.__name__}, ...)`, "
            "which makes the object and returns a stub of it"
        )


class Actor:
    """A service with identity, private state, a bounded mailbox, a life and a supervisor.

    ::

        class Counter(penstock.Actor):
            def __init__(self, start: int = 0) -> None:
                self.n = start

            async def add(self, k: int) -> int:  # one message at a time, in order
                self.n += k
                return self.n

            async def ticks(self) -> AsyncIterator[int]:  # beside the mailbox; ends when the actor does
                ...

    Never make one yourself: `ActorSystem.spawn` and `Actor.spawn` do, and return a stub with the same methods. The methods run
    one at a time, so they may use ``self`` without a lock; a method that waits holds back the next message. Streaming methods
    and channels run beside the mailbox, each in a task of its own.

    A method that raises a `StatusError` has answered. Any other error is a crash: the asker gets it, and the supervisor
    decides. A restarted actor is made anew by ``__init__`` with the same arguments and keeps only its mailbox. An error of a
    streaming method fails that stream alone.

    Hooks, all optional: ``on_start()``, ``on_stop()``, ``on_child_failed(child, error)``, ``on_terminated(actor, reason)``,
    ``on_channel(channel)`` or ``on_channel_open(channel)``, ``on_channel_message(channel, message)`` and
    ``on_channel_close(channel, reason)`` (not for a channel that ``on_channel_open`` rejected), and ``receive(message)`` for
    messages whose type is not a method.

    A stop ends, in this order, the message that is handled, the timers, the children, and the streams and channels that the
    actor serves. Then `on_stop` runs, which may send a last item through a port and close it. Ports and opened channels that
    are still open fail with `ActorStopped`, and so do the messages that wait. A restart runs no `on_stop`.

    mailbox: how many messages may wait (1,000), and what happens to more. supervision: the rules for its children.
    """

    mailbox: ClassVar[Mailbox] = DEFAULT_MAILBOX
    supervision: ClassVar[Supervision] = Supervision()

    _penstock_hidden: ClassVar[frozenset[str]] = frozenset()  # the names that are not messages; set below
    _cell: Cell = cast("Cell", _Unspawned())  # hidden by the cell of each object that is spawned

    def __init_subclass__(cls) -> None:
        """Raise `TypeError` for a name that hides one of `Actor`, and for a hook that is not an ``async def``."""
        super().__init_subclass__()
        for name in _NEEDED & vars(cls).keys():
            raise TypeError(f"{cls.__qualname__}.{name} hides Actor.{name}, which actors need; choose another name")
        for name in HOOKS & vars(cls).keys():
            if not inspect.iscoroutinefunction(inspect.unwrap(vars(cls)[name])):
                raise TypeError(f"{cls.__qualname__}.{name} has to be an `async def`: the system awaits it")

    # ── itself: can be read in `__init__`, too ────────────────────────────────────────────────────────────────────────

    @property
    def address(self) -> str:
        """Its name, by which routers find it: ``parent/child`` for a child."""
        return self._cell.address

    @property
    def id(self) -> str:
        """Its unique id. An actor that is spawned later under the same name has another; a restart keeps it."""
        return self._cell.id

    @property
    def system(self) -> ActorSystem:
        """The system in which it lives; its router verbs reach the other actors."""
        system: ActorSystem = self._cell.system.face
        return system

    @property
    def parent(self) -> ActorRef | None:
        """The actor that spawned it; None for one that the system spawned."""
        parent = self._cell.parent
        return None if parent is None else parent.ref

    @property
    def children(self) -> list[ActorRef]:
        """The children that live, in the order they were spawned."""
        return [child.ref for child in self._cell.belongings.children.values()]

    @property
    def log(self) -> ActorLog:
        """A logger whose records name this actor and are part of its history."""
        return ActorLog(self._cell)

    @property
    def _penstock_ref(self) -> ActorRef:
        return self._cell.ref

    # ── verbs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        mailbox: Mailbox | None = None,
        supervision: Supervision | None = None,
        **kwargs: Any,
    ) -> A:
        """Spawn a child and return its stub: as `ActorSystem.spawn`, but it ends with this actor, also when that restarts.

        Its address is ``<address>/<name>``. `supervision` replaces the rules that this actor has for its children. Raises
        `FailedPrecondition` while this actor restarts or stops. Cancelling it stops the child.
        """
        host = self.system._host
        stub = await host.spawn(self._cell, cls, args, kwargs, name=name, mailbox=mailbox, supervision=supervision)
        return cast("A", stub)

    def schedule(self, delay: float, method: Scheduled, *args: Any, every: float | None = None) -> Timer:
        """Run a method of this actor in `delay` seconds, then every `every` seconds if given; ``.cancel()`` ends it.

        `method` is a bound method or its name, `args` are its arguments. A tick is a message: it interrupts no other, and goes
        before those that wait. A tick that comes while the last one is not done is left out. The timer ends with the actor.

        Raises `InvalidArgument` for a method that the actor does not have, `ValueError` for a time that is not one.
        """
        name = method if isinstance(method, str) else method.__name__
        if not callable(getattr(self, name, None)):
            raise InvalidArgument(f"{self.address} has no method {name!r} to schedule")
        if not 0 <= delay < float("inf"):
            raise ValueError(f"delay is {delay!r}; it takes seconds, zero or more")
        if every is not None and not every > 0:
            raise ValueError(f"every is {every!r}; it takes seconds above zero")
        return Timer(self._cell, delay, name, args, every)

    def port(self, name: str, *, overflow: PortOverflow = "wait", buffer_size: int = 16) -> Port[Any]:
        """Return the port of this name, made at its first use: a stream to many subscribers, ``await port.send(item)``.

        Make it in ``__init__``: a subscriber that comes before gets `NotFound`.

        Each subscriber has its own buffer of `buffer_size` items; `overflow` says what happens when it is full ("wait": the
        actor waits). The subscribers of an actor that ends or restarts get `ActorStopped`, after an `on_stop` that has not
        closed the port.
        """
        belongings = self._cell.belongings
        port = belongings.ports.get(name)
        if port is None:
            port = Port(name, overflow=overflow, buffer_size=buffer_size)
            belongings.add_port(port)
        return port

    def watch(self, actor: object) -> None:
        """Have `on_terminated` called when another actor of this process stops; at once when it has stopped.

        `actor` is a stub or an `ActorRef`. Raises `InvalidArgument` for an actor of another process, `TypeError` for an object
        that is not an actor.
        """
        _watch(self._cell, actor)

    # ── messages that each actor answers ──────────────────────────────────────────────────────────────────────────────

    async def ping(self) -> str:
        """Answer "pong", when the messages before it are done."""
        return "pong"

    async def accepts(self) -> list[MethodDescription]:
        """Return its methods, with their kinds and types as JSON Schema."""
        return describe(self._cell.service).methods

    async def describe(self) -> ServiceDescription:
        """Return its class as a schema, without `ping`, `accepts` and `describe`."""
        service = self._cell.service
        own = {name: method for name, method in service.methods.items() if name not in _COMMON}
        return describe(service._replace(methods=own))

    # ── hooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def on_start(self) -> None:
        """Run before the first message, at each start; `spawn` waits for it, and raises its error."""

    async def on_stop(self) -> None:
        """Run at the end, after the children have stopped; not before a restart. It is cancelled after `STOP_GRACE_S` (5 s)."""

    async def on_child_failed(self, child: ActorRef, error: Exception) -> None:
        """Hear of the crash of a child. The supervision restarts or stops the child by itself."""

    async def on_terminated(self, actor: ActorRef, reason: str) -> None:
        """Hear of the end of an actor that this one watches."""

    async def on_channel(self, channel: Channel[Any]) -> None:
        """Handle a channel that an actor or a client opens: ``accept`` or ``reject`` it, then use it.

        Runs beside the mailbox; the channel is closed when this returns. Annotate it ``channel: Channel[Order]``, and messages
        from other processes arrive as `Order`.

        When the other side has left, it may receive the messages that have arrived. It is cancelled once it has received none
        for 30 s, and at once when it uses the channel for nothing: no message was sent to it, and it waits for none.
        """

    async def receive(self, message: Message) -> Any:
        """Handle a message whose type is not a method; the return value is the answer."""

    def __repr__(self) -> str:
        cell = self.__dict__.get("_cell")
        return f"<{type(self).__name__} {cell.address} {cell.state}>" if cell else f"<{type(self).__name__} not spawned>"


#: The messages that each actor answers, in addition to its own methods.
_COMMON: Final = frozenset({"ping", "accepts", "describe"})
Actor._penstock_hidden = (frozenset(name for name in vars(Actor) if not name.startswith("_")) | HOOKS) - _COMMON
#: Names that a subclass must not define.
_NEEDED: Final = Actor._penstock_hidden - HOOKS - {"mailbox", "supervision"}


def _watch(watcher: Cell, actor: object) -> None:
    """Have `on_terminated` of `watcher` called when another actor of this process stops; at once when it has stopped.

    Raises `InvalidArgument` for an actor of another process, `TypeError` for an object that is not an actor.
    """
    watched = ref(actor)
    if not isinstance(watched, LocalRef):
        raise InvalidArgument(f"{watched!r} is in another process; only actors of this process can be watched")
    cell = watched.cell
    if cell.state == "stopped":
        watcher.post_call("on_terminated", watched, cell.queue.closed)
    else:
        cell.belongings.add_watcher(watcher)
