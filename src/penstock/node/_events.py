"""The events of a query: those in the history, then those that are recorded from now on, until the node has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from msgspec import structs

from penstock.actors import ActorInfo
from penstock.errors import PenstockError, Unavailable, WouldBlock
from penstock.history import EVENTS_MAX, History, HistoryEvent
from penstock.node._lookup import RecordedActor
from penstock.node._types import EventQuery
from penstock.streams import Source

#: Events that are read from the history at a time.
ANSWER_EVENTS_MAX: Final = 500
#: How long the history is searched for the message that an actor is handling.
LOOK_S: Final = 1.0


async def handling_since(history: History, info: ActorInfo) -> float | None:
    """Return when an actor began with its current message, in seconds since 1970.

    None when the history does not have it, cannot be read, or takes longer than `LOOK_S`.
    """
    try:
        async with asyncio.timeout(LOOK_S):
            messages = await history.events(info.address, kinds=["message"], limit=1, last=True)
    except (TimeoutError, PenstockError):
        return None
    is_current = messages and (messages[0].data["n"], messages[0].data["type"]) == (info.messages, info.handling)
    return messages[0].time if is_current else None


async def events_of(
    history: History, recorded: RecordedActor, query: EventQuery, ended: asyncio.Event
) -> AsyncIterator[list[HistoryEvent]]:
    """Iterate over lists of the events of an actor that match `query`.

    A query that follows goes on until `ended` is set; then come the events up to the end, and then `Unavailable`. For an actor
    that was named by its id, it ends where another actor got the name.
    """
    following, end = history.next_offset, await recorded.end(history)
    bounds = [each for each in (query.until, end) if each is not None]
    query = structs.replace(query, since=max(query.since, recorded.begin or 0), until=min(bounds, default=None))
    async for page in _recorded(history, recorded.address, query):
        if page:
            following = max(following, page[-1].offset + 1)
            yield page
    if query.follow and end is None:
        async for page in _live(history, recorded.address, query, max(query.since, following), ended):
            end = await recorded.end(history)
            yield page if end is None else [event for event in page if event.offset < end]
            if end is not None:
                return


async def _recorded(history: History, actor: str | None, query: EventQuery) -> AsyncIterator[list[HistoryEvent]]:
    """Iterate over pages of the events in the history. The last page may be empty."""
    since: int | None = query.since or None
    if query.last is not None:
        since = await _begin_of_last(history, actor, query)
        if since is None:
            return
    while True:
        page = await _page(history, actor, query, since, limit=ANSWER_EVENTS_MAX)
        yield page
        if len(page) < ANSWER_EVENTS_MAX:
            return
        since = page[-1].offset + 1


async def _begin_of_last(history: History, actor: str | None, query: EventQuery) -> int | None:
    """Return the offset of the first of the last ``query.last`` events, None when there are none."""
    begin: int | None = None
    missing = query.last or 0
    while missing:
        earlier = query if begin is None else structs.replace(query, until=begin)
        page = await _page(history, actor, earlier, query.since or None, limit=min(missing, EVENTS_MAX), last=True)
        missing = missing - len(page) if len(page) == min(missing, EVENTS_MAX) else 0
        begin = page[0].offset if page else begin
    return begin


async def _page(
    history: History, actor: str | None, query: EventQuery, since: int | None, *, limit: int, last: bool = False
) -> list[HistoryEvent]:
    """Ask the history for one page of a query."""
    return await history.events(
        actor,
        kinds=query.kinds or None,
        since=since,
        until=query.until,
        after=query.after or None,
        before=query.before,
        search=query.search or None,
        limit=limit,
        last=last,
    )


async def _live(
    history: History, actor: str | None, query: EventQuery, since: int, ended: asyncio.Event
) -> AsyncIterator[list[HistoryEvent]]:
    """Iterate over the events that are recorded from offset `since` on, to the end of the node. Raises `Unavailable` there."""
    kinds, search = query.kinds or None, query.search or None
    place, over = since, asyncio.ensure_future(ended.wait())
    try:
        async with history.stream(actor, since=since, kinds=kinds, search=search) as source:
            while page := await _next(source, over):
                yield page
                place = page[-1].offset + 1
    finally:
        over.cancel()
    async with history.stream(actor, since=place, kinds=kinds, search=search, follow=False) as rest:
        async for page in rest.batches(ANSWER_EVENTS_MAX):
            yield page
    raise Unavailable("the node has stopped")


async def _next(source: Source[HistoryEvent], over: asyncio.Future[Any]) -> list[HistoryEvent]:
    """Return the next events, an empty list when `over` is done first. Cancelling it loses no event."""
    first: asyncio.Future[Any] = asyncio.ensure_future(source.receive())
    try:
        await asyncio.wait({first, over}, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            return []
        events = [first.result()]
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    with suppress(WouldBlock):
        while len(events) < ANSWER_EVENTS_MAX:
            events.append(source.receive_nowait())
    return events
