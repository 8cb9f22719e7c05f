"""Move bytes: `dial` a URL or `listen` at one. It never looks at the bytes, and no transport knows another.

`register` adds a scheme; the simulated network of `penstock.testing` is one.
"""

from penstock.transports._abc import (
    CLOSE_TIMEOUT_S,
    HANDSHAKE_TIMEOUT_S,
    WRITE_HIGH_WATER_BYTES,
    Link,
    Listener,
    Receiver,
    Segment,
    Transport,
)
from penstock.transports._memory import memory_links
from penstock.transports._schemes import DIAL_TIMEOUT_S, dial, dial_texts, listen, register, tls_of_each, unregister
from penstock.transports._tcp import bind_tcp
from penstock.transports._tls import TLS
from penstock.transports._unix import socket_mode
from penstock.transports.websocket import (
    ANY_ORIGIN,
    MESSAGE_BYTES_MAX,
    SUBPROTOCOL,
    MessageLink,
    Messages,
)

__all__ = [
    "ANY_ORIGIN",
    "CLOSE_TIMEOUT_S",
    "DIAL_TIMEOUT_S",
    "HANDSHAKE_TIMEOUT_S",
    "MESSAGE_BYTES_MAX",
    "SUBPROTOCOL",
    "TLS",
    "WRITE_HIGH_WATER_BYTES",
    "Link",
    "Listener",
    "MessageLink",
    "Messages",
    "Receiver",
    "Segment",
    "Transport",
    "bind_tcp",
    "dial",
    "dial_texts",
    "listen",
    "memory_links",
    "register",
    "socket_mode",
    "tls_of_each",
    "unregister",
]
