"""Which actor is calling, and which ones are here. The layer of actors says it; this module knows none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.channel import Channel

if TYPE_CHECKING:
    from penstock.rpc._context import CallInfo
    from penstock.rpc.addressed._ref import ActorRef


class Caller(NamedTuple):
    """The address of the actor that runs here, and the ids of those that wait for what it is doing."""

    sender: str | None = None
    waiting: tuple[str, ...] = ()


NOBODY = Caller()


class _Here:
    """Where the layer of actors leaves word of how to find out, of what an actor opens elsewhere, and of who lives here."""

    find: Callable[[], Caller] = staticmethod(lambda: NOBODY)
    adopt: Callable[[Channel[Any]], None] = staticmethod(lambda _channel: None)
    call: Callable[[], CallInfo | None] = staticmethod(lambda: None)
    actor: Callable[[str], ActorRef | None] = staticmethod(lambda _address: None)


here = _Here()
