"""`asgi`: services as an application of ASGI, to be mounted in another one or served by any ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from penstock.auth import Authenticator, Authorize
from penstock.calls import Interceptor
from penstock.errors import FailedPrecondition
from penstock.peer import serve
from penstock.protocol import Settings
from penstock.transports import register
from penstock.web._transport import HttpTransport

if TYPE_CHECKING:
    from penstock.web._app import WebFace
    from penstock.web._http import Receive, Scope, Send
    from penstock.web.durable_streams import StreamsOverHttp


class WebApp:
    """Services over HTTP, as `asgi` returns them: an application of ASGI, and an ``async with`` block that is its life.

    An ASGI server begins and ends it by the lifespan protocol. An application that is mounted in another one has the lifespan
    of that one: ``FastAPI(lifespan=flow.lifespan)``, or ``async with flow`` inside a lifespan of your own.
    """

    def __init__(self, services: Sequence[object], options: dict[str, Any], streams: StreamsOverHttp | None) -> None:
        self._services = services
        self._options = options
        self._streams = streams
        self._stack = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._face: WebFace | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        await self._begun()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._face = None
        await self._stack.aclose()

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Return the life of this application as a lifespan for FastAPI and Starlette."""
        async with self:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, carry one WebSocket, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        face = await self._begun()
        await face(scope, receive, send)

    async def _begun(self) -> WebFace:
        """Begin at the first use, and again in another event loop: a test client has one for each request.

        Raises `FailedPrecondition` while the loop before it is open.
        """
        from penstock.web._app import WebFace

        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and self._face is not None and not self._loop.is_closed():
                raise FailedPrecondition("an application of penstock.asgi serves one event loop: make one for each")
            self._loop, self._face = loop, None
            self._stack, self._starting = AsyncExitStack(), asyncio.Lock()
        async with self._starting:
            if self._face is None:
                server = await self._stack.enter_async_context(serve(*self._services, listen=[], **self._options))
                face = WebFace(server._new_session, self._options["settings"].origins, "http://asgi", streams=self._streams)
                self._stack.push_async_callback(face.aclose)
                await face.start()
                self._face = face
            return self._face

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            await self._begun()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        await self.__aexit__()
        await send({"type": "lifespan.shutdown.complete"})


def asgi(
    *services: object,
    settings: Settings | None = None,
    interceptors: Sequence[Interceptor] = (),
    expose_errors: bool = False,
    authenticate: Authenticator | None = None,
    authorize: Authorize | None = None,
    streams: StreamsOverHttp | None = None,
) -> WebApp:
    """Return services, or an `ActorSystem` or `Node`, as an application of ASGI: HTTP and WebSocket for browsers and curl.

    ::

        app = FastAPI(lifespan=(flow := penstock.asgi(Prices())).lifespan)
        app.mount("/flow", flow)

    ``POST /call/Service/method`` calls a method, with JSON in and out; ``POST /ask/actor/method`` that of an actor. A stream of
    results comes as server-sent events or as lines of JSON, by the `Accept` header; a stream of requests is a body of lines. A
    client that leaves cancels its handler, and a slow one stalls its own call alone. A WebSocket at any path carries a session:
    ``penstock.connect("ws://host/flow/")`` and the client for browsers. ``GET /openapi.json`` describes all methods,
    ``/healthz`` and ``/readyz`` are for probes. Errors are problem details (RFC 9457) with the code of the error.

    services: as for `serve`.
    settings: limits of each connection, and `Settings.origins`: the pages of other sites that may use it; none by default.
    interceptors: entered around every call; none by default.
    expose_errors: whether callers get the text of unexpected errors; False by default. Use it in development only.
    authenticate, authorize: as for `serve`: which clients it takes, by their ``Authorization: Bearer``, and what they may do.
    streams: how the retained streams of this event loop are served at ``/v1/stream/``, by the open Durable Streams protocol.

    It has the life of the ASGI server, or of a block: see `WebApp`. Without either it begins at its first request. `serve`,
    `Node` and ``penstock serve`` serve the same at ``http://host:port`` by themselves. Needs no framework; for a listener of
    its own, and for `ws://`, the extra ``penstock[web]``.
    """
    options = {
        "settings": settings or Settings(),
        "interceptors": interceptors,
        "expose_errors": expose_errors,
        "authenticate": authenticate,
        "authorize": authorize,
    }
    return WebApp(services, options, streams)


register("http", HttpTransport("http"))
register("https", HttpTransport("https"), encrypted=True)
