"""The JSON protocol of the npm package ts-rpc, over WebSocket: peers that ask each other and send streams, and their relay.

::

    async with signalrpc.connect("ws://127.0.0.1:8080/room") as peer:
        response = await peer.request({"method": "requestData"})

Needs the extra ``penstock[web]``.
"""

from penstock.signalrpc._connect import connect
from penstock.signalrpc._peer import RpcPeer
from penstock.signalrpc._requests import RpcResponse
from penstock.signalrpc.relay import Relay, RelayRules, RelaySettings, Visitor
from penstock.signalrpc.streams import SentStream

__all__ = [
    "Relay",
    "RelayRules",
    "RelaySettings",
    "RpcPeer",
    "RpcResponse",
    "SentStream",
    "Visitor",
    "connect",
]
