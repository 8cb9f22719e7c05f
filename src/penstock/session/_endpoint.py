"""The two sides of a stream: `Endpoint` gets its events, `Carrier` sends its frames.

A session calls the methods of an endpoint on its event loop, one event at a time. They must not raise and must not wait.
"""

from __future__ import annotations

import asyncio
import weakref
from abc import abstractmethod
from typing import Any, Final, Protocol

from penstock.errors import StatusError
from penstock.protocol import Accept, Cancel, Connection, Hello, Settings, Status, WireStream


class Endpoint:
    """Gets the events of a stream. Each method ignores its event unless a subclass overrides it."""

    __slots__ = ()

    def on_accepted(self, accept: Accept) -> None:
        """The callee has sent `ACCEPT`."""

    def on_items(self) -> None:
        """A batch has arrived in the receiving half."""

    def on_room(self) -> None:
        """The peer has given credit: more items may be sent."""

    def on_ended(self, status: Status | None) -> None:
        """The peer's direction has ended: normally when `status` is None, else with that outcome."""

    def on_half_closed(self) -> None:
        """The callee's items have ended; `on_ended` follows with the outcome of the call."""

    def on_closed(self, reason: str) -> None:
        """The caller has ended its items and closed the call normally. By default this is treated as a cancellation."""
        self.on_cancelled(Cancel(message=reason))

    def on_stop_sending(self, cancel: Cancel) -> None:
        """The callee takes no more items; its own items may still arrive."""

    def on_cancelled(self, cancel: Cancel) -> None:
        """The caller has cancelled the call."""

    def on_lost(self, error: StatusError) -> None:
        """The connection is gone; `error` is the outcome of the stream."""


class WeakEndpoint(Endpoint):
    """Passes every event on to `target` for as long as the program holds `target`.

    A session that held a stream itself would keep it alive after the program has dropped it, and the call would go on.
    """

    __slots__ = ("_target",)

    def __init__(self, target: Endpoint) -> None:
        self._target = weakref.ref(target)

    def on_accepted(self, accept: Accept) -> None:
        target = self._target()
        if target is not None:
            target.on_accepted(accept)

    def on_items(self) -> None:
        target = self._target()
        if target is not None:
            target.on_items()

    def on_room(self) -> None:
        target = self._target()
        if target is not None:
            target.on_room()

    def on_ended(self, status: Status | None) -> None:
        target = self._target()
        if target is not None:
            target.on_ended(status)

    def on_half_closed(self) -> None:
        target = self._target()
        if target is not None:
            target.on_half_closed()

    def on_closed(self, reason: str) -> None:
        target = self._target()
        if target is not None:
            target.on_closed(reason)

    def on_stop_sending(self, cancel: Cancel) -> None:
        target = self._target()
        if target is not None:
            target.on_stop_sending(cancel)

    def on_cancelled(self, cancel: Cancel) -> None:
        target = self._target()
        if target is not None:
            target.on_cancelled(cancel)

    def on_lost(self, error: StatusError) -> None:
        target = self._target()
        if target is not None:
            target.on_lost(error)


#: The endpoint of a stream without an owner: it ignores every event.
NULL_ENDPOINT: Final = Endpoint()


class Carrier(Protocol):
    """A session, as the ends of its streams see it: it carries their frames.

    thread: the id of the thread of `loop`.
    lost: the error that ended the connection; None until then.
    waiting_sinks: the sinks whose next item waits for a write.
    unary_calls: unary calls of this side without an answer.
    unary_answers: unary calls of the other side without an answer.
    """

    loop: asyncio.AbstractEventLoop
    thread: int
    lost: StatusError | None
    settings: Settings
    waiting_sinks: dict[Any, None]
    unary_calls: int
    unary_answers: int
    _connection: Connection

    @property
    @abstractmethod
    def hello(self) -> Hello | None:
        """The `HELLO` of the other side; None before the handshake."""

    @property
    @abstractmethod
    def remote(self) -> str:
        """The address of the other side."""

    @abstractmethod
    def flush(self) -> None:
        """Write the queued frames, as far as the link takes them."""

    @abstractmethod
    def flush_soon(self) -> None:
        """Write at the end of this turn of the loop."""

    @abstractmethod
    def flush_for(self, calls: int) -> None:
        """Write a frame of a unary call while `calls` such calls are open: at once for a lone call, else with the others."""

    @abstractmethod
    async def wait_written(self) -> None:
        """Wait until all queued frames were handed to the link."""

    @abstractmethod
    def touch(self, stream: WireStream) -> None:
        """Put a stream that has frames to send in line, and write at the end of this turn."""
