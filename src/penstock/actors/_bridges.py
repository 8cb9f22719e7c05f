"""Addresses of other processes, by their first part: whose actors they are. It opens no connection."""

from __future__ import annotations

from penstock.errors import AlreadyExists
from penstock.rpc import ActorRef, Peer, RemoteRef


class Bridges:
    """Which prefix leads to which peer; one whose connection is gone says so, until another takes its place."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def add(self, prefix: str, peer: Peer) -> None:
        """Let `prefix` lead to `peer`. Raises `AlreadyExists` while it leads to another live one."""
        other = self._peers.get(prefix)
        if other is not None and other is not peer and not other.session.closed.done():
            raise AlreadyExists(f"{prefix!r} leads to {other!r}; choose another prefix, or close that connection")
        self._peers[prefix] = peer

    def find(self, address: str) -> ActorRef | None:
        """Return the actor elsewhere that an address names; None when it names none."""
        for prefix, peer in self._peers.items():
            if address.startswith(prefix + "/"):
                return RemoteRef(peer, address[len(prefix) + 1 :], address)
        return None

    def seen_from_here(self, peer: Peer, address: str) -> str:
        """Return the address of an actor of a peer as it is found from here: with the prefix of its bridge, if it has one."""
        prefix = next((prefix for prefix, bridged in self._peers.items() if bridged is peer), None)
        return address if prefix is None else f"{prefix}/{address}"
