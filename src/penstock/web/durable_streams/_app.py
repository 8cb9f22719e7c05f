"""`DurableStreams`: retained streams over HTTP, as an ASGI application. Which request is for which stream, and may it be so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from penstock.errors import NotFound, Unimplemented
from penstock.retention import Retained, Streams, streams_here
from penstock.web._http import HttpRequest, Receive, Scope, Send, answer
from penstock.web._response import HttpResponse, refused
from penstock.web.durable_streams._append import append, check_writable, written_soon
from penstock.web.durable_streams._create import create, name_in
from penstock.web.durable_streams._headers import REQUEST_HEADERS, RESPONSE_HEADERS
from penstock.web.durable_streams._items import content_type_of
from penstock.web.durable_streams._live import LiveReaders
from penstock.web.durable_streams._read import read, reading_in
from penstock.web.durable_streams._seen import RESERVED, tail_headers
from penstock.web.durable_streams._settings import StreamsOverHttp
from penstock.web.durable_streams.subscriptions import Subscriptions, handle

#: What each method does to a stream, as `authorize` has it.
VERBS: Final = {"GET": "follow", "HEAD": "follow", "PUT": "append", "POST": "append", "DELETE": "delete"}
METHODS: Final = "GET, HEAD, PUT, POST, DELETE, OPTIONS"


class DurableStreams:
    """The retained streams of this event loop over HTTP, by the open Durable Streams protocol: an ASGI application.

    Mount it where its URLs are to begin, as ``/v1/stream``: the stream ``run-1`` is then at ``/v1/stream/run-1``. A stream that
    a client makes is a retained stream: `Peer.follow` follows it. A stream that the program makes by `penstock.retained` can be
    read, and be written unless the program writes it.

    settings: see `StreamsOverHttp`. streams: returns the streams; those of the running event loop by default. may: raises the
    error of a client that may not do this to the stream with a name ("follow", "append" or "delete"); None lets each client do
    everything.
    """

    def __init__(
        self,
        settings: StreamsOverHttp | None = None,
        streams: Callable[[], Streams] = streams_here,
        may: Callable[[HttpRequest, str, str], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = StreamsOverHttp() if settings is None else settings
        self._streams_of_loop = streams
        self._may = may
        self._live = LiveReaders(self.settings)
        self._subscriptions: Subscriptions | None = None
        self._beginning = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. It answers HTTP alone."""
        if scope["type"] != "http":
            raise ValueError(f"retained streams are over HTTP, and not {scope['type']}")
        await answer(scope, receive, send, self._handle, headers=self._headers(scope))

    def _headers(self, scope: Scope) -> dict[str, str]:
        """Return the headers of each response: those for browsers, and those by which pages of other origins may use it."""
        origins = self.settings.origins
        headers = {
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "cross-origin" if origins else "same-origin",
        }
        if not origins:
            return headers
        origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), "")
        if "*" in origins:
            headers["access-control-allow-origin"] = "*"
        else:
            headers["vary"] = "origin"
            if origin not in origins:
                return headers
            headers["access-control-allow-origin"] = origin
        headers["access-control-expose-headers"] = RESPONSE_HEADERS
        return headers

    def streams(self) -> Streams:
        """Return the streams. The first call opens the file of those that clients make, and blocks for some milliseconds."""
        streams = self._streams_of_loop()
        if self.settings.durable is not None:
            streams.open(Path(self.settings.durable))
        return streams

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        if request.method == "OPTIONS":
            return self._allowed()
        name = request.path.removeprefix("/")
        await self._check_access(request, name)
        streams = self.streams()
        if name.startswith(RESERVED):
            if self.settings.read_only:
                raise NotFound("this server has no subscriptions: it is read only (read_only)")
            return await handle(request, await self._subscribed(streams), self.settings)
        method = self._READS.get(request.method) or self._WRITES.get(request.method)
        if method is None or (self.settings.read_only and request.method in self._WRITES):
            raise refused(
                HTTPStatus.METHOD_NOT_ALLOWED,
                Unimplemented(f"{request.method} is not for streams here"),
                {"allow": "GET, HEAD, OPTIONS" if self.settings.read_only else METHODS},
            )
        return await method(self, request, name, streams)

    async def _check_access(self, request: HttpRequest, name: str) -> None:
        if self._may is not None:
            await self._may(request, name, VERBS.get(request.method, "append"))
            if "stream-forked-from" in request.headers:
                await self._may(request, name_in(request, request.headers["stream-forked-from"]), "follow")

    async def start(self) -> None:
        """Open the file, and take up the subscriptions that it has. Without it, they wait for the first request for one."""
        await self._subscribed(self.streams())

    async def _subscribed(self, streams: Streams) -> Subscriptions:
        async with self._beginning:
            if self._subscriptions is None:
                subscriptions = Subscriptions(streams, self.settings)
                await subscriptions.load()
                self._subscriptions = subscriptions
            return self._subscriptions

    async def aclose(self) -> None:
        """End what goes on beside requests: the deliveries to webhooks. Idempotent."""
        subscriptions, self._subscriptions = self._subscriptions, None
        if subscriptions is not None:
            await subscriptions.aclose()

    def _allowed(self) -> HttpResponse:
        headers = {"allow": METHODS}
        if self.settings.origins:
            headers |= {
                "access-control-allow-methods": METHODS,
                "access-control-allow-headers": REQUEST_HEADERS,
                "access-control-max-age": "600",
            }
        return HttpResponse(HTTPStatus.NO_CONTENT, headers=headers)

    # ── the methods ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _get(self, request: HttpRequest, name: str, streams: Streams) -> HttpResponse:
        stream = found(name, streams)
        reading = reading_in(request)
        streams.lives.use(stream._kept)
        if reading.live == "sse":
            return self._live.response(request, stream, reading)
        return await read(request, stream, reading, self.settings)

    async def _head(self, request: HttpRequest, name: str, streams: Streams) -> HttpResponse:
        kept = found(name, streams)._kept
        headers = {"content-type": content_type_of(kept), "cache-control": "no-store", **tail_headers(kept, kept.readable_to)}
        if kept.notes.idle_s is not None:
            headers["stream-ttl"] = str(kept.notes.idle_s)
        if kept.notes.expires:
            headers["stream-expires-at"] = kept.notes.expires
        return HttpResponse(HTTPStatus.OK, headers=headers)

    async def _put(self, request: HttpRequest, name: str, streams: Streams) -> HttpResponse:
        return await create(request, name, streams, self.settings)

    async def _post(self, request: HttpRequest, name: str, streams: Streams) -> HttpResponse:
        return await append(request, found(name, streams), streams, self.settings)

    async def _delete(self, request: HttpRequest, name: str, streams: Streams) -> HttpResponse:
        stream = found(name, streams)
        check_writable(stream)
        async with written_soon(stream._kept, self.settings.write_s):
            await streams.lives.delete(stream)
        return HttpResponse(HTTPStatus.NO_CONTENT)

    _READS: Final = {"GET": _get, "HEAD": _head}
    _WRITES: Final = {"PUT": _put, "POST": _post, "DELETE": _delete}


def found(name: str, streams: Streams) -> Retained[Any]:
    """Return the stream with a name. Raises `NotFound`, and `Refused` (410) for one that was deleted and has forks."""
    stream = streams.named.get(name)
    if stream is not None and stream._kept.notes.deleted:
        raise refused(HTTPStatus.GONE, NotFound(f"{stream._kept.label} was deleted; there are forks of it"))
    return streams.find(name)
