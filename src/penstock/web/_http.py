"""One request of HTTP, as ASGI hands it over, and the way to its response. It needs no framework and knows no server.

A handler is an async function from an `HttpRequest` to an `HttpResponse`; `answer` runs it. Each thing that a client can make
it hold has a bound: a whole body has the limit that the handler gives, and of one that is read piece by piece, one piece waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from penstock._outcomes import as_answer, as_internal, log_error
from penstock._per_loop import of_loop
from penstock.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted
from penstock.streams import Bell
from penstock.web._response import HttpResponse, Refused, problem_of, refused

Scope = MutableMapping[str, Any]
AsgiEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiEvent]]
Send = Callable[[AsgiEvent], Awaitable[None]]

#: Parameters of a query; one with more is refused.
QUERY_FIELDS_MAX: Final = 64
#: A body of these means nothing (RFC 9110, 9.3.1), and is not read.
_BODYLESS: Final = ("GET", "HEAD", "OPTIONS")
#: A body that is read whole is whole within this time, and a second more for each so many bytes that have come: a slow line
#: takes longer, and a client that sends a byte now and then holds nothing for long.
BODY_S: Final = 30.0
BODY_BYTES_A_SECOND: Final = 16 * 1024
#: What whole bodies hold together in one event loop while they come in, as much as one full connection. The next large one is
#: refused then; a small one never is.
BODIES_BYTES_MAX: Final = 256 * 1024 * 1024
SMALL_BODY_BYTES: Final = 64 * 1024
#: Characters of a path that need no escape (RFC 3986, pchar and the slash).
_IN_PATH: Final = "/~!$&'()*+,;=:@"

_log = logging.getLogger("penstock.web")


class ClientLeft(Exception):
    """The client left before its request, or the response, was whole. `answer` ends the request then."""


class HttpRequest:
    """A request of HTTP: its head, and its body, which is read once.

    method: in capitals. mount: the path of the application, without a slash at its end. path: that behind the mount, which
    begins with a slash, with its escapes resolved. headers: by their names in lower case; those that were sent twice are joined
    by commas. left: whether the client has left.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.mount: str = scope.get("root_path", "").rstrip("/")
        path: str = scope["path"]
        self.path = path[len(self.mount) :] if path.startswith(f"{self.mount}/") else path
        self.headers = headers_of(scope)
        self.left = False
        self.receive = receive
        self._whole = self.method in _BODYLESS  # whether the last piece of the body was taken
        self._pieces: list[AsgiEvent] = []  # of a request that is watched; one at most
        self._bell = Bell()
        self._watch: asyncio.Task[None] | None = None

    def query(self) -> list[tuple[str, str]]:
        """Return the parameters of the query, in order. Raises `Refused` for too many."""
        text = self.scope.get("query_string", b"").decode("latin-1")
        try:
            return parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
        except ValueError:
            error = InvalidArgument(f"the query has more than {QUERY_FIELDS_MAX} parameters")
            raise refused(HTTPStatus.BAD_REQUEST, error) from None

    def url(self, path: str) -> str:
        """Return the URL of a path behind the mount, as this client can reach it."""
        host = self.headers.get("host", "")
        where = quote(f"{self.mount}{path}", safe=_IN_PATH)
        return f"{self.scope.get('scheme', 'http')}://{host}{where}" if host else where

    @property
    def client(self) -> str:
        """The address of the client, for people."""
        host, port = self.scope.get("client") or ("somewhere", 0)
        return f"{self.scope.get('scheme', 'http')}://{f'[{host}]' if ':' in host else host}:{port}"

    # ── the body ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def body(self, bytes_max: int, setting: str) -> bytes:
        """Return the whole body. Raises `Refused` (413) with the name of the `setting` for one of more than `bytes_max`.

        A body whose head announces too much is refused before it is read; 408 for one that comes too slowly, and 503 while
        all of them hold too much. Raises `ClientLeft` when it is cut.
        """
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > bytes_max:
            raise _too_large(announced, bytes_max, setting)
        whole = bytearray()
        bodies = of_loop("_penstock_bodies", _Bodies)
        end = asyncio.get_running_loop().time() + BODY_S
        try:
            async with asyncio.timeout_at(end) as limit:
                async for piece in self.pieces():
                    whole += piece
                    bodies.held_bytes += len(piece)
                    bodies.check(len(whole), bytes_max, setting)
                    limit.reschedule(end + len(whole) / BODY_BYTES_A_SECOND)
        except TimeoutError:
            error = DeadlineExceeded(f"{len(whole)} bytes of the body have come: too few")
            raise refused(HTTPStatus.REQUEST_TIMEOUT, error, {"connection": "close"}) from None
        finally:
            bodies.held_bytes -= len(whole)
        return bytes(whole)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the body as it comes in, without a limit for the whole. Raises `ClientLeft` when it is cut."""
        while not self._whole:
            event = await self._next()
            if event["type"] == "http.disconnect":
                self.left = True
                raise ClientLeft
            self._whole = not event.get("more_body", False)
            piece: bytes = event.get("body", b"")
            if piece:
                yield piece

    async def _next(self) -> AsgiEvent:
        if self._watch is None:
            return await self.receive()
        while not self._pieces:
            await self._bell.wait()
        event = self._pieces.pop()
        self._bell.notify()
        return event

    # ── a client that leaves ──────────────────────────────────────────────────────────────────────────────────────────

    def watch(self) -> None:
        """From now on, cancel the present task as soon as the client leaves: for a handler that may take long. Idempotent.

        The leaving of a client is seen behind its body: one that is still coming in has to be taken. `answer` watches by itself
        while it sends a body that is a generator.
        """
        task = asyncio.current_task()
        if self._watch is None and task is not None:
            self._watch = asyncio.create_task(self._cancel_at_leaving(task))

    async def _cancel_at_leaving(self, task: asyncio.Task[Any]) -> None:
        while True:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                self.left = True
                task.cancel()
                return
            if self._whole:
                continue
            self._pieces.append(event)
            self._bell.notify()
            while self._pieces and event.get("more_body", False):
                await self._bell.wait()

    def unwatch(self) -> None:
        """End the watch. `answer` calls it at the end of the request."""
        if self._watch is not None:
            self._watch.cancel()


class _Bodies:
    """The bodies that are coming in, in one event loop."""

    held_bytes = 0

    def check(self, size: int, bytes_max: int, setting: str) -> None:
        """Raise `Refused` for a body of which `size` bytes have come, which are too many by itself or beside the others."""
        if size > bytes_max:
            raise _too_large(f"more than {bytes_max}", bytes_max, setting)
        if size > SMALL_BODY_BYTES and self.held_bytes > BODIES_BYTES_MAX:
            raise refused(HTTPStatus.SERVICE_UNAVAILABLE, ResourceExhausted("all bodies that are coming in hold too much"))


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request by their names in lower case; those that were sent twice are joined by commas."""
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def bearer(headers: Mapping[str, str]) -> str:
    """Return the token of ``Authorization: Bearer`` (RFC 6750); empty without one."""
    scheme, _space, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _too_large(size: str, bytes_max: int, setting: str) -> Refused:
    error = ResourceExhausted(f"the body has {size} bytes; {bytes_max} are allowed ({setting})")
    return refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)


