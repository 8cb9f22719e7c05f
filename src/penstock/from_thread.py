"""Reach an event loop from another thread: `run` a coroutine function there, or `run_sync` a plain function, and wait for it.

::

    def read_sensor(sink, loop):                        # runs in a thread
        for value in driver:
            penstock.from_thread.run(sink.send, value, loop=loop)    # waits here while the pipe is full
        penstock.from_thread.run_sync(sink.close, loop=loop)

In a thread that a handler has started with `asyncio.to_thread`, `loop` is known and may be left out. A program without asyncio
gets a loop from `start_loop`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, Final, TypeVar

from penstock.calls import loop_here
from penstock.errors import FailedPrecondition, Unavailable, WrongThread

T = TypeVar("T")

__all__ = ["run", "run_sync", "start_loop"]

#: How often a thread that waits looks whether its event loop has been closed meanwhile.
LOOP_CHECK_S: Final = 1.0


def run(async_function: Callable[..., Awaitable[T]], *args: Any, loop: asyncio.AbstractEventLoop | None = None) -> T:
    """Run ``await async_function(*args)`` on an event loop, from another thread, and return its result.

    loop: the event loop; by default that of the handler which has started this thread with `asyncio.to_thread`.

    The function runs in a task of its own, with the context variables of this thread. It raises what the function raises,
    `WrongThread` on the thread of the loop itself, `FailedPrecondition` without a known loop, and `Unavailable` when the loop
    is closed. An interrupt of the waiting thread cancels the task.
    """

    async def work() -> T:
        return await async_function(*args)

    def begin(result: Future[T]) -> None:
        task = asyncio.ensure_future(work())
        asyncio.futures._chain_future(task, result)  # type: ignore[attr-defined]

    return _wait(begin, loop)


def run_sync(function: Callable[..., T], *args: Any, loop: asyncio.AbstractEventLoop | None = None) -> T:
    """Call ``function(*args)`` on an event loop, from another thread, and return its result. As `run` in all else.

    A call that the loop has not begun when the waiting thread is interrupted is left out.
    """

    def begin(result: Future[T]) -> None:
        if not result.set_running_or_notify_cancel():
            return
        try:
            result.set_result(function(*args))
        except BaseException as error:
            result.set_exception(error)
            if isinstance(error, SystemExit | KeyboardInterrupt):  # they end the loop, as they do in a task
                raise

    return _wait(begin, loop)


@contextmanager
def start_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own, for a program without asyncio.

    The context manager gives the loop, for `run`. Leaving its block cancels the tasks of the loop, waits for their clean-up,
    and ends the thread.
    """
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        over = asyncio.Event()
        ready.set_result((asyncio.get_running_loop(), over))
        await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="penstock-loop")
    thread.start()
    loop, over = ready.result()
    try:
        yield loop
    finally:
        with suppress(RuntimeError):  # it was closed
            loop.call_soon_threadsafe(over.set)
        thread.join()


def _wait(begin: Callable[[Future[T]], None], loop: asyncio.AbstractEventLoop | None) -> T:
    """Have `begin` called on the loop with the future of the result; wait for that."""
    loop = loop or loop_here()
    if loop is None:
        raise FailedPrecondition("no event loop is known in this thread; give it: from_thread.run(..., loop=loop)")
    if asyncio._get_running_loop() is loop:
        raise WrongThread("this is the thread of the event loop itself, which would wait for ever; call it without from_thread")
    result: Future[T] = Future()
    try:
        loop.call_soon_threadsafe(begin, result, context=copy_context())
    except RuntimeError:
        raise Unavailable("the event loop is closed") from None
    try:
        while True:
            with suppress(TimeoutError):
                return result.result(LOOP_CHECK_S)
            if result.done():
                return result.result()  # the function itself raised a time-out
            if loop.is_closed():
                result.set_exception(Unavailable("the event loop was closed before the work was done"))
    except BaseException:
        result.cancel()
        raise
