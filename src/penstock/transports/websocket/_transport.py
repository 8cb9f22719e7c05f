"""Dial and listen by WebSocket. The connection below is one of `_tcp`, so its errors and its TLS are the same."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection

from penstock.errors import Cause, Unavailable
from penstock.transports._abc import HANDSHAKE_TIMEOUT_S, Link, Listener, Receiver, Transport
from penstock.transports._tcp import TcpTransport
from penstock.transports._url import host_of_web, path_of_web
from penstock.transports.websocket._end import WebSocketEnd
from penstock.transports.websocket._ends import ClientEnd, DialledEnd, L, ServerEnd, TextEnd, websockets
from penstock.transports.websocket._texts import TextLink, TextReceiver

#: Requests and answers are of this protocol. A server in front of others chooses by it.
_ALPN = ["http/1.1"]


class WebSocketTransport(Transport):
    """WebSocket under one scheme: "ws" plain, "wss" with a context."""

    def __init__(self, scheme: str) -> None:
        self._below = TcpTransport(scheme)

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect to the host, and ask it for a WebSocket."""
        return await self._open(url, lambda: ClientEnd(url, receiver), tls, timeout_s)

    async def dial_texts(
        self, url: str, receiver: TextReceiver, text_bytes: int, *, tls: ssl.SSLContext | None, timeout_s: float
    ) -> TextLink:
        """Connect to the host, and ask it for a WebSocket whose messages are texts of at most `text_bytes`."""
        return await self._open(url, lambda: TextEnd(url, receiver, text_bytes), tls, timeout_s)

    async def _open(self, url: str, make: Callable[[], DialledEnd[L]], tls: ssl.SSLContext | None, timeout_s: float) -> L:
        if tls is not None:
            tls.set_alpn_protocols(_ALPN)
        below = host_of_web(url)
        end = make()
        try:
            async with asyncio.timeout(timeout_s):
                await self._below.dial(below, end, tls=tls, timeout_s=timeout_s)
                return await end.opened
        except TimeoutError:
            end.drop()
            message = f"{url.partition('?')[0]} took the connection but opened no WebSocket within {timeout_s:g} s"
            raise Unavailable(message, cause=Cause.TIMED_OUT, started=False) from None
        except BaseException:
            end.drop()
            raise

    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Listen at the host, and answer at the path of `url`, or at all paths when it has none."""
        websockets()
        if tls is not None:
            tls.set_alpn_protocols(_ALPN)
        listener = _WebSocketListener(receivers, path_of_web(url), origins, timeout_s)
        await listener.start(self._below, host_of_web(url), tls)
        return listener


class _WebSocketListener(Listener):
    """Takes connections of the listener below, and knows those whose handshake is not over."""

    def __init__(self, receivers: Callable[[], Receiver], path: str, origins: Collection[str], timeout_s: float) -> None:
        self._receivers = receivers
        self._path = path
        self._origins = origins
        self._timeout_s = timeout_s
        self._opening: set[WebSocketEnd] = set()
        self._closed = False
        self._below: Listener

    def __repr__(self) -> str:
        return f"<WebSocketListener {self.url}{' closed' if self._closed else ''}>"

    async def start(self, below: Transport, url: str, tls: ssl.SSLContext | None) -> None:
        """Take connections at `url`. Cancelling it leaves nothing open."""
        self._below = await below.listen(url, self._accept, tls=tls, timeout_s=self._timeout_s)
        self.url = self._below.url + self._path

    async def aclose(self) -> None:
        """Take no new connections, and drop those whose handshake is not over."""
        self._closed = True
        await self._below.aclose()
        for end in tuple(self._opening):
            end.drop()

    def _accept(self) -> WebSocketEnd:
        end = ServerEnd(self._receiver, self._path, self._origins, self._opening.discard)
        self._opening.add(end)
        end.bound(self._timeout_s)
        return end

    def _receiver(self) -> Receiver | None:
        return None if self._closed else self._receivers()
