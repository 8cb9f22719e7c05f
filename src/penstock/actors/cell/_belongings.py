"""The things that belong to an actor and end with its incarnation: children, timers, ports, channels, side tasks.

It also keeps the watchers of the actor, which outlive a restart: they are told of its end alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakSet

from penstock.channel import Channel, ChannelStatistics
from penstock.errors import ActorStopped, StatusError
from penstock.streams import Port, Statistics

log = logging.getLogger("penstock.actor")

#: How long a stop waits for one piece of work: the message that is being handled, `on_stop`, the clean-up of streams.
STOP_GRACE_S: Final = 5.0


class Owner(Protocol):
    """An actor with belongings: a child, a watcher, or the owner itself. `Cell` is one."""

    address: str
    belongings: Belongings[Any]

    async def stop(self, reason: str) -> None:
        """Stop, and wait until it has stopped."""


class Cancellable(Protocol):
    """A timer."""

    def cancel(self) -> None:
        """Tick no more."""


class Work(Protocol):
    """A streaming method or a channel that runs beside the mailbox. `SideTask` is one."""

    name: str
    number: int
    is_channel: bool
    peer: str
    statistics: Callable[[], Statistics | ChannelStatistics] | None
    task: asyncio.Task[Any] | None

    def end(self, why: StatusError) -> None:
        """Tell the consumer of the end, and cancel the task."""


C = TypeVar("C", bound=Owner)


class Belongings(Generic[C]):
    """The belongings of one actor. children: by address, in the order of spawning. ports: by name."""

    __slots__ = ("_channels", "_side_tasks", "_timers", "_watchers", "children", "ports")

    def __init__(self) -> None:
        self.children: dict[str, C] = {}
        self.ports: dict[str, Port[Any]] = {}
        self._side_tasks: set[Work] | None = None  # a set costs 200 bytes, and most actors have none
        self._timers: set[Cancellable] | None = None
        self._channels: WeakSet[Channel[Any]] | None = None
        self._watchers: WeakSet[C] | None = None  # a watcher may be gone before the actor

    # ── the kinds ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_child(self, child: C) -> None:
        """Add a child that was spawned."""
        self.children[child.address] = child

    def discard_child(self, child: C) -> None:
        """Forget a child that has stopped."""
        if self.children.get(child.address) is child:
            del self.children[child.address]

    def add_timer(self, timer: Cancellable) -> None:
        """Add a timer that ticks."""
        if self._timers is None:
            self._timers = set()
        self._timers.add(timer)

    def discard_timer(self, timer: Cancellable) -> None:
        """Forget a timer that ticks no more."""
        if self._timers is not None:
            self._timers.discard(timer)

    def add_port(self, port: Port[Any]) -> None:
        """Add a port under its name."""
        self.ports[port.name] = port

    def add_channel(self, channel: Channel[Any]) -> None:
        """Add a channel that the actor has opened. It is held weakly: its user may drop it."""
        if self._channels is None:
            self._channels = WeakSet()
        self._channels.add(channel)

    @property
    def side_tasks(self) -> Collection[Work]:
        """The side tasks that run."""
        return self._side_tasks or ()

    def add_side_task(self, work: Work) -> None:
        """Add a side task that begins."""
        if self._side_tasks is None:
            self._side_tasks = set()
        self._side_tasks.add(work)

    def discard_side_task(self, work: Work) -> None:
        """Forget a side task that has ended."""
        if self._side_tasks is not None:
            self._side_tasks.discard(work)

    def take_watchers(self) -> list[C]:
        """Return the actors that are told of the end, and forget them."""
        watchers, self._watchers = list(self._watchers or ()), None
        return watchers

    def add_watcher(self, watcher: C) -> None:
        """Add an actor that is told when this one stops."""
        if self._watchers is None:
            self._watchers = WeakSet()
        self._watchers.add(watcher)

    def discard_watcher(self, watcher: C) -> None:
        """Tell this actor of the end no more."""
        if self._watchers is not None:
            self._watchers.discard(watcher)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def end_work(self, owner: C, reason: str) -> None:
        """End the timers, the children in reverse order, and the side tasks of an incarnation, and wait for their clean-up.

        A side task that goes on is logged and left behind.
        """
        for timer in tuple(self._timers or ()):
            timer.cancel()
        for child in reversed(list(self.children.values())):
            child.belongings.discard_watcher(owner)  # the next incarnation is told of its own children only
            await child.stop(f"its parent {owner.address} ended")
        self.children, self._timers = {}, None
        own = asyncio.current_task()
        for work in tuple(self.side_tasks):
            work.end(_why(owner, reason))
        tasks = [work.task for work in self.side_tasks if work.task is not None and work.task is not own]
        running = [task for task in tasks if not task.done()]
        if not running:
            return
        _done, stuck = await asyncio.wait(running, timeout=STOP_GRACE_S)
        for task in stuck:
            log.error("%r has not ended %g s after it was cancelled; it is left behind", task, STOP_GRACE_S)
            for work in [work for work in self.side_tasks if work.task is task]:
                self.discard_side_task(work)

    async def end(self, owner: C, reason: str) -> None:
        """End all belongings of an incarnation, its work and then its ports and channels. The watchers stay."""
        await self.end_work(owner, reason)
        why = _why(owner, reason)
        for port in self.ports.values():
            port.fail(why)
        for channel in tuple(self._channels or ()):
            channel.fail(why)
        self.ports, self._channels = {}, None


def _why(owner: Owner, reason: str) -> ActorStopped:
    return ActorStopped(f"{owner.address} ended: {reason}")
