"""The other side of a connection, `serve` and `connect`: the place where calls, refs and remote actors are put together."""

from penstock.peer._peer import Peer
from penstock.peer._server import Server, connect, serve

__all__ = [
    "Peer",
    "Server",
    "connect",
    "serve",
]
