"""WebSocket (RFC 6455) as a way to carry bytes: `ws://host:port/path`, and `wss://` with TLS. Needs the extra `penstock[web]`.

Bytes travel in binary messages, whose boundaries mean nothing (PROTOCOL.md, §15). A client may also speak in texts.
"""

from penstock.transports.websocket._ends import ANY_ORIGIN, SUBPROTOCOL
from penstock.transports.websocket._link import MESSAGE_BYTES_MAX, MessageLink, Messages
from penstock.transports.websocket._texts import TextLink, TextReceiver
from penstock.transports.websocket._transport import WebSocketTransport

__all__ = [
    "ANY_ORIGIN",
    "MESSAGE_BYTES_MAX",
    "SUBPROTOCOL",
    "MessageLink",
    "Messages",
    "TextLink",
    "TextReceiver",
    "WebSocketTransport",
]
