"""Look up an actor by name, id, or the beginning of an id, among those that run or in the history."""

from __future__ import annotations

from typing import Final

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
        raise NotFound(f"no actor {actor!r}; {hint}")
    if len(matching) > 1:
        listed = ", ".join(f"{info.id} ({info.address})" for info in matching[:MATCHES_LISTED_MAX])
        raise InvalidArgument(f"{len(matching)} actors have an id that begins with {actor!r}: {listed}; write more of the id")
    return matching[0]


async def find_recorded(system: ActorSystem, history: History, actor: str) -> str | None:
    """Return the address under which the events of an actor are recorded, also of a stopped one; None for all actors.

    Raises `NotFound` when no event of it is recorded.
    """
    if actor == ALL_ACTORS:
        return None
    try:
        return find(system, actor).address
    except NotFound:
        if await history.events(actor, limit=1):
            return actor
        spawned = await history.events(kinds=["spawned"], search=actor, limit=1, last=True)
        if actor and spawned and str(spawned[0].data.get("id", "")).startswith(actor):
            return spawned[0].actor
        raise
