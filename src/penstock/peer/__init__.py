"""`Peer`, `serve` and `connect`: the folder that puts calls, refs and remote actors together."""

from penstock.peer._context import CallInfo, context
from penstock.peer._peer import Peer
from penstock.peer._server import Server, connect, serve

__all__ = [
    "CallInfo",
    "Peer",
    "Server",
    "connect",
    "context",
    "serve",
]
