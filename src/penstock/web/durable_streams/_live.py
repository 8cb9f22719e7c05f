"""Live readers by server-sent events: each gets the items that are there, and then those that come.

A reader that takes nothing costs one event, which waits for its connection; nothing is made for it until it has taken that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any, Final
from weakref import WeakKeyDictionary

from penstock.codec import JSON
from penstock.retention import HttpReader, KeptStream, Retained, page_of
from penstock.web._http import HttpRequest
from penstock.web._response import HttpResponse
from penstock.web._sse import EVENT_STREAM, KEEP_ALIVE, KEEP_ALIVE_S, sse_event
from penstock.web.durable_streams._items import event_data, is_json, is_text
from penstock.web.durable_streams._read import ReadWish, cursor_after, wait_beyond
from penstock.web.durable_streams._seen import closed_headers, failure_of, is_closed, offset_token, resolved
from penstock.web.durable_streams._settings import StreamsOverHttp

#: Bytes of the items of one event, about.
EVENT_BYTES: Final = 64 * 1024


class LiveReaders:
    """The live readers of all streams. Those at the end of a stream all get the same event, which is made once."""

    def __init__(self, settings: StreamsOverHttp) -> None:
        self._settings = settings
        self._made: WeakKeyDictionary[KeptStream, tuple[int, int, bytes]] = WeakKeyDictionary()

    def response(self, request: HttpRequest, stream: Retained[Any], reading: ReadWish) -> HttpResponse:
        """Return a response that goes on until the stream ends, or for `live_s`. Raises as `resolved`.

        A client that comes back by ``Last-Event-ID`` to the end of a stream gets status 204, at which an `EventSource` stops.
        """
        kept = stream._kept
        offset = resolved(kept, reading.place)
        if "last-event-id" in request.headers and is_closed(kept) and offset == kept.readable_to:
            return HttpResponse(HTTPStatus.NO_CONTENT, headers=closed_headers(kept))
        headers = {"content-type": EVENT_STREAM, "cache-control": "no-cache", "x-accel-buffering": "no"}
        if not is_json(kept) and not is_text(kept):
            headers["stream-sse-data-encoding"] = "base64"
        return HttpResponse(
            HTTPStatus.OK, self._events(HttpReader(kept, request.client, offset), cursor_after(reading.cursor)), headers
        )

    async def _events(self, reader: HttpReader, cursor: str) -> AsyncGenerator[bytes, None]:
        kept, offset = reader.kept, reader.reads_at
        clock = asyncio.get_running_loop().time
        end = clock() + self._settings.live_s
        told = -1  # the offset of the last control event
        while not kept.notes.deleted:
            following, event = await self._next(kept, offset)
            if following > offset or told != offset or is_closed(kept):
                offset = told = reader.reads_at = following
                yield event + self._control(kept, offset, cursor)
            if is_closed(kept) and offset == kept.readable_to:
                return
            if clock() >= end:
                return
            if offset == kept.readable_to and not await wait_beyond(kept, offset, min(KEEP_ALIVE_S, end - clock())):
                yield KEEP_ALIVE

    async def _next(self, kept: KeptStream, offset: int) -> tuple[int, bytes]:
        """Return the next event with items, and the offset behind them; none where there are no items yet."""
        made = self._made.get(kept)
        if made is not None and made[0] == offset and offset < made[1]:
            return made[1:]
        items = await page_of(kept, offset, EVENT_BYTES)
        if not items:
            return offset, b""
        following = offset + len(items)
        event = sse_event(event_data(items, kept), event="data", id=offset_token(kept, following))
        if following == kept.readable_to:
            self._made[kept] = (offset, following, event)
        return following, event

    def _control(self, kept: KeptStream, offset: int, cursor: str) -> bytes:
        control: dict[str, Any] = {"streamNextOffset": offset_token(kept, offset)}
        at_end = offset == kept.readable_to
        if at_end and is_closed(kept):
            control["streamClosed"] = True
            failure = failure_of(kept)
            if failure is not None:
                control["streamError"] = {"code": failure.code, "reason": failure.reason, "detail": failure.message}
        else:
            control["streamCursor"] = cursor
        if at_end:
            control["upToDate"] = True
        return sse_event(JSON.encode(control).decode(), event="control", id=offset_token(kept, offset))
