"""The table of live connections by the event loop at their other side. It keeps no connection alive."""

from __future__ import annotations

import asyncio
import weakref
from typing import Final
from weakref import WeakSet

import msgspec

from penstock.calls import CallScope, Request
from penstock.errors import Unavailable
from penstock.refs._offers import RefLocation, offers
from penstock.refs._proof import begin_proof, guard_for, is_proven

_ROUTES: Final[dict[bytes, WeakSet[CallScope]]] = {}


def register_route(scope: CallScope) -> None:
    """Enter a connection after its handshake, until it is gone: it leads to the event loop at its other side."""
    instance = scope.instance
    if not instance:
        return
    routes = _ROUTES.setdefault(instance, WeakSet())
    routes.add(scope)
    if len(routes) > 1 and instance != offers().instance:  # one of them may not be what it says
        for one in routes:
            if one.session.loop is scope.session.loop and one.session.lost is None:
                begin_proof(one)
    forgettable = weakref.ref(scope)
    scope.session.closed.add_done_callback(lambda _closed: _forget_route(instance, routes, forgettable()))


def _forget_route(instance: bytes, routes: WeakSet[CallScope], scope: CallScope | None) -> None:
    if scope is not None:
        routes.discard(scope)
    if not routes and _ROUTES.get(instance) is routes:
        del _ROUTES[instance]


def find_route(instance: bytes) -> CallScope | None:
    """Return a live connection to the event loop with this id; None when there is none.

    One that has a link is taken before one that may get another (PROTOCOL.md §9), and of these a proven one. A connection that
    failed to prove its instance does not count.
    """
    loop, best, best_rank = asyncio.get_running_loop(), None, (False, False)
    for scope in _ROUTES.get(instance, ()):
        if scope.session.loop is loop and scope.session.lost is None and not scope.closing:
            proven = is_proven(scope)
            rank = scope.session.link is not None, proven is True
            if all(rank):
                return scope
            if proven is not False and (best is None or rank > best_rank):
                best, best_rank = scope, rank
    return best


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


def guarded(scope: CallScope, request: Request) -> Request:
    """Return a request that reaches the other side of a connection only when it is the instance that it names."""
    guard = guard_for(scope, offers().instance)
    return request if guard is None else msgspec.structs.replace(request, guard=guard)
