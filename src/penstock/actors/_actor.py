"""What you write: `Actor`. Its public async methods are what others can ask, tell and stream. It runs nothing by itself."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from penstock.actors._ref import ActorRef, Message
from penstock.actors.cell import DEFAULT_MAILBOX, HOOKS, Cell, Mailbox, Supervision, Timer
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
    """A logger that names its actor, and whose records are events of its history."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(logging.getLogger("penstock.actor"), {"actor": cell.address})
        self._cell = cell

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and tell the tap whatever the level of the logger is."""
        if self._cell.system.tap is not None:
            text = str(msg) % args if args else str(msg)
            self._cell.record("log", level=logging.getLevelName(level), text=text)
        super().log(level, msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put the actor's address before the text."""
        return f"{self._cell.address}: {msg}", kwargs


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

    A method that raises a `StatusError` has answered; anything else it raises is a crash, and its supervisor decides: the
    restarted actor is made anew by ``__init__`` with the same arguments, and keeps only its mailbox. What a streaming method
    raises fails that stream.

    Hooks, all optional: ``on_start()``, ``on_stop()``, ``on_child_failed(child, error)``, ``on_terminated(ref, reason)`` of
    what it watches, ``on_channel(channel)`` or ``on_channel_open(channel)``, ``on_channel_message(channel, message)`` and
    ``on_channel_close(channel, reason)``, ``receive(message)`` for whatever no method answers.
    """

    mailbox: ClassVar[Mailbox] = DEFAULT_MAILBOX
    #: Of its children.
    supervision: ClassVar[Supervision] = Supervision()

    _penstock_hidden: ClassVar[frozenset[str]] = frozenset()  # below
    _cell: Cell

    def __init_subclass__(cls) -> None:
        """Refuse names that would hide what actors need, and hooks that cannot be awaited."""
        super().__init_subclass__()
        for name in _NEEDED & vars(cls).keys():
            raise TypeError(f"{cls.__qualname__}.{name} hides Actor.{name}, which actors need; choose another name")
        for name in HOOKS & vars(cls).keys():
            if not inspect.iscoroutinefunction(inspect.unwrap(vars(cls)[name])):
                raise TypeError(f"{cls.__qualname__}.{name} has to be an `async def`: the system awaits it")

    # ── what it knows of itself, in `__init__` too ────────────────────────────────────────────────────────────────────

    @property
    def address(self) -> str:
        """Its name, as others call it."""
        return self._cell.address

    @property
    def id(self) -> str:
        """Its name for ever."""
        return self._cell.id

    @property
    def system(self) -> ActorSystem:
        """Where it lives; its router verbs reach the others."""
        return cast("ActorSystem", self._cell.system)

    @property
    def parent(self) -> ActorRef | None:
        """Who spawned it; None at the top."""
        parent = self._cell.parent
        return None if parent is None else parent.ref

    @property
    def children(self) -> list[ActorRef]:
        """Whom it spawned, in that order."""
        return [child.ref for child in (self._cell.children or {}).values()]

    @property
    def log(self) -> ActorLog:
        """A logger whose records name this actor and are part of its history."""
        return ActorLog(self._cell)

    @property
    def _penstock_ref(self) -> ActorRef:
        return self._cell.ref

    # ── what it can do ────────────────────────────────────────────────────────────────────────────────────────────────

    async def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        mailbox: Mailbox | None = None,
        supervision: Supervision | None = None,
        **kwargs: Any,
    ) -> A:
        """As `ActorSystem.spawn`, for a child: it ends with this actor, and its address is below this one's."""
        return await self.system.spawn_below(self._cell, cls, args, kwargs, name=name, mailbox=mailbox, supervision=supervision)

    def schedule(self, delay: float, method: Scheduled, *args: Any, every: float | None = None) -> Timer:
        """Run a method of this actor in `delay` seconds, then every `every` seconds if given; ``.cancel()`` ends it.

        A tick is a message: it never interrupts another, and goes before those of others. The timer ends with the actor.
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
        """Return the port of this name, made at its first use: one to many, ``await port.send(item)``.

        Make it in ``__init__``: nobody can subscribe before.

        Each subscriber has its own buffer of `buffer_size` items; `overflow` says what happens to one that is too slow. The
        subscribers of an actor that ends get `ActorStopped`.
        """
        cell = self._cell
        if cell.ports is None:
            cell.ports = {}
        port = cell.ports.get(name)
        if port is None:
            port = cell.ports[name] = Port(name, overflow=overflow, buffer_size=buffer_size)
        return port

    def watch(self, actor: object) -> None:
        """Have `on_terminated` called when another actor of this system stops; at once when it has stopped."""
        self.system.watch(self._cell, actor)

    # ── what everybody may ask it ─────────────────────────────────────────────────────────────────────────────────────

    async def ping(self) -> str:
        """Answer "pong", when its turn comes."""
        return "pong"

    async def accepts(self) -> list[MethodDescription]:
        """Return what it can be sent: methods, kinds and types as JSON Schema."""
        return describe(self._cell.service).methods

    async def describe(self) -> ServiceDescription:
        """Return its class as a schema, without the three questions that every actor answers."""
        service = self._cell.service
        own = {name: method for name, method in service.methods.items() if name not in _ASKED}
        return describe(service._replace(methods=own))

    # ── hooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def on_start(self) -> None:
        """Begin; whoever spawns it waits for this."""

    async def on_stop(self) -> None:
        """End, after its children; it has `STOP_GRACE_S`."""

    async def on_child_failed(self, child: ActorRef, error: Exception) -> None:
        """A child crashed; its supervision goes on by itself."""

    async def on_terminated(self, actor: ActorRef, reason: str) -> None:
        """An actor that this one watches has stopped."""

    async def on_channel(self, channel: Channel[Any]) -> None:
        """Somebody opens a channel: ``accept`` or ``reject`` it, then use it. Runs beside the mailbox."""

    async def receive(self, message: Message) -> Any:
        """Handle a message that no method answers."""

    def __repr__(self) -> str:
        cell = self.__dict__.get("_cell")
        return f"<{type(self).__name__} {cell.address} {cell.state}>" if cell else f"<{type(self).__name__} not spawned>"


#: What is no message: everything above but the three questions that every actor answers.
_ASKED: Final = frozenset({"ping", "accepts", "describe"})
Actor._penstock_hidden = (frozenset(name for name in vars(Actor) if not name.startswith("_")) | HOOKS) - _ASKED
#: What an actor needs of its base class, and what a subclass may set.
_NEEDED: Final = Actor._penstock_hidden - HOOKS - {"mailbox", "supervision"}
