"""`WebFace`, the one ASGI application: calls, sessions by WebSocket, and the pages about them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Final

from penstock.errors import NotFound, PermissionDenied, StatusError, Unauthenticated, Unavailable, Unimplemented
from penstock.peer import JoinedPeers, Peer, find_method, method_called, services_of
from penstock.protocol import Settings
from penstock.service import MethodDescription, ServiceDescription
from penstock.transports import Receiver
from penstock.web._calls import answer_call, check_method, metadata_of
from penstock.web._http import HttpRequest, Receive, Scope, Send, answer, bearer, headers_of
from penstock.web._messages import carry
from penstock.web._openapi import openapi
from penstock.web._origins import admit, cross_origin
from penstock.web._response import HttpResponse, Refused, as_json, problem_of, refused
from penstock.web.durable_streams import DurableStreams, StreamsOverHttp

#: The first part of the paths of calls: to a method of a service, and to one of an actor.
CALL: Final = "/call/"
ASK: Final = "/ask/"

#: Where the retained streams are, as the Durable Streams protocol has it.
STREAMS: Final = "/v1/stream"

#: This side of the connection within the process sets no limit of its own: the server's hold.
_SETTINGS: Final = Settings(max_item_bytes=1024 * 1024 * 1024, max_item_values=1 << 40)


class WebFace:
    """A server over HTTP: an application of ASGI whose requests become calls of one peer within the process.

    receivers: makes the server's side of a session, as for a listener. origins: the web pages that may use it, by their
    origins; those of its own address always may. url: its address, for people. streams: how retained streams are served.
    pages: files by their paths, instead of the retained streams.
    """

    def __init__(
        self,
        receivers: Callable[[], Receiver],
        origins: Collection[str],
        url: str,
        *,
        streams: StreamsOverHttp | None = None,
        pages: Mapping[str, HttpResponse] | None = None,
    ) -> None:
        self._receivers = receivers
        self._origins = origins
        self._url = url
        self._peers = JoinedPeers(receivers, _SETTINGS, url)
        self._services: list[ServiceDescription] | None = None
        self._streams = DurableStreams(streams or StreamsOverHttp(origins=tuple(origins)), may=self._may)
        self._pages = pages or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of HTTP, or carry a WebSocket to its end."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        try:
            origin = admit(scope, headers_of(scope), self._origins)
        except Refused as refusal:
            response = refusal.response
            await answer(scope, receive, send, lambda _: _ready(response))
            return
        root = scope.get("root_path", "")
        if scope["path"].startswith(f"{root}{STREAMS}/") and not self._pages:
            await self._streams({**scope, "root_path": f"{root}{STREAMS}"}, receive, send)
            return
        await answer(scope, receive, send, self._handle, headers={"x-content-type-options": "nosniff", **cross_origin(origin)})

    async def start(self) -> None:
        """Take up the subscriptions to retained streams that an earlier run has left in a file."""
        if not self._pages:
            await self._streams.start()

    async def aclose(self) -> None:
        """End the deliveries to webhooks, and close the connection within the process."""
        await self._streams.aclose()
        await self._peers.aclose()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not admitted(scope, self._origins):
            await receive()
            await send({"type": "websocket.close"})  # before it is accepted: the server answers with 403
            return
        await carry(scope, receive, send, self._receivers)

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        path = request.path.removesuffix("/") or "/"  # Litestar ends the paths of a mounted application with a slash
        if request.method == "OPTIONS":
            return HttpResponse(HTTPStatus.NO_CONTENT, headers={"allow": "GET, HEAD, POST, OPTIONS"})
        if path.startswith(CALL):
            return await self._call(request, path.removeprefix(CALL))
        if path.startswith(ASK):
            return await self._call(request, f"/{path.removeprefix(ASK)}")
        if request.method not in {"GET", "HEAD"}:
            error = NotFound(f"{request.method} {path} is not known here; methods are called at {CALL}Service/method")
            raise refused(HTTPStatus.NOT_FOUND, error)
        return await self._page(request, path)

    async def _page(self, request: HttpRequest, path: str) -> HttpResponse:
        """Answer a request for a thing that is known of this server."""
        if path in self._pages:
            return self._pages[path]
        if path == "/healthz":
            return as_json({"status": "up"})
        if path == "/readyz":
            return await self._ready()
        if path == "/openapi.json":
            async with self._peer(request) as peer:
                return as_json(openapi(await self._described(peer), request.url("")))
        raise refused(HTTPStatus.NOT_FOUND, NotFound(f"{path} is not known here; see {request.url('/openapi.json')}"))

    async def _call(self, request: HttpRequest, target: str) -> HttpResponse:
        async with self._peer(request) as peer:
            try:
                method = await self._method(peer, target, metadata_of(request.headers))
                check_method(request, method)
                hello = peer._scope.session.hello
                return await answer_call(request, peer, method, hello.max_item_bytes if hello else _SETTINGS.max_item_bytes)
            except StatusError as error:  # not as the error of a server that stands behind this one
                return problem_of(error)

    @asynccontextmanager
    async def _peer(self, request: HttpRequest) -> AsyncIterator[Peer]:
        """Return the peer that makes the calls of a client. Raises `Refused` for a client that is not taken."""
        async with AsyncExitStack() as stack:
            try:
                peer = await stack.enter_async_context(self._peers.use(bearer(request.headers)))
            except StatusError as error:  # by this server, and not by one behind it
                raise refused(0, error) from None
            yield peer

    async def _method(self, peer: Peer, target: str, metadata: Mapping[str, str]) -> MethodDescription:
        try:
            if target.startswith("/"):
                return await method_called(peer, target, metadata)
            return find_method(await self._described(peer), target)
        except Unimplemented as error:
            raise refused(HTTPStatus.NOT_FOUND, error) from None

    async def _described(self, peer: Peer) -> list[ServiceDescription]:
        """Return the services of the server, which stay the same."""
        if self._services is None:
            self._services = await services_of(peer, {})
        return self._services

    async def _may(self, request: HttpRequest, name: str, verb: str) -> None:
        """Raise the error of a client that may not do this to a retained stream, at a server that proves its clients."""
        if self._peers.proves is not False:
            async with self._peer(request) as peer:
                if self._peers.proves:
                    await self._check(peer, f"streams/{name}", verb)

    @staticmethod
    async def _check(peer: Peer, target: str, verb: str) -> None:
        try:
            await peer.call("Penstock/may", target, verb)
        except PermissionDenied as error:
            raise refused(0, error) from None

    async def _ready(self) -> HttpResponse:
        """Answer whether the server takes calls."""
        try:
            async with self._peers.use("") as peer:
                if peer.draining or peer.state != "connected":
                    raise Unavailable("this server is shutting down")
        except (Unauthenticated, PermissionDenied):  # a probe has no credentials, and the server has answered
            pass
        return as_json({"status": "ready"})


def admitted(scope: Scope, origins: Collection[str]) -> bool:
    """Return whether a WebSocket may be opened, see `admit`."""
    try:
        admit(scope, headers_of(scope), origins)
    except Refused:
        return False
    return True


async def _ready(response: HttpResponse) -> HttpResponse:
    return response
