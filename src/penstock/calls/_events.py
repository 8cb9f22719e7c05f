"""A stream told as events: ``data``…, then ``end`` or ``error``. It holds no item."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Literal

import msgspec

from penstock.calls._stream import Stream
from penstock.errors import EndOfStream, StatusError
from penstock.streams import Statistics


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream that was asked for with ``events=True``: ``data``…, then ``end`` or ``error``.

    `payload` comes with data, `error` (a text) with an error; `correlation_id` links the events of one stream, `sender` is
    the address of the actor, `timestamp` in seconds since 1970.
    """

    type: Literal["data", "end", "error"]
    payload: Any = None
    error: str | None = None
    id: str
    correlation_id: str
    sender: str
    timestamp: float


class EventStream(Stream[StreamEvent]):
    """The events of `stream`: an error is the last of them, and is not raised. Leaving the loop ends the call."""

    __slots__ = ("_correlation_id", "_number", "_over", "_sender", "_stream", "target")

    def __init__(self, stream: Stream[Any], sender: str) -> None:
        self.target = stream.target
        self._stream = stream
        self._sender = sender
        self._correlation_id = token_hex(8)
        self._number = 0
        self._over = False

    def _take(self, max_items: int) -> list[StreamEvent]:
        if self._over:
            raise EndOfStream
        try:
            return [self._event("data", payload=item) for item in self._stream._take(max_items)]
        except EndOfStream:
            self._over = True
            return [self._event("end")]
        except Exception as error:  # noqa: BLE001 - whatever the stream ended with is told as its last event
            self._over = True
            return [self._event("error", error=f"{type(error).__name__}: {error}")]

    async def _readable(self) -> None:
        await self._stream._readable()

    def _event(self, kind: Literal["data", "end", "error"], **rest: Any) -> StreamEvent:
        self._number += 1
        return StreamEvent(
            type=kind,
            id=f"{self._correlation_id}-{self._number}",
            correlation_id=self._correlation_id,
            sender=self._sender,
            timestamp=time.time(),
            **rest,
        )

    def give_up(self, error: StatusError) -> None:
        self._stream.give_up(error)

    async def aclose(self) -> None:
        self._over = True
        await self._stream.aclose()

    def statistics(self) -> Statistics:
        return self._stream.statistics()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._stream._watch(on_change)

    def _on_loop_left(self) -> None:
        self._stream.cancel()

    def __repr__(self) -> str:
        return f"<events of {self._stream!r}>"
