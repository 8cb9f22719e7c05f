"""`ON_STREAM`: how each event of a stream reaches its endpoint. The events of the connection itself belong to the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from penstock.protocol import events as ev
from penstock.session._endpoint import NULL_ENDPOINT


def _ended(_session: object, event: ev.Ended) -> None:
    endpoint = event.stream.endpoint
    if event.stream.over and not event.stream.callee:
        event.stream.endpoint = NULL_ENDPOINT  # without this, each call is a reference cycle
    endpoint.on_ended(event.status)


def _cancelled(_session: object, event: ev.CallCancelled) -> None:
    endpoint, event.stream.endpoint = event.stream.endpoint, NULL_ENDPOINT
    endpoint.on_cancelled(event.cancel)


def _closed(_session: object, event: ev.Closed) -> None:
    endpoint, event.stream.endpoint = event.stream.endpoint, NULL_ENDPOINT
    endpoint.on_closed(event.reason)


#: Each function is called with the session, which it does not need, and the event: one table has the events of both.
ON_STREAM: Final[dict[type[ev.Event], Callable[[Any, Any], None]]] = {
    ev.Accepted: lambda _session, event: event.stream.endpoint.on_accepted(event.accept),
    ev.ItemsArrived: lambda _session, event: event.stream.endpoint.on_items(),
    ev.RoomMade: lambda _session, event: event.stream.endpoint.on_room(),
    ev.Ended: _ended,
    ev.HalfClosed: lambda _session, event: event.stream.endpoint.on_half_closed(),
    ev.Closed: _closed,
    ev.StopSending: lambda _session, event: event.stream.endpoint.on_stop_sending(event.cancel),
    ev.CallCancelled: _cancelled,
}
