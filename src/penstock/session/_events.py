"""`DISPATCH`: how each event of a stream reaches its endpoint, and each event of the connection its session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from penstock.errors import Cause, ConnectionLost
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


def _resume_asked(session: Any, event: ev.ResumeAsked) -> None:
    code, message = session.resume(event.hello)
    if code:
        session._connection.links.begin_new(code, message, session._now())
        session._on_ready()


def _introduced(session: Any, event: ev.Introduced) -> None:
    session.proof.introduced(event.hello)


def _draining(session: Any, _event: ev.Draining) -> None:
    session.takes_calls = False
    session.draining.set()
    session.on_draining()


def _left(session: Any, _event: ev.Left) -> None:
    session.lose(ConnectionLost(f"the connection to {session.remote} was lost: the other side closed it", cause=Cause.LOST))
    if session.link is not None:
        session.link.close()


#: Each function is called with the session, which the events of a stream do not need, and the event.
DISPATCH: Final[dict[type[ev.Event], Callable[[Any, Any], None]]] = {
    ev.Accepted: lambda _session, event: event.stream.endpoint.on_accepted(event.accept),
    ev.ItemsArrived: lambda _session, event: event.stream.endpoint.on_items(),
    ev.RoomMade: lambda _session, event: event.stream.endpoint.on_room(),
    ev.Ended: _ended,
    ev.HalfClosed: lambda _session, event: event.stream.endpoint.on_half_closed(),
    ev.Closed: _closed,
    ev.StopSending: lambda _session, event: event.stream.endpoint.on_stop_sending(event.cancel),
    ev.CallCancelled: _cancelled,
    ev.Ready: lambda session, _event: session._on_ready(),
    ev.Draining: _draining,
    ev.Introduced: _introduced,
    ev.ResumeAsked: _resume_asked,
    ev.WentOn: lambda session, _event: session._go_on(),
    ev.NotResumed: lambda session, event: session._on_not_resumed(event),
    ev.Confirmed: lambda session, _event: session._kept.confirm(session),
    ev.Silent: lambda session, _event: session._detach(),
    ev.Left: _left,
    ev.Failed: lambda session, event: session._on_failed(event),
}
