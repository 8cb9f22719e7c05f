"""Calls by HTTP: `POST /call/Service/method` with JSON in and out, streams as server-sent events or lines of JSON.

A request becomes a call of a peer, with the codec JSON: its bytes are passed on as they are, in both directions. The pace of
the client is the demand of the call: a piece of the body is read when the handler takes it, and a batch is taken when the
connection has room.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec

from penstock.calls import RemoteStream, Request, call_unary
from penstock.codec import JSON
from penstock.errors import DataLoss, EndOfStream, InvalidArgument, ResourceExhausted, StatusError, Unimplemented
from penstock.peer import Peer
from penstock.protocol import CallKind
from penstock.service import CallOptions, MethodDescription, written_arguments
from penstock.web._http import HttpRequest
from penstock.web._response import JSON_TYPE, HttpResponse, problem_of, refused
from penstock.web._sse import EVENT_STREAM, KEEP_ALIVE, KEEP_ALIVE_S, sse_event

LINES: Final = "application/x-ndjson"

#: Items that are sent at a time, at most: those that have arrived go out together, without waiting for more.
RESULTS_AT_A_TIME: Final = 256

#: How long a stream of results may take for its first item, or its failure, before the answer begins without it: an error
#: within this time is an answer with a status of its own.
BEGIN_S: Final = 0.5

#: The headers that become metadata of the call, beside those that begin with ``x-``.
_METADATA: Final = ("authorization", "traceparent", "tracestate", "baggage")

_RAW_JSON: Final = JSON.decode_for(msgspec.Raw)
_check: Final = msgspec.json.Decoder(msgspec.Raw).decode


async def answer_call(request: HttpRequest, peer: Peer, method: MethodDescription, bytes_max: int) -> HttpResponse:
    """Make the call that a request asks for, and answer it. A client that leaves cancels the call.

    bytes_max: the largest argument, and the largest line of a stream of requests.
    """
    kind = CallKind.labelled(method.kind)
    options = CallOptions(metadata=metadata_of(request.headers), timeout=_timeout(request.headers))
    if kind & CallKind.CLIENT_STREAMING:
        argument, items = _from_query(request, method), _lines(request, bytes_max)
    else:
        argument, items = await _argument(request, method, bytes_max), None
    made = Request(method.target, kind, JSON, argument, _RAW_JSON, options)
    request.watch()
    if kind == CallKind.UNARY:
        return _result(await call_unary(peer._scope, made))
    stream = RemoteStream[msgspec.Raw](peer._scope, made, items)
    if kind & CallKind.SERVER_STREAMING:
        return await _streaming(request, stream)
    async with stream:
        try:
            return _result(await stream.receive())
        except EndOfStream:
            raise DataLoss(f"{method.target}: the call ended without a result") from None


def _result(encoded: msgspec.Raw) -> HttpResponse:
    return HttpResponse(HTTPStatus.OK, bytes(encoded), {"content-type": JSON_TYPE, "cache-control": "no-store"})


# ── the argument, and the requests ────────────────────────────────────────────────────────────────────────────────────


async def _argument(request: HttpRequest, method: MethodDescription, bytes_max: int) -> bytes | None:
    """Return the encoded arguments of a request without a stream of its own: from its body, or from its query for a GET."""
    if request.method == "GET":
        return _from_query(request, method)
    body = (await request.body(bytes_max, "max_item_bytes")).strip()
    if not body:
        return written_arguments(method.parameters, b"{}") if method.parameters else None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE and not kind.endswith("+json"):
        error = InvalidArgument(f"the body has the type {kind or 'of nothing'!r}; send the arguments as {JSON_TYPE}")
        raise refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error)
    return written_arguments(method.parameters, _checked(body, "the body"))


def _from_query(request: HttpRequest, method: MethodDescription) -> bytes | None:
    """Return the arguments that stand in the query, by name: a text as it is, any other value as JSON."""
    types = {parameter.name: parameter.schema for parameter in method.parameters}
    given: dict[str, Any] = {}
    for name, text in request.query():
        if name in given or name not in types:
            problem = "is given twice" if name in given else f"is not a parameter of {method.target}: {', '.join(types)}"
            raise InvalidArgument(f"the query parameter {name!r} {problem}")
        given[name] = text if types[name].get("type") == "string" else msgspec.Raw(_checked(text.encode(), f"{name!r}"))
    return written_arguments(method.parameters, JSON.encode(given)) if given else None


def _checked(text: bytes, name: str) -> bytes:
    """Return one JSON value as it is. Raises `InvalidArgument` for anything else."""
    try:
        text.decode()
        _check(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{name} is not valid JSON: {error}") from None
    return text


async def _lines(request: HttpRequest, bytes_max: int) -> AsyncIterator[msgspec.Raw]:
    """Iterate over the lines of the body, one JSON value each; empty ones are left out."""
    begun, number = bytearray(), 0
    async for piece in request.pieces():
        *whole, last = piece.split(b"\n")
        if whole:
            whole[0] = bytes(begun) + whole[0]
            begun.clear()
        begun += last
        for line in whole:
            number += 1
            if line.strip():
                yield msgspec.Raw(_checked(line.strip(), f"line {number} of the body"))
        if len(begun) > bytes_max:
            raise ResourceExhausted(f"line {number + 1} of the body is longer than {bytes_max} bytes (max_item_bytes)")
    if begun.strip():
        yield msgspec.Raw(_checked(bytes(begun.strip()), f"line {number + 1} of the body"))


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request that travel as metadata."""
    return {name: text for name, text in headers.items() if name in _METADATA or name.startswith("x-")}


