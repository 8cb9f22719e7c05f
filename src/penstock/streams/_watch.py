"""Callbacks at the edges of back-pressure: when a producer has to wait, and when it can continue."""

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
    """The watchers of one stream, and whether its producer is paused. They are called only when that changes."""

    __slots__ = ("_paused", "_watchers")

    def __init__(self, *, paused: bool = False) -> None:
        self._paused = paused
        self._watchers: list[Callable[[bool], None]] = []

    def watch(self, on_change: Callable[[bool], None]) -> None:
        """Call `on_change(paused)` at every change from now on."""
        self._watchers.append(on_change)

    def set(self, paused: bool) -> None:  # noqa: FBT001 - it is the state itself, not an option
        """Set whether the producer is paused, and call the watchers if that changed."""
        if paused != self._paused:
            self._paused = paused
            for on_change in tuple(self._watchers):
                on_change(paused)


#: The sink that the generator of the running handler feeds; set by the function that drives that generator.
feeding: ContextVar[Sink[Any] | None] = ContextVar("penstock_feeding", default=None)


def watch_backpressure(source: Watched, on_change: Callable[[bool], None]) -> Watched:
    """Call `on_change(paused)` whenever back-pressure starts or ends, and return `source` itself.

    `source` is a `Source` or a `Sink`: `on_change(True)` is called when a sender has to wait for the consumer, and
    `on_change(False)` when it can continue. Inside a streaming handler `source` may be any async iterable; the changes are then
    those of the stream that the handler feeds::

        async def watch(self) -> AsyncIterator[Price]:
            async for price in penstock.watch_backpressure(self.prices(), self.on_pressure):
                yield price

    `on_change` is called on the event loop, when the change happens, and must not raise. Raises `TypeError` outside a handler
    when `source` is neither a `Source` nor a `Sink`.
    """
    stream: Source[Any] | Sink[Any] | None = source if hasattr(source, "_watch") else feeding.get()  # type: ignore[assignment]
    if stream is None:
        raise TypeError(f"a {type(source).__name__} is neither a Source nor a Sink, and no streaming handler is running here")
    stream._watch(on_change)
    return source
