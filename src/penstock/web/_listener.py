"""`http://host:port` and `https://`: a listener whose requests an application answers: by default one whose calls they are.

The package `uvicorn` (the extra `penstock[web]`) reads and writes HTTP: its protocol class is given to a socket of ours, so
that addresses, their errors and TLS are those of every other listener. It owns no signal, no log and no event loop here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
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

#: The bytes of a WebSocket that are read in one turn of the loop: a message of one byte has seven of them.
WEB_READ_BYTES: Final = 32 * 1024

#: The bytes of a head, and of all else in a request beside its body, until the next part of the body.
HEAD_BYTES_MAX: Final = 64 * 1024

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
        make = _protocols(self._answer, self._message_bytes, timeout_s)
        if tls is not None:
            tls.set_alpn_protocols(_ALPN)
        self.url, sockets = await bind_tcp(scheme, url)
        self._face = self._face_at(self.url)
        self._state = make.keywords["server_state"]
        loop = asyncio.get_running_loop()
        serve = partial(loop.create_server, ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=timeout_s if tls else None)
        try:
            while sockets:
                self._servers.append(await serve(make, sock=sockets[0]))
                sockets.pop(0)
        except BaseException:
            await self.aclose()
            for one in sockets:
                one.close()
            raise

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._face(scope, receive, send)

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


def _protocols(app: Callable[[Scope, Receive, Send], Any], message_bytes: int, timeout_s: float) -> partial[Any]:
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
    config.ws_protocol_class = _answering_the_last_ping(config.ws_protocol_class)
    protocol = _with_timed_heads(_with_bounded_heads(config.http_protocol_class), timeout_s)
    return partial(protocol, config=config, server_state=ServerState(), app_state={})


def _with_bounded_heads(protocol: Any) -> Any:
    """Return the class of a connection that answers a head which is too large with 400.

    Of the two packages that read HTTP for uvicorn, `h11` has such a bound itself, and `httptools` has none.
    """
    if not hasattr(protocol, "on_body"):
        return protocol

    class Bounded(protocol):  # type: ignore[misc]
        head_bytes = 0

        def data_received(self, data: bytes) -> None:
            self.head_bytes += len(data)
            super().data_received(data)
            if self.head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

        def on_headers_complete(self) -> None:
            self.head_bytes = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self.head_bytes = 0
            super().on_body(body)

    return Bounded


def _with_timed_heads(protocol: Any, seconds: float) -> Any:
    """Return the class of a connection that is dropped unless the first head, and each that has begun, is whole in time."""

    class Timed(protocol):  # type: ignore[misc]
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.take_time(seconds)

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before or self not in self.connections:  # it is whole, or was that of a WebSocket
                self.take_time(None)
            elif self.timer is None and (before is None or before.response_complete):
                self.take_time(seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.take_time(None)

        def take_time(self, limit_s: float | None) -> None:
            if self.timer is not None:
                self.timer.cancel()
            self.timer = None if limit_s is None else self.loop.call_later(limit_s, self.transport.abort)

    return Timed


def _answering_the_last_ping(protocol: Any) -> Any:
    """Return the class of a WebSocket that answers the last of many pings (RFC 6455, 5.5.3) when its client does not read."""

    class Answering(protocol):  # type: ignore[misc]
        late_pong = b""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if hasattr(transport, "max_size"):  # that of asyncio, 256 KiB; uvloop reads 64 KiB
                transport.max_size = WEB_READ_BYTES

        def handle_ping(self) -> None:
            if self.writable.is_set():
                super().handle_ping()
            else:
                self.late_pong = b"".join(self.conn.data_to_send())

        def resume_writing(self) -> None:
            if self.late_pong and not self.close_sent:
                self.transport.write(self.late_pong)
            self.late_pong = b""
            super().resume_writing()

        def handle_cont(self, event: Any) -> None:
            if event.data or event.fin:  # an empty part is nothing, however many there are
                super().handle_cont(event)

    return Answering
