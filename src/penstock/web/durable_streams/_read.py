"""ReadWish over HTTP: what is there, or, by a long poll, what comes next."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from http import HTTPStatus
from time import time
from typing import Any, Final, NamedTuple

import msgspec

from penstock.errors import InvalidArgument
from penstock.retention import HttpReader, KeptStream, Retained, page_of
from penstock.web._http import HttpRequest
from penstock.web._response import HttpResponse
from penstock.web.durable_streams._items import body_of, content_type_of
from penstock.web.durable_streams._offsets import NOW, START, Position, parsed
from penstock.web.durable_streams._seen import check_there, is_closed, lineage, resolved, tail_headers
from penstock.web.durable_streams._settings import StreamsOverHttp

#: Cursors count these intervals from this moment, as the protocol has it: a cache keeps the responses of one interval apart.
CURSOR_S: Final = 20
CURSOR_BEGIN: Final = 1_728_432_000
CURSOR_JITTER_MAX_S: Final = 3_600
CURSOR_DIGITS_MAX: Final = 15


class ReadWish(NamedTuple):
    """A request to read. live: "", "long-poll" or "sse"."""

    place: Position
    live: str
    cursor: str
    start: str


def reading_in(request: HttpRequest) -> ReadWish:
    """Return what a request wants to read. Raises `InvalidArgument`."""
    query = request.query()
    offsets = [value for name, value in query if name == "offset"]
    live = next((value for name, value in query if name == "live"), "")
    cursor = next((value for name, value in query if name == "cursor"), "")
    if len(offsets) > 1:
        raise InvalidArgument("the query has more than one offset")
    if live and live not in {"long-poll", "sse"}:
        raise InvalidArgument(f'live is {live!r:.100}; it is "long-poll" or "sse"')
    last = request.headers.get("last-event-id", "") if live == "sse" else ""
    if live and not offsets and not last:
        raise InvalidArgument(f"live={live} needs an offset: {START} for all items, {NOW} for the next ones")
    start = last or (offsets[0] if offsets else START)
    try:
        return ReadWish(parsed(start), live, cursor, start)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


async def read(request: HttpRequest, stream: Retained[Any], reading: ReadWish, settings: StreamsOverHttp) -> HttpResponse:
    """Return the items from a place on, as many as a response may have; a long poll waits for one where there is none."""
    kept = stream._kept
    offset = resolved(kept, reading.place)
    if reading.live and offset == kept.readable_to and not is_closed(kept):
        request.watch()
        reader = HttpReader(kept, request.client, offset)
        await wait_beyond(reader.kept, offset, settings.long_poll_s)
        del reader
        check_there(stream)
    headers = {"content-type": content_type_of(kept), "cache-control": "no-cache"}
    if reading.live:
        headers["stream-cursor"] = cursor_after(reading.cursor)
    if reading.place.at == NOW and not reading.live:
        headers["cache-control"] = "no-store"
        return HttpResponse(HTTPStatus.OK, body_of([], kept), {**headers, **tail_headers(kept, offset)})
    items = await _items_from(kept, offset, settings.page_bytes)
    following = offset + len(items)
    headers |= tail_headers(kept, following)
    if reading.live and not items:
        return HttpResponse(HTTPStatus.NO_CONTENT, headers=headers)
    if "stream-up-to-date" not in headers:
        headers["cache-control"] = "private, max-age=60, stale-while-revalidate=300"
    end = f"{following}:c" if "stream-closed" in headers else following
    headers["etag"] = etag = f'"{lineage(kept)}:{kept.id.hex()[-8:]}:{offset}:{end}"'
    if request.headers.get("if-none-match") == etag:
        return HttpResponse(HTTPStatus.NOT_MODIFIED, headers={"etag": etag, "cache-control": headers["cache-control"]})
    return HttpResponse(HTTPStatus.OK, body_of(items, kept), headers)


async def _items_from(kept: KeptStream, offset: int, bytes_max: int) -> list[msgspec.Raw]:
    items: list[msgspec.Raw] = []
    size = 0
    while size < bytes_max:
        page = await page_of(kept, offset + len(items), bytes_max - size)
        if not page:
            break
        items += page
        size += sum(memoryview(item).nbytes for item in page)
    return items


async def wait_beyond(kept: KeptStream, offset: int, seconds: float) -> bool:
    """Wait until a stream has an item at `offset`, or has ended, `seconds` at most. Return whether it has. Safe to cancel."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while kept.readable_to <= offset and not kept.told:
                kept.check()
                await kept.bell.wait()
            return True
    return False


def cursor_after(given: str) -> str:
    """Return the cursor of a live response: the present interval, and always more than the one that the client has sent."""
    now = int(time() - CURSOR_BEGIN) // CURSOR_S
    if not given.isdecimal() or len(given) > CURSOR_DIGITS_MAX or int(given) < now:
        return str(now)
    return str(int(given) + max(1, -(-(1 + secrets.randbelow(CURSOR_JITTER_MAX_S)) // CURSOR_S)))
