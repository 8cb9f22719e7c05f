"""`Iteration`: a loop over a source, which an error, a time-out or a cancellation of one `anext` does not end.

An async generator brings the items, because it is the fastest way to do so; but a generator in which an exception was raised is
dead, and a dead one says that its items have ended. So an exception that leaves the generator puts a new one in its place, and
the next `anext` goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from penstock.errors import Busy, EndOfStream
from penstock.streams._thread import finalize_on

T_co = TypeVar("T_co", covariant=True)
Make = Callable[["InLoop[T_co]"], AsyncGenerator[T_co, None]]


#: What a generator of an `Iteration` yields before its first item.
READY: Final[Any] = object()


class InLoop(Generic[T_co]):
    """The context of the generators of an `Iteration`: `EndOfStream` ends the loop, any other error leaves it usable.

    The source is told, by `left`, when the loop is over: at its end, by `Iteration.aclose`, or when the program has dropped it.
    A task that was refused with `Busy` never had the source, so the source is not told.

    idle: the last generator has raised, and the next one is not made yet.
    """

    __slots__ = ("_iteration", "_left", "_loop", "_make", "idle")

    def __init__(self, iteration: Iteration[T_co], make: Make[T_co], left: Callable[[], None]) -> None:
        self._iteration = weakref.ref(iteration)  # a strong one would make each loop a reference cycle
        self._make = make
        self._left = left
        self._loop: asyncio.AbstractEventLoop | None = None
        self.idle = False

    def first(self) -> Awaitable[T_co]:
        """Return the first item of a new generator; the next ones come from the generator itself."""
        self._loop = asyncio.get_running_loop()
        self.idle = False
        items = self._make(self)
        try:  # noqa: SIM105 - `suppress` costs as much as the rest
            items.__anext__().send(
                None
            )  # as far as `READY`: a generator that has not begun dies in silence when it is cancelled
        except StopIteration:
            pass
        iteration = self._iteration()
        if iteration is not None:
            iteration.use(items, items.__anext__)
        return items.__anext__()

    def __enter__(self) -> None: ...

    def __exit__(self, cls: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        iteration = self._iteration()
        over = error is None or isinstance(error, EndOfStream | GeneratorExit)
        refused = isinstance(error, Busy)
        if iteration is not None and not over:
            iteration.use(None, self.first)
            self.idle = not refused
        elif not refused:
            self._left()
        return isinstance(error, EndOfStream)

    def leave(self) -> None:
        """Tell the source that the loop is over, unless a generator will."""
        if self.idle:
            self.idle = False
            self._left()

    def forget(self) -> None:
        """As `leave`, from a finaliser. On an event loop that has stopped, no work is left to end."""
        if self.idle and self._loop is not None and self._loop.is_running():
            finalize_on(self._loop, self.leave)


class _Next(Generic[T_co]):
    """The place for the ``__anext__`` of a generator: Python calls what is there, without a method of ours in between."""

    __slots__ = ("_next",)

    _next: Callable[[], Awaitable[T_co]]


class Iteration(_Next[T_co], AsyncIterator[T_co]):
    """A loop over a source: ``async for`` makes one, and so does `aiter`.

    `anext` returns the next item. It raises `StopAsyncIteration` at the normal end, and what ``receive`` of the source raises
    otherwise. An `anext` that was cancelled, or whose time-out has passed, takes no item: the next one returns it.

    A source makes it, with these two. make: returns a new generator of the items. Its body is ``with in_loop:``, and it yields
    `READY` before the first item. left: called when the loop is over.
    """

    __slots__ = ("__weakref__", "_in_loop", "_items")

    if TYPE_CHECKING:

        def __anext__(self) -> Awaitable[T_co]: ...
    else:
        __anext__ = _Next._next  # a method that calls it would cost more than the item

    def __init__(self, make: Make[T_co], left: Callable[[], None]) -> None:
        self._in_loop = InLoop(self, make, left)
        self._items: AsyncGenerator[T_co, None] | None = None
        self._next = self._in_loop.first

    def use(self, items: AsyncGenerator[T_co, None] | None, step: Callable[[], Awaitable[T_co]]) -> None:
        """Take the next item by `step`, which is that of the generator `items`, if there is one."""
        self._items, self._next = items, step

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """End the loop, as leaving it does: `anext` then raises `StopAsyncIteration`. Idempotent."""
        self._in_loop.leave()
        if self._items is not None:
            await self._items.aclose()
        else:
            self._next = _ended

    def __del__(self) -> None:
        self._in_loop.forget()


async def _ended() -> Any:
    raise StopAsyncIteration
