"""`http://host:port` and `https://`: a listener whose requests become calls, and its WebSockets sessions, of one server.

The package `uvicorn` (the extra `penstock[web]`) reads and writes HTTP: its protocol class is given to a socket of ours, so
that addresses, their errors and TLS are those of every other listener. It owns no signal, no log and no event loop here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

from penstock.errors import FailedPrecondition
from penstock.transports import MESSAGE_BYTES_MAX, Listener, Receiver, bind_tcp
from penstock.web._app import WebFace
from penstock.web._http import Receive, Scope, Send
from penstock.web._response import HttpResponse

#: Connections of one listener, at most; a further one is answered with 503. As many as a server has streams for.
CONNECTIONS_MAX: Final = 16_384

#: How long a connection without a request is kept: longer than a browser takes between the parts of a page.
IDLE_S: Final = 20

#: How many connections may wait for `accept` in the kernel: enough for a thousand clients that come back at once.
_BACKLOG: Final = 1024

_ALPN: Final = ["http/1.1"]


class HttpListener(Listener):
    """Takes requests at one address, until it is closed; those that are being answered go on until `wait_closed`."""

    def __init__(
        self, receivers: Callable[[], Receiver], origins: Collection[str], pages: Mapping[str, HttpResponse] | None = None
    ) -> None:
        self.url = ""
        self._pages = pages
        self._receivers = receivers
        self._origins = origins
        self._face: WebFace
        self._state: Any = None
        self._servers: list[asyncio.Server] = []

    def __repr__(self) -> str:
        return f"<HttpListener {self.url}>"

    async def start(self, scheme: str, url: str, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        """Bind the address and take requests. Cancelling it leaves nothing open."""
        make = _protocols(self._answer)
        if tls is not None:
            tls.set_alpn_protocols(_ALPN)
        self.url, sockets = await bind_tcp(scheme, url)
        self._face = WebFace(self._receivers, self._origins, self.url, pages=self._pages)
        self._state = make.keywords["server_state"]
        loop = asyncio.get_running_loop()
        serve = partial(loop.create_server, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=timeout_s if tls else None)
        try:
            while sockets:
                self._servers.append(await serve(partial(_timed, make, timeout_s), sock=sockets[0]))
                sockets.pop(0)
        except BaseException:
            await self.aclose()
            for one in sockets:
                one.close()
            raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._face(scope, receive, send)

    async def aclose(self) -> None:
        """Take no new connections, and no further request of those that are open."""
        for server in self._servers:
            server.close()
        for connection in tuple(self._state.connections):
            connection.shutdown()

    async def wait_closed(self) -> None:
        """End the requests that are still being answered, and wait for them."""
        await self._face.aclose()
        tasks = set(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self._state.connections):
            connection.transport.abort()


def _protocols(app: Callable[[Scope, Receive, Send], Any]) -> partial[Any]:
    """Return the class of a connection of `uvicorn` with its parameters. Raises `FailedPrecondition` where it is missing."""
    try:
        from uvicorn.config import Config
        from uvicorn.server import ServerState
    except ImportError:
        raise FailedPrecondition("http:// and https:// need the package uvicorn: pip install 'penstock[web]'") from None
    config = Config(
        app,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=IDLE_S,
        server_header=False,
        proxy_headers=False,
    )
    config.load()
    protocol: Any = config.http_protocol_class
    return partial(protocol, config=config, server_state=ServerState(), app_state={})


def _timed(make: partial[Any], seconds: float) -> Any:
    """Make the protocol of a connection that is dropped unless its first request has arrived within this time."""
    made = make()
    loop = asyncio.get_running_loop()

    def check() -> None:
        if made.cycle is None and made.transport is not None and made in made.server_state.connections:
            made.transport.abort()

    loop.call_later(seconds, check)
    return made
