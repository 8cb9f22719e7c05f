"""A stream as events: any number of ``data``, then ``end`` or ``error``."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Literal, cast

import msgspec

from penstock._outcomes import named
from penstock.calls._stream import Stream
from penstock.errors import EndOfStream, StatusError, WrongThread
from penstock.streams import Converted, Demand, Statistics


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream with ``events=True``: any number of ``data``, then one ``end`` or ``error``.

    type: "data", "end" or "error".
    payload: the item of a data event; else None.
    error: the text of an error event; else None.
    id: the id of this event.
    correlation_id: the id that all events of one stream share.
    sender: the address of the actor.
    timestamp: when the event was made, in seconds since 1970.
    """

    type: Literal["data", "end", "error"]
    payload: Any = None
    error: str | None = None
    id: str
    correlation_id: str
    sender: str
    timestamp: float


class RefusedStream(Stream[Any]):
    """A stream that could not begin: receiving from it raises the error."""

    __slots__ = ("__weakref__", "_error", "target")

    def __init__(self, target: str, error: StatusError) -> None:
        self.target = target
        self._error = error

    def _take(self, max_items: int) -> list[Any]:
        raise self._error.fresh_copy()

    async def _readable(self) -> None: ...

    def _cancel_with(self, error: StatusError) -> None: ...

    async def aclose(self) -> None: ...

    def statistics(self) -> Statistics:
        return Statistics("failed", 0, 0, 0, 0, 0, 0)

    def _watch(self, on_change: Callable[[bool], None]) -> None: ...

    def __repr__(self) -> str:
        return f"<Stream {self.target} failed: {self._error}>"


class ConvertedStream(Converted[Any], Stream[Any]):
    """A stream of this process whose items are read as values of a type."""

    __slots__ = ("_stream", "target")

    def __init__(self, stream: Stream[Any], convert: Callable[[Any], Any]) -> None:
        super().__init__(stream, convert, lambda error: stream._cancel_with(cast("StatusError", error)))
        self._stream = stream
        self.target = stream.target

    def _cancel_with(self, error: StatusError) -> None:
        self._stream._cancel_with(error)


class EventStream(Stream[StreamEvent]):
    """The events of `stream`. An error becomes the last event, and is not raised. Leaving the loop cancels the call."""

    __slots__ = ("_correlation_id", "_number", "_over", "_sender", "_stream", "target")

    def __init__(self, stream: Stream[Any], sender: str) -> None:
        self.target = stream.target
        self._stream = stream
        self._sender = sender
        self._correlation_id = token_hex(8)
        self._number = 0
        self._over = False

    def _take(self, max_items: int) -> list[StreamEvent]:
        """Return the next items as events; once the stream is over, its last event, and then raise `EndOfStream`."""
        if self._over:
            raise EndOfStream
        try:
            return [self._event("data", payload=item) for item in self._stream._take(max_items)]
        except EndOfStream:
            self._over = True
            return [self._event("end")]
        except WrongThread:
            raise
        except Exception as error:  # noqa: BLE001 - any outcome of the stream becomes its last event
            self._over = True
            return [self._event("error", error=named(error))]

    async def _readable(self) -> None:
        await self._stream._readable()

    def _event(self, word: Literal["data", "end", "error"], **rest: Any) -> StreamEvent:
        self._number += 1
        return StreamEvent(
            type=word,
            id=f"{self._correlation_id}-{self._number}",
            correlation_id=self._correlation_id,
            sender=self._sender,
            timestamp=time.time(),
            **rest,
        )

    def _cancel_with(self, error: StatusError) -> None:
        self._stream._cancel_with(error)

    async def aclose(self) -> None:
        self._stream.cancel()
        self._over = True
        await self._stream.aclose()

    def statistics(self) -> Statistics:
        return self._stream.statistics()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._stream._watch(on_change)

    def _on_loop_left(self) -> None:
        self._stream.cancel()

    def _keep_ahead(self, items: int | None) -> None:
        self._stream._keep_ahead(items)

    def _follow(self) -> Demand | None:
        return self._stream._follow()

    def __repr__(self) -> str:
        return f"<events of {self._stream!r}>"
