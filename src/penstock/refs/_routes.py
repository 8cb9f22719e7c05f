"""Which connections of this event loop lead to which other one, of this process or another. It keeps no connection alive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from penstock.errors import Unavailable
from penstock.refs._offers import RefLocation

if TYPE_CHECKING:
    from penstock.peer import Peer

_PEERS: Final[dict[bytes, WeakSet[Peer]]] = {}


def register_peer(peer: Peer) -> None:
    """This peer has shaken hands: from now until it is gone it is a way to where it leads."""
    hello = peer.session.connection.peer
    if hello is None or not hello.instance:
        return
    instance = hello.instance
    ways = _PEERS.setdefault(instance, WeakSet())
    ways.add(peer)
    peer.session.closed.add_done_callback(lambda _closed: _gone(instance, ways))


def _gone(instance: bytes, ways: WeakSet[Peer]) -> None:
    for peer in tuple(ways):
        if peer.session.closed.done():
            ways.discard(peer)
    if not ways and _PEERS.get(instance) is ways:
        del _PEERS[instance]


def peer_to(instance: bytes) -> Peer | None:
    """Return a live peer that leads to this event loop, None when there is none."""
    loop = asyncio.get_running_loop()
    for peer in tuple(_PEERS.get(instance, ())):
        if peer.session.loop is loop and peer.session.lost is None and not peer.closing:
            return peer
    return None


def way_to(location: RefLocation) -> Peer:
    """Return a live peer that leads there. Raises `Unavailable` when there is none."""
    peer = peer_to(location.instance)
    if peer is None:
        raise Unavailable(
            f"no live connection to the process that offers the end of a stream {location.short}; a ref can be used only while "
            "its user is connected to the process that sent it",
            started=False,
        )
    return peer
