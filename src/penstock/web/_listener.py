"""`http://host:port` and `https://`: a listener whose requests an application answers: by default one whose calls they are.

The package `uvicorn` (the extra `penstock[web]`) reads and writes HTTP: its protocol class is given to a socket of ours, so
that addresses, their errors and TLS are those of every other listener. It owns no signal, no log and no event loop here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from penstock.errors import FailedPrecondition
from penstock.transports import MESSAGE_BYTES_MAX, Listener, bind_tcp
from penstock.web._http import Receive, Scope, Send

#: Connections of one listener, at most; a further one is answered with 503. As many as a server has streams for.
CONNECTIONS_MAX: Final = 16_384

#: How long a connection without a request is kept: longer than a browser takes between the parts of a page.
IDLE_S: Final = 20

#: How many connections may wait for `accept` in the kernel: enough for a thousand clients that come back at once.
_BACKLOG: Final = 1024

_ALPN: Final = ["http/1.1"]


class Face(Protocol):
    """An application of ASGI, with an end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or carry one WebSocket."""

    async def aclose(self) -> None:
        """End it."""


class HttpListener(Listener):
    """Takes requests at one address, until it is closed; those that are being answered go on until `wait_closed`.

    face_at: makes the application, for the URL of the listener. message_bytes: the largest message of a WebSocket.
    """

    def __init__(self, face_at: Callable[[str], Face], message_bytes: int = MESSAGE_BYTES_MAX) -> None:
        self.url = ""
        self._face_at = face_at
        self._message_bytes = message_bytes
        self._face: Face
        self._state: Any = None
        self._servers: list[asyncio.Server] = []

    def __repr__(self) -> str:
        return f"<HttpListener {self.url}>"

    async def start(self, scheme: str, url: str, tls: ssl.SSLContext | None, timeout_s: float) -> None:
        """Bind the address and take requests. Cancelling it leaves nothing open."""
        make = _protocols(self._answer, self._message_bytes)
        if tls is not None:
            tls.set_alpn_protocols(_ALPN)
        self.url, sockets = await bind_tcp(scheme, url)
        self._face = self._face_at(self.url)
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


def _protocols(app: Callable[[Scope, Receive, Send], Any], message_bytes: int) -> partial[Any]:
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
        ws_max_size=message_bytes,
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
