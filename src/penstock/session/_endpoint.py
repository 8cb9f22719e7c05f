"""The two seams of a stream: `Endpoint`, to which its events go, and `Carrier`, which carries its frames.

A session calls the methods of an endpoint on its event loop, one event at a time. They must not raise and must not wait.
"""

from __future__ import annotations

import asyncio
import weakref
from abc import abstractmethod
from typing import Any, Final, Protocol

from penstock.errors import StatusError
from penstock.protocol import Accept, Cancel, Connection, Settings, Status, WireStream


class Endpoint:
    """Learns what happens to a stream. Each method may be left as it is: it then ignores its event."""

    __slots__ = ()

    def on_accepted(self, accept: Accept) -> None:
        """Note that the callee has begun to work."""

    def on_items(self) -> None:
        """Note that a batch has arrived in the receiving half."""

    def on_room(self) -> None:
        """Note that more items may be sent."""

    def on_ended(self, status: Status | None) -> None:
        """Note that the peer's direction has ended: normally when `status` is None."""

    def on_half_closed(self) -> None:
        """Note that the callee's items have ended; `on_ended` follows with the outcome of the call."""

    def on_closed(self, reason: str) -> None:
        """Note that the caller has ended its items and closed the call normally. By default this is a cancellation."""
        self.on_cancelled(Cancel(message=reason))

    def on_stop_sending(self, cancel: Cancel) -> None:
        """Note that the callee wants no more items; its own may still come."""

    def on_cancelled(self, cancel: Cancel) -> None:
        """Note that the caller has given up the call."""

    def on_lost(self, error: StatusError) -> None:
        """Note that the connection is gone."""


class WeakEndpoint(Endpoint):
    """Passes every event on to `target` for as long as the program holds `target`.

    A session would otherwise keep each stream of a live connection alive, also one that the program has forgotten.
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


#: The endpoint of a stream that has no owner any more.
NULL_ENDPOINT: Final = Endpoint()


class Carrier(Protocol):
    """A session, as the ends of its streams see it: it carries their frames.

    waiting_sinks: sinks whose next item waits until something was written. unary_calls, unary_answers: calls of this side, and
    of the other side, that have no answer yet.
    """

    loop: asyncio.AbstractEventLoop
    settings: Settings
    waiting_sinks: dict[Any, None]
    unary_calls: int
    unary_answers: int
    _connection: Connection

    @abstractmethod
    def flush(self) -> None:
        """Write the queued frames, as far as the link takes them."""

    @abstractmethod
    def flush_soon(self) -> None:
        """Write at the end of this turn of the loop."""

    @abstractmethod
    def flush_for(self, calls: int) -> None:
        """Write for a unary call, of which `calls` are open: at once for a lone one, else with the others."""

    @abstractmethod
    def touch(self, stream: WireStream) -> None:
        """Put a stream that has frames to send in line, and write at the end of this turn."""
