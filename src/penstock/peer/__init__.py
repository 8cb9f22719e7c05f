"""`Peer`, `serve` and `connect`: the folder that puts calls, refs and remote actors together."""

from penstock.peer._context import CallInfo, context
from penstock.peer._descriptions import BUILT_IN, find_method, method_called, services_of
from penstock.peer._joined import JoinedPeers
from penstock.peer._peer import Peer
from penstock.peer._reconnect import Reconnect
from penstock.peer._server import Server, check_outside, connect, serve

__all__ = [
    "BUILT_IN",
    "CallInfo",
    "JoinedPeers",
    "Peer",
    "Reconnect",
    "Server",
    "check_outside",
    "connect",
    "context",
    "find_method",
    "method_called",
    "serve",
    "services_of",
]
