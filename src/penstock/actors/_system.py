"""The actors of one process, as a program holds them: `ActorSystem` spawns them, finds them, routes to them, stops them."""

from __future__ import annotations

import asyncio
import builtins
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from penstock.actors._host import ActorHost, bridge, find_actor
from penstock.actors._info import ActorInfo, DeadLetters, StreamInfo, info_of, streams_of
from penstock.actors._ref import ActorRef, Router
from penstock.actors._stub import ActorStub, ref
from penstock.actors.cell import Mailbox, Supervision, Waiting, is_waited_for, profile_of, restart_asked
from penstock.observe import Tap

if TYPE_CHECKING:
    from penstock.actors._actor import Actor

A = TypeVar("A", bound="Actor")


class ActorSystem(Router):
    """The actors of this process: ``async with penstock.ActorSystem() as system``. Leaving the block stops them all.

    ::

        async with penstock.ActorSystem() as system:
            counter = await system.spawn(Counter, 10, name="counter")
            await counter.add(1)                   # ask: wait for the answer
            await penstock.tell(counter).add(1)    # tell: wait for room in the mailbox, and for nothing else
            await system.ask("counter", "add", 1)  # the same by address

    name: shown in its `repr`; a random one if left out. tap: gets an event for everything that happens to the actors, for
    example a `History`. supervision: the rules for actors without a parent (`Supervision()`).

    Give it to `serve` or `connect` as a service, and the peers reach its actors. All its methods belong to the event loop in
    which it was entered.
    """

    _host_type: ClassVar[type[ActorHost]] = ActorHost

    def __init__(self, name: str = "", *, tap: Tap | None = None, supervision: Supervision | None = None) -> None:
        self._host = self._host_type(self, tap, supervision or Supervision())
        self.name = name or self._host.id

    @property
    def id(self) -> str:
        """The suffix of the ids of its actors, unique in the world."""
        return self._host.id

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that no actor handled: iterate over the last of them; ``.count`` is how many there were."""
        return self._host.dead_letters

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

        `args` and `kwargs` are for its ``__init__``, now and at each restart. `name` may have parts (``chat/rooms/general``);
        one is made up from the class if left out. `mailbox` replaces the one of the class, `supervision` the one of the system.

        Raises `AlreadyExists` for a name in use or behind a bridge, `InvalidArgument` for a name that is not one or has the
        form of an id, `FailedPrecondition` when the system is closed, `TypeError` for a class that is not an `Actor` or whose
        types cannot travel, and any error of ``__init__`` or `on_start`: the actor is gone then. Cancelling it stops the actor.
        """
        stub = await self._host.spawn(None, cls, args, kwargs, name=name, mailbox=mailbox, supervision=supervision)
        return cast("A", stub)

    # ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def ref(self, address: str) -> ActorRef:
        return find_actor(self._host, address)

    def actor(self, cls: type[A], actor: str | ActorRef) -> A:
        """Return a stub, typed as `cls`, of the actor with this name or id, or of this ref.

        Whether the actor is of that class is not checked. Raises `NotFound`, with a similar name.
        """
        target = self.ref(actor) if isinstance(actor, str) else ref(actor)
        return cast("A", ActorStub(target, profile_of(cls).service))

    def list(self, pattern: str = "**") -> builtins.list[ActorInfo]:
        """Return the state of the actors whose name matches: ``*`` is any text within one part, ``**`` any number of parts.

        Raises `InvalidArgument` for a pattern of more than 256 characters.
        """
        now_s = self._host.loop.time()
        return [info_of(cell, now_s) for cell in self._host.registry.matching(pattern)]

    def info(self, address: str) -> ActorInfo:
        """Return the state of an actor: its life, its mailbox, its counters. Raises `NotFound`."""
        return info_of(self._host.cell(address), self._host.loop.time())

    def state(self, address: str) -> dict[str, Any]:
        """Return the attributes of an actor's object that do not begin with an underscore. Raises `NotFound`.

        The values are the actor's own, not copies: do not change them.
        """
        return {name: value for name, value in vars(self._host.cell(address).actor).items() if not name.startswith("_")}

    def streams(self, pattern: str = "**") -> builtins.list[StreamInfo]:
        """Return the state of the streams and channels of the actors whose name matches `pattern`."""
        return [info for cell in self._host.registry.matching(pattern) for info in streams_of(cell)]

    # ── living ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self, address: str) -> None:
        """Stop an actor after the message it is handling, and wait until it has stopped.

        Its children stop first; waiting messages become dead letters. A handler that takes longer than `STOP_GRACE_S`
        (5 seconds) is cancelled. From inside the actor, or from a handler for which it waits, this returns at once, and the
        actor stops afterwards. Raises `NotFound`. Cancelling it does not undo it.
        """
        await self.ref(address).stop()

    async def restart(self, address: str) -> None:
        """Restart an actor after the message it is handling: its state is made anew, its mailbox stays.

        Waits for the new start, except from inside the actor. Raises `NotFound`, and `ActorStopped` when the actor stops
        instead. Cancelling it does not undo it.
        """
        cell = self._host.cell(address)
        done = self._host.loop.create_future()
        cell.post_system(lambda: restart_asked(cell, done))
        if is_waited_for(cell):
            done.cancel()  # it is restarted after the message that is handled here, which cannot wait for that
        else:
            with Waiting(cell):
                await asyncio.shield(done)

    async def aclose(self) -> None:
        """Stop all actors, those without a parent at the same time, children before their parents. Idempotent.

        Afterwards no actor can be spawned. Cancelling it leaves them stopping.
        """
        await self._host.aclose()

    async def __aenter__(self) -> Self:
        self._host.bind_loop()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    # ── other processes ───────────────────────────────────────────────────────────────────────────────────────────────

    def bridge(self, prefix: str, peer: Router) -> None:
        """Reach the actors of a peer from here: ``<prefix>/<address there>``, with all verbs.

        When the connection is gone, these addresses raise `ConnectionLost` until the prefix is given to another peer.
        An actor of this process comes first, then the longest prefix. Raises `AlreadyExists` while the prefix belongs to
        another live peer, or is the name of an actor or of its parent; `InvalidArgument` for a prefix that is not a name.
        """
        bridge(self._host, prefix, peer)

    def __repr__(self) -> str:
        host = self._host
        return f"<ActorSystem {self.name} {'closed' if host.closed else f'{len(host.registry)} actors'}>"
