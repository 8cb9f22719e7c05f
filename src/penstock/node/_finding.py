"""Which actor is meant: by name, id, or the beginning of an id; now, or in the history. It changes nothing."""

from __future__ import annotations

from typing import Final

from penstock.actors import ActorInfo, ActorSystem
from penstock.errors import InvalidArgument, NotFound
from penstock.history import History
from penstock.service import suggest

#: What stands for all actors.
EVERY: Final = "**"
#: How many actors are listed when several are meant.
LISTED_MAX: Final = 5


def find(system: ActorSystem, actor: str) -> ActorInfo:
    """Return the actor that is meant. Raises `NotFound` with what may have been, `InvalidArgument` when several are."""
    everybody = system.list(EVERY)
    exact = [info for info in everybody if actor in (info.address, info.id, info.id.partition("-")[0])]
    near = exact or [info for info in everybody if actor and info.id.startswith(actor)]
    if not near:
        known = [info.address for info in everybody]
        hint = suggest(actor, known) if known else "no actor runs; start one with `penstock start MANIFEST`"
        raise NotFound(f"no actor {actor!r}; {hint}")
    if len(near) > 1:
        names = ", ".join(f"{info.id} ({info.address})" for info in near[:LISTED_MAX])
        raise InvalidArgument(f"{actor!r} is the beginning of the ids of {len(near)} actors: {names}; write more of it")
    return near[0]


async def find_recorded(system: ActorSystem, history: History, actor: str) -> str | None:
    """Return the address under which an actor's events stand, also of one that has stopped; None for all.

    Raises `NotFound` when nothing is recorded of it.
    """
    if actor == EVERY:
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
