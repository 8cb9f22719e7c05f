"""The table of live connections by the event loop at their other side. It keeps no connection alive."""

from __future__ import annotations

import asyncio
import weakref
from typing import Final
from weakref import WeakSet

from penstock.calls import CallScope
from penstock.errors import Unavailable
from penstock.refs._offers import RefLocation

_ROUTES: Final[dict[bytes, WeakSet[CallScope]]] = {}


def register_route(scope: CallScope) -> None:
    """Enter a connection after its handshake, until it is gone: it leads to the event loop at its other side."""
    instance = scope.instance
    if not instance:
        return
    routes = _ROUTES.setdefault(instance, WeakSet())
    routes.add(scope)
    forgettable = weakref.ref(scope)
    scope.session.closed.add_done_callback(lambda _closed: _forget_route(instance, routes, forgettable()))


def _forget_route(instance: bytes, routes: WeakSet[CallScope], scope: CallScope | None) -> None:
    if scope is not None:
        routes.discard(scope)
    if not routes and _ROUTES.get(instance) is routes:
        del _ROUTES[instance]


def find_route(instance: bytes) -> CallScope | None:
    """Return a live connection to the event loop with this id; None when there is none."""
    loop = asyncio.get_running_loop()
    for scope in _ROUTES.get(instance, ()):
        if scope.session.loop is loop and scope.session.lost is None and not scope.closing:
            return scope
    return None


def route_to(location: RefLocation) -> CallScope:
    """Return a live connection to the event loop that offers the end of a stream. Raises `Unavailable` without one."""
    scope = find_route(location.instance)
    if scope is None:
        raise Unavailable(
            f"no live connection to the process that offers the end of a stream {location.short}; connect to the process that "
            "sent the ref before you use it",
            started=False,
        )
    return scope