def _timeout(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Prefer: wait=5`` (RFC 7240); None without."""
    for preference in headers.get("prefer", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            try:
                seconds = float(value.strip(' "'))
            except ValueError:
                seconds = math.nan
            if math.isnan(seconds):
                raise InvalidArgument(f"Prefer: wait={value.strip()} is not a number of seconds")
            return max(seconds, 0.001)
    return None


# ── a stream of results ───────────────────────────────────────────────────────────────────────────────────────────────


async def _streaming(request: HttpRequest, stream: RemoteStream[msgspec.Raw]) -> HttpResponse:
    """Answer with a stream, after its first items, its failure, or `BEGIN_S`."""
    try:
        first = await _begun(stream, BEGIN_S)
    except BaseException:
        await stream.aclose()
        raise
    events = EVENT_STREAM in request.headers.get("accept", "")
    headers = {"content-type": EVENT_STREAM if events else LINES, "cache-control": "no-store", "x-accel-buffering": "no"}
    return HttpResponse(HTTPStatus.OK, (_events if events else _json_lines)(stream, first), headers)


async def _begun(stream: RemoteStream[msgspec.Raw], seconds: float) -> list[msgspec.Raw] | None:
    """Return the first items, none after so many seconds, None at the end of the stream."""
    try:
        async with asyncio.timeout(seconds):
            return await _next(stream)
    except TimeoutError:
        return []


async def _next(stream: RemoteStream[msgspec.Raw]) -> list[msgspec.Raw] | None:
    """Return the next items, None at the end of the stream. Cancelling it loses no item.

    A loop over `Stream.batches` brings the same lists; this needs no generator, which would be resumed for each of them.
    """
    try:
        while not (batch := stream._take(RESULTS_AT_A_TIME)):
            await stream._readable()
    except EndOfStream:
        return None
    return batch


class _Waits:
    """The waits of one stream for its next items, which end after `KEEP_ALIVE_S` without any; one timer serves all of them.

    A time-out for each wait, as `asyncio.timeout` is one, costs a fifth of what a token costs.
    """

    def __init__(self, stream: RemoteStream[msgspec.Raw]) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._since = 0.0
        self._over = False

    async def next(self) -> list[msgspec.Raw] | None:
        """Return the next items, none after the time, None at the end of the stream. Cancelling it loses no item."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelled = task.cancelling()
        self._since, self._waiting, self._over = self._loop.time(), task, False
        if self._timer is None:
            self._timer = self._loop.call_later(KEEP_ALIVE_S, self._look)
        try:
            return await _next(self._stream)
        except asyncio.CancelledError:
            if self._over and task.uncancel() <= cancelled:
                return []
            raise
        finally:
            self._waiting = None

    def _look(self) -> None:
        """End a wait that has lasted, and otherwise look again when the present one may have."""
        self._timer = None
        if self._waiting is None:  # the next wait sets the timer
            return
        left_s = self._since + KEEP_ALIVE_S - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
            return
        self._over = True
        self._waiting.cancel()

    def end(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()


async def _events(stream: RemoteStream[msgspec.Raw], batch: list[msgspec.Raw] | None) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events: one for each item, then ``end``, or ``failed`` with the problem."""
    waits = _Waits(stream)
    async with stream:
        try:
            while batch is not None:
                yield b"".join(map(_event, batch)) if batch else KEEP_ALIVE
                batch = await waits.next()
        except StatusError as error:
            yield sse_event(bytes(_body_of(error)).decode(), event="failed")
        else:
            yield sse_event("", event="end")
        finally:
            waits.end()


def _event(item: msgspec.Raw) -> bytes:
    text = bytes(item)
    if b"\n" in text or b"\r" in text:
        return sse_event(text.decode())
    return b"data: %b\n\n" % text


def _body_of(error: StatusError) -> bytes:
    body = problem_of(error).body
    return body if isinstance(body, bytes) else b""


async def _json_lines(stream: RemoteStream[msgspec.Raw], batch: list[msgspec.Raw] | None) -> AsyncGenerator[bytes, None]:
    """Yield a line for each item. A failure cuts the connection, so that no client takes it for the end."""
    async with stream:
        if batch:
            yield _lines_of(batch)
        while batch is not None:
            batch = await _next(stream)
            if batch:
                yield _lines_of(batch)


def _lines_of(batch: list[msgspec.Raw]) -> bytes:
    return b"\n".join(bytes(item).replace(b"\n", b" ") for item in batch) + b"\n"


def check_method(request: HttpRequest, method: MethodDescription) -> None:
    """Raise `Refused` (405) unless the request has a method of HTTP that the method of the service allows.

    Any may be called by POST. By GET, which caches, crawlers and `EventSource` send: a stream of results, and a method that is
    idempotent.
    """
    kind = CallKind.labelled(method.kind)
    by_get = kind == CallKind.SERVER_STREAMING or (method.idempotent and not kind & CallKind.CLIENT_STREAMING)
    allowed = ["POST", "GET"] if by_get else ["POST"]
    if request.method not in allowed:
        error = Unimplemented(f"{method.target} is called by {' or '.join(allowed)}")
        raise refused(HTTPStatus.METHOD_NOT_ALLOWED, error, {"allow": ", ".join(allowed)})
