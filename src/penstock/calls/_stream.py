"""The items of a call, as its caller holds them: `Stream`, wherever the callee is. It carries none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Generator
from typing import Any, Self, TypeVar

from penstock.errors import Cancelled, StatusError
from penstock.streams import Source

T = TypeVar("T")


class Stream(Source[T]):
    """The responses of a call: ``async for item in stream``. It has begun when you hold it.

    Leaving the loop in any way, ``async with``, `cancel`, `aclose` and forgetting the object all end the call: the callee's
    ``finally`` runs. To read in several steps, use `receive`. Raises what the call ended with: the callee's `StatusError`,
    `DeadlineExceeded`, `IdleTimeout`, `ConnectionLost`, `ActorStopped`; a loop that just ends is the normal end, and nothing
    else is.
    """

    __slots__ = ()

    #: What was called.
    target: str

    @staticmethod
    def of(responses: AsyncIterator[T]) -> Stream[T]:
        """Return `responses`, as a typed stub gave it, with its real type.

        ``Stream.of(prices.watch("AAPL")).batches()``: the class of a service says `AsyncIterator`, and so does a stub's type.
        Raises `TypeError` for anything else.
        """
        if not isinstance(responses, Stream):
            raise TypeError(f"{responses!r} is not the stream of a stub")
        return responses

    def __await__(self) -> Generator[Any, None, Self]:
        """Return itself, so that ``async for x in await stub.method()`` works where the service is written that way."""
        yield from ()  # awaiting it never waits
        return self

    def cancel(self) -> None:
        """Give up the call: the callee is told, what waits here is dropped. Idempotent."""
        self.give_up(Cancelled(f"{self.target}: the call was cancelled on this side"))

    @abstractmethod
    def give_up(self, error: StatusError) -> None:
        """As `cancel`, with `error` as what the consumer gets."""