async def answer(
    scope: Scope, receive: Receive, send: Send, handler: Handler, *, headers: Mapping[str, str] | None = None
) -> None:
    """Handle one request: run its handler, and send the response, or the problem that stands for its error.

    headers: of each response that has no others of these names.

    A client that leaves cancels a handler that watches for it, and closes the generator of a body. Raises an error which that
    generator raises: the response has begun, and the server cuts the connection.
    """
    request = HttpRequest(scope, receive)
    task = asyncio.current_task()
    try:
        response = await _response_of(request, handler)
        await _send(request, response, _checked(request, send), headers or {})
    except ClientLeft:
        return
    except asyncio.CancelledError:
        if not request.left or task is None or task.uncancel() > 0:
            raise  # the server ends this task
    finally:
        request.unwatch()


async def _response_of(request: HttpRequest, handler: Handler) -> HttpResponse:
    try:
        return await handler(request)
    except Refused as refusal:
        return refusal.response
    except ClientLeft:
        raise
    except Exception as error:  # noqa: BLE001 - any error of a handler is an answer
        where = f"{request.method} {request.path}"
        return problem_of(as_answer(error, where) or as_internal(error, where, exposed=False))


def _checked(request: HttpRequest, send: Send) -> Send:
    """Return a `send` that ends the request of a client which has left.

    A server that tells of it raises an `OSError`. `uvicorn` drops what is sent, and shows it to one that looks: it matters
    where a body that is not taken hides the end.
    """
    connection = getattr(request.receive, "__self__", None)

    async def checked(event: AsgiEvent) -> None:
        if getattr(connection, "disconnected", False):
            request.left = True
            raise ClientLeft
        try:
            await send(event)
        except OSError:
            request.left = True
            raise ClientLeft from None

    return checked


async def _send(request: HttpRequest, response: HttpResponse, send: Send, headers: Mapping[str, str]) -> None:
    body = response.body
    sent = {**headers, **response.headers}
    if isinstance(body, bytes) and response.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        sent.setdefault("content-length", str(len(body)))
    head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": head})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
        return
    async with aclosing(body):
        request.watch()
        try:
            async for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except ClientLeft:
            raise
        except Exception as error:
            log_error(_log, error, "%s %s: the response was cut", request.method, request.path)
            raise
    await send({"type": "http.response.body", "body": b""})
