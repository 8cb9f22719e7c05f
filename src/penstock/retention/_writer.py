"""The task that sends the items of an iterable into a retained stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextvars import Context, copy_context
from typing import Any

from penstock._outcomes import as_failure, ends_the_loop, log_error
from penstock.calls import leave_call
from penstock.errors import StreamCancelled, StreamClosed
from penstock.retention._stream import Retained
from penstock.streams import close_iterator

_log = logging.getLogger("penstock.retained")

#: What writes a stream: an iterable, or a function that gets the offset of the next item and returns one.
Items = AsyncIterable[Any] | Iterable[Any] | Callable[[int], AsyncIterable[Any] | Iterable[Any]]


def context_of_writer() -> Context:
    """Return the context of a writer: that of its maker, but outside of the call which that handles, and which ends sooner."""
    context = copy_context()
    context.run(leave_call)
    return context


async def write(stream: Retained[Any], items: Items) -> None:
    """Send all items, and end the stream as they end: normally, or with their error.

    A durable stream whose writer is cancelled stays open, also when the writer swallows that: most often its event loop ends,
    and the next run goes on with it.
    """
    of, task = f"the writer of stream {stream.name!r}", asyncio.current_task()
    error: BaseException | None = None
    try:
        await _send_all(stream, items(stream.next_offset) if callable(items) else items)
    except BaseException as raised:
        error = raised
        if ends_the_loop(raised):
            stream.fail(as_failure(raised, of))
            raise
    cancelled = task is not None and task.cancelling() > 0
    if stream.statistics().state != "open":
        if isinstance(error, Exception) and not isinstance(error, StreamClosed | StreamCancelled):
            log_error(_log, error, "%s raised after the stream had ended", of)
    elif not (cancelled and stream._kept.waits_for_writer()):
        if error is None and not cancelled:
            stream.close()
        else:
            stream.fail(as_failure(error or asyncio.CancelledError(), of))
    error = None  # it holds this frame


async def _send_all(stream: Retained[Any], items: AsyncIterable[Any] | Iterable[Any]) -> None:
    if not isinstance(items, AsyncIterable):
        for item in items:
            await stream._put(item)
        return
    iterator: AsyncIterator[Any] = aiter(items)
    try:
        async for item in iterator:
            await stream._put(item)
            del item  # the next one may be long in coming
    finally:
        await close_iterator(iterator)
        if items is not iterator:
            await close_iterator(items)
