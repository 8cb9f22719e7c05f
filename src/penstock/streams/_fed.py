"""`Fed`: any iterable as a source, pulled by a task of its own, so that no time-out of the reader reaches the iterable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Coroutine, Iterable
from contextvars import Context
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, Generic, TypeVar, cast

from penstock._outcomes import as_failure, ends_the_loop
from penstock.streams._abc import Source
from penstock.streams._pipe import PipeSink, PipeSource, PipeState

T = TypeVar("T")


class Fed(Generic[T]):
    """A pipe, and the task that sends it the items of an iterable. Await `aclose` at the end.

    `context` is that of the code of the iterable: of its owner, and not of its reader. `of` names the iterable in errors.

    source: brings the items, at most `buffer_size` of which are pulled ahead, and then the end or the error of the iterable.
    """

    __slots__ = ("_task", "source")

    def __init__(self, items: AsyncIterable[T] | Iterable[T], buffer_size: int, context: Context, of: str) -> None:
        shared: PipeState[T] = PipeState(buffer_size)
        self.source: Source[T] = PipeSource(shared)
        self._task = asyncio.get_running_loop().create_task(_feed(PipeSink(shared), items, of), context=context)

    async def aclose(self) -> None:
        """Close the source, and wait until the iterable is closed. Cancelling it leaves the iterable to close by itself."""
        await self.source.aclose()
        stop(self._task)
        await asyncio.wait([self._task])


def stop(feeding: asyncio.Task[None]) -> None:
    """Stop a task that feeds a closed sink once, because a second cancellation would interrupt the clean-up of its iterable.

    A task that has not begun is left alone: it finds its sink closed when it begins, and closes the iterable then.
    """
    if feeding.done() or feeding.cancelling():
        return
    if getcoroutinestate(cast("Coroutine[Any, Any, None]", feeding.get_coro())) != CORO_CREATED:
        feeding.cancel()


async def _feed(sink: PipeSink[T], items: AsyncIterable[T] | Iterable[T], of: str) -> None:
    try:
        await sink.feed(items)
    except BaseException as error:
        sink.fail(as_failure(error, of))  # it changes nothing when the reader has left
        if ends_the_loop(error):
            raise
    else:
        sink.close()
