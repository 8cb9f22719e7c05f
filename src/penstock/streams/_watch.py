"""Back-pressure told on its edges: when a producer has to wait, and when it can go on. This module never looks at a clock."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from penstock.streams._abc import Sink, Source

T = TypeVar("T")
Watched = TypeVar("Watched", bound="AsyncIterable[object] | Sink[Any]")


class Pressure:
    """Who wants to know about the edges of one stream. State: paused or not; told only when it changes."""

    __slots__ = ("_paused", "_watchers")

    def __init__(self) -> None:
        self._paused = False
        self._watchers: list[Callable[[bool], None]] = []

    def watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change(paused)` at every edge from now on."""
        self._watchers.append(on_change)

    def set(self, paused: bool) -> None:  # noqa: FBT001 - it is the state itself, not an option
        """Tell the watchers, if this is an edge."""
        if paused != self._paused:
            self._paused = paused
            for on_change in tuple(self._watchers):
                on_change(paused)


#: The sink that the generator of the running handler feeds; set by whoever drives that generator.
feeding: ContextVar[Sink[Any] | None] = ContextVar("penstock_feeding", default=None)


def watch_backpressure(source: Watched, on_change: Callable[[bool], None]) -> Watched:
    """Call `on_change(paused)` whenever back-pressure starts or ends, and return `source` itself.

    `source` is a `Source` or a `Sink`: `on_change(True)` is called when a sender has to wait for the consumer,
    `on_change(False)` when it can go on. Inside a streaming handler any async iterable may be given, and the edges are those
    of the stream that the handler feeds::

        async def watch(self) -> AsyncIterator[Price]:
            async for price in penstock.watch_backpressure(self.prices(), self.on_pressure):
                yield price

    Called on the event loop, at the real edges, never by a clock; it must not raise. Raises `TypeError` for something that
    is no stream, outside a handler.
    """
    stream: Source[Any] | Sink[Any] | None = source if hasattr(source, "_watch") else feeding.get()  # type: ignore[assignment]
    if stream is None:
        raise TypeError(f"{type(source).__name__} is no Source or Sink, and no streaming handler is running here")
    stream._watch(on_change)
    return source
