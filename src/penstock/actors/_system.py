"""The actors of one process: `ActorSystem` spawns them, finds them, routes to them. It runs no message."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import secrets
from collections.abc import Iterator
from contextvars import Context
from typing import Any, Final, Self, TypeVar, cast
from weakref import WeakSet

from penstock.actors._actor import Actor
from penstock.actors._info import ActorInfo, DeadLetter, DeadLetters, StreamInfo, info_of, streams_of
from penstock.actors._local import LocalRef, call_here
from penstock.actors._ref import ActorRef, Router
from penstock.actors._registry import Bridges, Registry, check_name, word_of
from penstock.actors._stub import ActorStub, ref
from penstock.actors.cell import (
    STOP_GRACE_S,
    Cell,
    Envelope,
    Mailbox,
    Supervision,
    Waiting,
    is_waited_for,
    profile_of,
    record_spawn,
    restart_asked,
    start,
    stop,
)
from penstock.calls import unannounced_call
from penstock.errors import FailedPrecondition, InvalidArgument, NotFound, StatusError
from penstock.observe import Tap

A = TypeVar("A", bound=Actor)

#: Characters that are kept of the words of a dead letter, which may be anybody's.
KEPT_CHARACTERS: Final = 200


class ActorSystem(Router):
    """The actors of this process: ``async with penstock.ActorSystem() as system``. Leaving the block stops them all.

    Given to `serve` or `connect` as a service, its actors can be reached from the other side. `tap` is told everything that
    happens; `supervision` is for actors without a parent.
    """

    def __init__(self, name: str = "", *, tap: Tap | None = None, supervision: Supervision | None = None) -> None:
        self.id = secrets.token_hex(4)
        self.name = name or self.id
        self.tap = tap
        self.supervision = supervision or Supervision()
        self.dead_letters = DeadLetters()
        self.registry = Registry(self.id)
        self.context = Context()
        self.context.run(unannounced_call.set, call_here)
        self.stop_grace_s = STOP_GRACE_S
        self.inline = 0  # messages handled where they were sent since others had a turn
        self.closed = False
        self._bridges = Bridges()
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        _SYSTEMS.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs the actors."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    # ── spawning ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def spawn(
        self,
        cls: type[A],
        *args: Any,
        name: str | None = None,
        mailbox: Mailbox | None = None,
        supervision: Supervision | None = None,
        **kwargs: Any,
    ) -> A:
        """Make an actor and return a stub of it, typed as its class; its `on_start` has run.

        `name` may have parts (``chat/rooms/general``); one is made up if left out. `mailbox` and `supervision` go before what
        the class and the system say. Other arguments are for ``__init__``. Raises `AlreadyExists`, and what ``__init__``
        or `on_start` raise. Cancelling it stops the actor.
        """
        return await self.spawn_below(None, cls, args, kwargs, name=name, mailbox=mailbox, supervision=supervision)

    async def spawn_below(
        self,
        parent: Cell | None,
        cls: type[A],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: str | None,
        mailbox: Mailbox | None,
        supervision: Supervision | None,
    ) -> A:
        """As `spawn`, for a child of `parent`."""
        if not is_actor_class(cls):
            raise TypeError(
                f"{cls!r} is no class of actors: derive one from penstock.Actor and give the class, spawn makes the object"
            )
        if self.closed:
            raise FailedPrecondition(f"{self!r} is closed; nothing can be spawned")
        if parent is not None and parent.state in {"restarting", "stopping", "stopped"}:
            raise FailedPrecondition(f"{parent.address} is {parent.state}; it cannot spawn")
        cell = Cell(self, cls, self._address(parent, cls, name), args, kwargs)
        if mailbox is not None:
            cell.queue.rules = mailbox
        cell.supervision = supervision
        cell.parent = parent
        self.registry.add(cell)
        cell.ref = LocalRef(cell)
        try:
            record_spawn(cell)
            await start(cell)
        except BaseException:
            if cell.state != "stopped":
                self.remove(cell)
            raise
        return cast("A", ActorStub(cell.ref, cell.service))

    def _address(self, parent: Cell | None, cls: type[Actor], name: str | None) -> str:
        below = "" if parent is None else f"{parent.address}/"
        if name is None:
            return next(one for one in self._made_up(f"{below}{word_of(cls.__name__)}") if self.registry.is_free(one))
        check_name(name)
        check_name(f"{below}{name}")
        self.registry.check_free(f"{below}{name}")
        return f"{below}{name}"

    def _made_up(self, stem: str) -> Iterator[str]:
        return (f"{stem}-{number}" for number in self._numbers)

    def family(self, cell: Cell) -> dict[str, Cell]:
        """Return an actor and its siblings, in the order they were spawned."""
        return self.registry.family(cell)

    def remove(self, cell: Cell) -> None:
        """This actor has stopped, or never began."""
        cell.state = "stopped"
        self.registry.remove(cell)

    # ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def cell(self, address: str) -> Cell:
        """Find an actor of this process by name or id. Raises `NotFound`, with what may have been meant."""
        elsewhere = self._bridges.find(address)
        if elsewhere is not None:
            raise NotFound(f"{address} is at the other side of a bridge, {elsewhere!r}; ask there", started=False)
        return self.registry.find(address)

    def ref(self, address: str) -> ActorRef:
        bridged = self._bridges.find(address)
        return bridged if bridged is not None else self.cell(address).ref

    def actor(self, cls: type[A], actor: str | ActorRef) -> A:
        """Return a stub, typed as `cls`, of the actor with this name or id, or of this ref. Raises `NotFound`."""
        found = self.ref(actor) if isinstance(actor, str) else ref(actor)
        return cast("A", ActorStub(found, profile_of(cls).service))

    def list(self, pattern: str = "**") -> list[ActorInfo]:
        """Return the actors whose name fits: ``*`` is anything within one part of it, ``**`` any number of parts."""
        now_s = self.loop.time()
        return [info_of(cell, now_s) for cell in self.registry.fitting(pattern)]

    def info(self, address: str) -> ActorInfo:
        """Return how an actor stands. Raises `NotFound`."""
        return info_of(self.cell(address), self.loop.time())

    def state(self, address: str) -> dict[str, Any]:
        """Return the state of an actor: its attributes that do not begin with an underscore. Raises `NotFound`."""
        return {name: value for name, value in vars(self.cell(address).actor).items() if not name.startswith("_")}

    def streams(self, pattern: str = "**") -> tuple[StreamInfo, ...]:
        """Return the streams and channels of the actors whose name fits `pattern`."""
        return tuple(info for cell in self.registry.fitting(pattern) for info in streams_of(cell))

    # ── living ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, address: str) -> None:
        """Stop an actor after the message it is handling, and wait for it. Cancelling it does not undo it."""
        await self.ref(address).stop()

    async def restart(self, address: str) -> None:
        """Restart an actor after the message it is handling: its state is made anew, its mailbox stays.

        Waits for it, except from inside. Raises `ActorStopped` when it stops instead.
        """
        cell = self.cell(address)
        done = self.loop.create_future()
        cell.order(lambda: restart_asked(cell, done))
        if is_waited_for(cell):
            done.cancel()  # nobody waits: it is restarted after what runs here
        else:
            with Waiting(cell):
                await asyncio.shield(done)

    def watch(self, watcher: Cell, actor: object) -> None:
        """Tell `watcher` when an actor of this system stops. Raises `InvalidArgument` for one of another system."""
        watched = ref(actor)
        if not isinstance(watched, LocalRef):
            raise InvalidArgument(f"{watched!r} is in another process; only actors of this system can be watched")
        cell = watched.cell
        if cell.state == "stopped":
            watcher.call("on_terminated", watched, cell.queue.closed)
            return
        if cell.watchers is None:
            cell.watchers = WeakSet()
        cell.watchers.add(watcher)

    def dead_letter(self, envelope: Envelope, reason: str, error: StatusError | None = None) -> None:
        """Nobody will handle this message: keep it where it can be seen, and tell its asker."""
        kind, why = envelope.type[:KEPT_CHARACTERS], reason[:KEPT_CHARACTERS]
        self.dead_letters.add(DeadLetter(envelope.cell.address, kind, envelope.sender, why))
        envelope.cell.record("dead_letter", type=kind, sender=envelope.sender, reason=why)
        if error is not None:
            envelope.give_up(error)

    def next_number(self) -> int:
        """Return a number that nothing else of this system has."""
        return next(self._numbers)

    async def aclose(self) -> None:
        """Stop all actors, those without a parent at the same time, children before their parents. Idempotent.

        Cancelling it leaves them stopping.
        """
        self.closed = True
        await asyncio.gather(*(stop(cell, "the system closed") for cell in list(self.registry.top.values())))

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    # ── other processes ───────────────────────────────────────────────────────────────────────────────────────────────

    def bridge(self, prefix: str, peer: Router) -> None:
        """Reach the actors of a peer from here: ``<prefix>/<address there>``, with all verbs.

        When the connection is gone they raise `ConnectionLost`, until another peer is given the prefix.

        Raises `AlreadyExists` while the prefix belongs to another live peer or to an actor.
        """
        check_name(prefix)
        self.registry.check_free(prefix)
        self._bridges.add(prefix, peer)

    def seen_from_here(self, peer: Router, address: str) -> str:
        """Return the address of an actor of a peer as it is found from here: with the prefix of its bridge, if it has one."""
        return self._bridges.seen_from_here(peer, address)

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name} {'closed' if self.closed else f'{len(self.registry)} actors'}>"


def is_actor_class(cls: object) -> bool:
    """Whether it can be spawned."""
    return inspect.isclass(cls) and issubclass(cls, Actor)


_SYSTEMS: Final[WeakSet[ActorSystem]] = WeakSet()


def actor_here(address: str) -> ActorRef | None:
    """Return an actor of this event loop, which of its systems ever has it: a ref has come home."""
    loop = asyncio.get_running_loop()
    cells = (system.registry.get(address) for system in tuple(_SYSTEMS) if system._loop is loop)
    return next((cell.ref for cell in cells if cell is not None), None)
