"""Look up an actor by name, id, or the beginning of an id, among those that run or in the history."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from penstock.actors import ActorInfo, ActorSystem
from penstock.errors import InvalidArgument, NotFound
from penstock.history import History
from penstock.node._types import ALL_ACTORS
from penstock.service import suggest

#: How many actors an error lists when several match.
MATCHES_LISTED_MAX: Final = 5


def find(system: ActorSystem, actor: str) -> ActorInfo:
    """Return the actor with this name, id or beginning of an id.

    Raises `NotFound` with a guess at the name that was meant, `InvalidArgument` when several ids begin with it.
    """
    running = system.list(ALL_ACTORS)
    exact = [info for info in running if actor in (info.address, info.id, info.id.partition("-")[0])]
    matching = exact or [info for info in running if actor and info.id.startswith(actor)]
    if not matching:
        names = [info.address for info in running]
        hint = suggest(actor, names, "actors") if names else "no actor runs; start one with `penstock start MANIFEST`"
        raise NotFound(f"no actor {actor!r}; {system._host.registry.ended(actor) or hint}")
    if len(matching) > 1:
        listed = ", ".join(f"{info.id} ({info.address})" for info in matching[:MATCHES_LISTED_MAX])
        raise InvalidArgument(f"{len(matching)} actors have an id that begins with {actor!r}: {listed}; write more of the id")
    return matching[0]


class RecordedActor(NamedTuple):
    """Where the events of an actor are in the history.

    address: the name under which they are recorded; None for those of all actors. begin: the offset of the first one, for an
    actor that was named by its id; None for all actors that ever had the name.
    """

    address: str | None
    begin: int | None = None

    async def end(self, history: History) -> int | None:
        """Return the offset at which another actor got the name; None for none."""
        if self.begin is None:
            return None
        spawned = await history.events(self.address, kinds=["spawned"], since=self.begin + 1, limit=1)
        return spawned[0].offset if spawned else None


async def find_recorded(system: ActorSystem, history: History, actor: str) -> RecordedActor:
    """Return where the events of an actor are, also of a stopped one. A name has all its actors, an id only its own.

    Raises `NotFound` when no event of it is recorded, `InvalidArgument` when several ids begin with it.
    """
    if actor == ALL_ACTORS:
        return RecordedActor(None)
    try:
        running = find(system, actor)
    except NotFound:
        if await history.events(actor, limit=1):
            return RecordedActor(actor)
        recorded = await _spawned(history, None, actor) if actor else None
        if recorded is None:
            raise
        return recorded
    if actor == running.address:
        return RecordedActor(actor)
    return await _spawned(history, running.address, running.id) or RecordedActor(running.address, 0)


async def _spawned(history: History, address: str | None, begins_with: str) -> RecordedActor | None:
    """Return the last actor with an id that begins so, by the event of its beginning; None without one."""
    events = await history.events(address, kinds=["spawned"], search=begins_with, limit=1000, last=True)
    return next((RecordedActor(each.actor, each.offset) for each in reversed(events) if _has_id(each.data, begins_with)), None)


def _has_id(data: dict[str, Any], begins_with: str) -> bool:
    return str(data.get("id", "")).startswith(begins_with)
