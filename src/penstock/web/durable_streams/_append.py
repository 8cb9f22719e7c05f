"""Appending over HTTP: a batch is kept as a whole, once, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

from penstock.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from penstock.retention import KeptStream, Retained, Streams, append_all
from penstock.web._http import HttpRequest
from penstock.web._response import HttpResponse, refused
from penstock.web.durable_streams._headers import is_closing, numbered_in, seq_in
from penstock.web.durable_streams._items import content_type_of, items_in, media_of
from penstock.web.durable_streams._producers import Again, BadStart, Gap, Numbered, Stale, Verdict, note, verdict_on
from penstock.web.durable_streams._seen import check_there, closed_headers, offset_token
from penstock.web.durable_streams._settings import StreamsOverHttp


class Addition(NamedTuple):
    """The items of one request, and what it says of itself. body: empty for one that closes the stream, and adds nothing."""

    body: bytes
    content_type: str
    numbered: Numbered | None
    seq: str | None
    closing: bool
    items_max: int


async def append(request: HttpRequest, stream: Retained[Any], streams: Streams, settings: StreamsOverHttp) -> HttpResponse:
    """Append the items of a request, and close the stream if it says so. The answer comes when a file has them."""
    headers, kept = request.headers, stream._kept
    numbered, seq = numbered_in(headers), seq_in(headers)
    body = await request.body(settings.append_bytes_max, "append_bytes_max")
    batch = Addition(body, headers.get("content-type", ""), numbered, seq, is_closing(headers), settings.append_items_max)
    if kept.full:
        async with written_soon(kept, settings.write_s):
            await kept.room()
    check_there(stream)
    status, answered = keep(stream, batch)
    await until_written(kept, settings.write_s)
    streams.lives.use(kept)
    tail = {"stream-next-offset": offset_token(kept, kept.log.next), **closed_headers(kept)}
    return HttpResponse(status, headers={**tail, **answered})


@asynccontextmanager
async def written_soon(kept: KeptStream, write_s: float) -> AsyncIterator[None]:
    """Raise `Refused` (503) when a file cannot be written in time. An item that was added may still be written later."""
    try:
        async with asyncio.timeout(write_s):
            yield
    except TimeoutError:
        error = Unavailable(f"{kept.label} could not be written in {write_s:g} s (write_s); it may be written later")
        raise refused(HTTPStatus.SERVICE_UNAVAILABLE, error, {"retry-after": "1"}) from None


async def until_written(kept: KeptStream, write_s: float) -> None:
    """Wait until all that was added is in the file of a stream that has one. Raises as `written_soon`."""
    if kept.readable_to < kept.log.next or (kept.outcome is not None and not kept.told):
        async with written_soon(kept, write_s):
            await kept.flush()


def keep(stream: Retained[Any], batch: Addition) -> tuple[int, dict[str, str]]:
    """Keep a batch, without waiting. Return the status, and the headers that answer its numbers. Raises why it is not kept."""
    kept, numbered = stream._kept, batch.numbered
    check_writable(stream)
    if kept.state != "open":
        return _answer_after_end(kept, batch)
    _check_form(kept, batch)
    verdict = None if numbered is None else verdict_on(kept.notes.producers, numbered)
    if numbered is not None and verdict is not None:
        return _answer_to(verdict, numbered)
    if batch.seq is not None and kept.notes.seq is not None and batch.seq <= kept.notes.seq:
        raise Aborted(f"Stream-Seq is {batch.seq!r}, and the one before was {kept.notes.seq!r}: it has to be larger")
    if batch.body:
        add(stream, _items_of(kept, batch))
    _note(kept, batch)
    if batch.closing:
        stream.close()
    if numbered is None:
        return HTTPStatus.NO_CONTENT, {}
    return HTTPStatus.OK if batch.body else HTTPStatus.NO_CONTENT, _numbers(numbered.epoch, numbered.seq)


def _check_form(kept: KeptStream, batch: Addition) -> None:
    """Raise `InvalidArgument` or `Refused` (409) for a batch without items, or of another content type than the stream."""
    if not batch.body:
        if not batch.closing:
            raise InvalidArgument("the body is empty: only a request that closes the stream (Stream-Closed: true) has no items")
        return
    if not batch.content_type:
        raise InvalidArgument("a request with items says their Content-Type")
    if media_of(batch.content_type) != media_of(content_type_of(kept)):
        error = FailedPrecondition(f"{kept.label} has the content type {content_type_of(kept)}, and not {batch.content_type}")
        raise refused(HTTPStatus.CONFLICT, error)


def _items_of(kept: KeptStream, batch: Addition) -> list[Any]:
    items = items_in(batch.body, kept, batch.items_max)
    if not items:
        raise InvalidArgument("the body is an empty array: it has no items")
    return items


def add(stream: Retained[Any], items: list[Any]) -> None:
    """Add items, all of them or none. Raises as `append_all`, but `Refused` (413) for items that are too large."""
    try:
        append_all(stream, items)
    except ResourceExhausted as error:
        if "max_bytes" not in error.details:
            raise
        raise refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error) from None


def check_writable(stream: Retained[Any]) -> None:
    """Raise `Refused` (405) for a stream that its program writes: it has one writer."""
    if stream._writer is not None and not stream._writer.done():
        error = FailedPrecondition(f"{stream._kept.label} is written by its program")
        raise refused(HTTPStatus.METHOD_NOT_ALLOWED, error, {"allow": "GET, HEAD, OPTIONS"})


def _answer_after_end(kept: KeptStream, batch: Addition) -> tuple[int, dict[str, str]]:
    """Answer a batch that comes after the end: well, when it is the one that has closed the stream, or only closes it."""
    numbered = batch.numbered
    if numbered is None and batch.closing and not batch.body:
        return HTTPStatus.NO_CONTENT, {}
    if numbered is not None and kept.notes.closed_by == tuple(numbered):
        return HTTPStatus.NO_CONTENT, _numbers(numbered.epoch, numbered.seq)
    tail = {"stream-next-offset": offset_token(kept, kept.log.next), "stream-closed": "true"}
    raise refused(HTTPStatus.CONFLICT, FailedPrecondition(f"{kept.label} is closed"), tail)


def _numbers(epoch: int, seq: int) -> dict[str, str]:
    return {"producer-epoch": str(epoch), "producer-seq": str(seq)}


def _answer_to(verdict: Verdict, batch: Numbered) -> tuple[int, dict[str, str]]:
    """Answer a batch that is not to be kept: well, when it was kept before. Raises `Refused` for any other."""
    match verdict:
        case Again(seq):
            return HTTPStatus.NO_CONTENT, _numbers(batch.epoch, seq)
        case Stale(epoch):
            stale = PermissionDenied(f"producer {batch.producer!r} has begun epoch {epoch} elsewhere")
            raise refused(HTTPStatus.FORBIDDEN, stale, {"producer-epoch": str(epoch)})
        case Gap(expected):
            gap = Aborted(f"batch {batch.seq} of producer {batch.producer!r} came before batch {expected}")
            numbers = {"producer-expected-seq": str(expected), "producer-received-seq": str(batch.seq)}
            raise refused(HTTPStatus.CONFLICT, gap, numbers)
        case BadStart():
            raise InvalidArgument(f"epoch {batch.epoch} of producer {batch.producer!r} begins with batch 0")


def _note(kept: KeptStream, batch: Addition) -> None:
    """Note the numbers of a batch that is kept."""
    notes, numbered = kept.notes, batch.numbered
    if batch.seq is not None:
        notes.seq = batch.seq
    if numbered is not None:
        note(notes.producers, numbered)
        if batch.closing:
            notes.closed_by = (numbered.producer, numbered.epoch, numbered.seq)
    kept.noted()
