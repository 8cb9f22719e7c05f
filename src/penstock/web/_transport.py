"""The scheme of `http://` and `https://`. What it needs is imported by the first program that listens there."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection

from penstock.errors import InvalidArgument
from penstock.transports import HANDSHAKE_TIMEOUT_S, Link, Listener, Receiver, Transport


class HttpTransport(Transport):
    """HTTP under one scheme: "http" plain, "https" with a context. A server listens there; a client dials `ws://`."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Refuse: a session runs over the WebSocket of such a server."""
        plain = url.partition("://")[2]
        raise InvalidArgument(f"{url} is dialled as {'wss' if self._scheme == 'https' else 'ws'}://{plain}")

    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Answer requests of HTTP, and carry WebSockets, at the address."""
        from penstock.web._app import WebFace
        from penstock.web._listener import HttpListener

        listener = HttpListener(lambda url: WebFace(receivers, origins, url))
        await listener.start(self._scheme, url, tls, timeout_s)
        return listener
