"""The inside of an `ActorSystem`: what its actors, and the messages of peers, need of it. Programs hold the system alone."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterator, Mapping
from threading import get_ident
from typing import Any, Final
from weakref import WeakSet

from penstock.actors._info import DeadLetter, DeadLetters
from penstock.actors._ref import ActorRef, Router
from penstock.actors._registry import Bridges, Registry, check_name, word_of
from penstock.actors._stub import ActorStub
from penstock.actors.cell import (
    STOP_GRACE_S,
    Cell,
    Envelope,
    Mailbox,
    Supervision,
    call_here,
    deadline_here,
    is_actor_class,
    own_context,
    start,
)
from penstock.actors.local import LocalRef
from penstock.calls import Unannounced
from penstock.errors import ActorStopped, FailedPrecondition, InvalidArgument, NotFound, StatusError
from penstock.observe import Tap
from penstock.streams import check_thread

#: Characters that are kept of the type and reason of a dead letter: a peer chooses the type.
KEPT_CHARACTERS: Final = 200
#: Messages that are handled where they are sent before other tasks get a turn of the loop.
INLINE_MESSAGES: Final = 256


class ActorHost:
    """One actor system as its actors see it: a `Host`, which also spawns and finds them.

    face: the `ActorSystem` of the program. For the other fields see `penstock.actors.cell._envelope.Host`.
    """

    def __init__(self, face: Router, tap: Tap | None, supervision: Supervision) -> None:
        self.face = face
        self.id = secrets.token_hex(4)
        self.tap = tap
        self.supervision = supervision
        self.stop_grace_s = STOP_GRACE_S
        self.context = own_context(Unannounced(call_here, deadline_here))
        self.turns: Iterator[bool] = itertools.cycle([False] * (INLINE_MESSAGES - 1) + [True])
        self.registry = Registry(self.id)
        self.bridges = Bridges()
        self.dead_letters = DeadLetters()
        self.closed = False
        self.thread = 0
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        _HOSTS.add(self)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs the actors: the one where it was first needed."""
        return self._loop or self.bind_loop()

    def runs_on(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the actors run on this event loop."""
        return self._loop is loop

    def bind_loop(self) -> asyncio.AbstractEventLoop:
        """Let the actors run on the event loop that runs here, and return it."""
        self._loop = asyncio.get_running_loop()
        self.thread = get_ident()
        return self._loop

    def next_number(self) -> int:
        """Return a number that is unique in this system."""
        return next(self._numbers)

    # ── actors ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def spawn(
        self,
        parent: Cell | None,
        cls: type[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: str | None,
        mailbox: Mailbox | None,
        supervision: Supervision | None,
    ) -> Any:
        """Spawn an actor, a child of `parent` unless that is None, and return its stub. As `ActorSystem.spawn`."""
        check_thread(self.thread, self.face)
        if not is_actor_class(cls):
            raise TypeError(
                f"{cls!r} is not a class of actors: derive one from penstock.Actor and give the class, spawn makes the object"
            )
        if self.closed:
            raise FailedPrecondition(f"{self.face!r} is closed; nothing can be spawned")
        if parent is not None and parent.state in {"restarting", "stopping", "stopped"}:
            raise FailedPrecondition(f"{parent.address} is {parent.state}; it cannot spawn")
        address = self._address(parent, cls, name)
        cell = Cell(self, cls, address, args, kwargs, parent=parent, mailbox=mailbox, supervision=supervision)
        self.registry.add(cell)
        try:
            await start(cell)
        except BaseException:
            cell.abandon()
            raise
        return ActorStub(cell.ref, cell.service)

    def _address(self, parent: Cell | None, cls: type[Any], name: str | None) -> str:
        """Return the address of a new actor; one is made up without a name. Raises `InvalidArgument`, `AlreadyExists`."""
        below = "" if parent is None else f"{parent.address}/"
        if name is None:
            stem = f"{below}{word_of(cls.__name__)}"
            while not self.registry.is_free(address := f"{stem}-{next(self._numbers)}"):
                pass
            return address
        check_name(name)
        address = f"{below}{name}"
        check_new_name(address)
        self.registry.check_free(address)
        self.bridges.check_free(address)
        return address

    def cell(self, address: str) -> Cell:
        """Return the actor of this process with this name or id. Raises `NotFound`, with a similar name."""
        cell = self.registry.get(address)
        elsewhere = self.bridges.find(address) if cell is None else None
        if elsewhere is not None:
            raise NotFound(f"{address} is at the other side of a bridge, {elsewhere!r}; ask there", started=False)
        return cell or self.registry.find(address)

    def make_ref(self, cell: Cell) -> ActorRef:
        """Make the ref of an actor."""
        return LocalRef(cell)

    def family(self, cell: Cell) -> Mapping[str, Any]:
        """Return the actors with the same parent, `cell` among them, in the order they were spawned."""
        return self.registry.family(cell)

    def remove(self, cell: Cell, reason: str) -> None:
        """Forget an actor that has stopped, or was never started, and keep the reason."""
        self.registry.remove(cell, reason)

    def dead_letter(self, envelope: Envelope, reason: str, error: StatusError | None = None) -> None:
        """Keep a message that will not be handled as a dead letter, and answer its asker with `error`, if given."""
        name, why = envelope.type[:KEPT_CHARACTERS], reason[:KEPT_CHARACTERS]
        self.dead_letters.add(DeadLetter(envelope.cell.address, name, envelope.sender, why))
        envelope.cell.record("dead_letter", type=name, sender=envelope.sender, reason=why)
        if error is not None:
            envelope.give_up(error)

    def seen_from_here(self, peer: Router, address: str) -> str:
        """Return the address by which an actor of a peer is found from here: with the prefix of its bridge, if it has one."""
        return self.bridges.seen_from_here(peer, address)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def end_grace(self) -> None:
        """Give a message that is being handled no time when its actor is to stop: it is cancelled at once."""
        self.stop_grace_s = 0.0

    async def aclose(self) -> None:
        """Spawn no more, and stop all actors: those without a parent at the same time, children before their parents."""
        check_thread(self.thread, self.face)
        self.closed = True
        await asyncio.gather(*(cell.stop("the system closed") for cell in list(self.registry.top.values())))


_HOSTS: Final[WeakSet[ActorHost]] = WeakSet()


def check_new_name(address: str) -> None:
    """Raise `InvalidArgument` for an address that an actor or a bridge cannot have: also for the id of an actor."""
    check_name(address)
    if any(host.registry.is_id(address) for host in tuple(_HOSTS)):
        raise InvalidArgument(f"{address!r} is not a name for an actor: it has the form of an id; choose another name")


def bridge(host: ActorHost, prefix: str, peer: Router) -> None:
    """Let a prefix lead to the actors of a peer. As `ActorSystem.bridge`."""
    check_thread(host.thread, host.face)
    check_new_name(prefix)
    host.registry.check_free_below(prefix)
    host.bridges.add(prefix, peer)


def find_actor(host: ActorHost, address: str) -> ActorRef:
    """Return the actor with this name or id: one of this process, or else one of a peer by the longest prefix."""
    cell = host.registry.get(address)
    if cell is not None:
        return cell.ref
    return host.bridges.find(address) or host.registry.find(address).ref


def actor_here(key: str, name: str) -> ActorRef:
    """Return the actor of this event loop that has this id or name, in any system: a ref that left has come back.

    Raises `ActorStopped`, which calls it `name`, and says when and why it stopped if that is known.
    """
    loop = asyncio.get_running_loop()
    hosts = [host for host in tuple(_HOSTS) if host.runs_on(loop)]
    for host in hosts:
        cell = host.registry.get(key)
        if cell is not None:
            return cell.ref
    why = next((text for host in hosts if (text := host.registry.ended(key))), "it has stopped")
    raise ActorStopped(f"{name} ({key}) is not here any more: {why}", started=False)
