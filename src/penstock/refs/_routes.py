"""The table of live connections by the event loop at their other side. It keeps no connection alive."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary, WeakSet

import msgspec

from penstock.calls import CallScope, Request
from penstock.errors import Unavailable
from penstock.refs._offers import RefLocation, offers
from penstock.refs._proof import begin_proof, guard_for, is_proven

#: How many connections that say one instance are asked for a proof at the same time: two exponentiations each. One that
#: proves it is enough, and a process may have a thousand connections to this one.
PROOFS_AT_ONCE: Final = 4


class _Routes(WeakSet[CallScope]):
    """The connections of one event loop whose other sides say one instance, or have said it: a client may move to another.

    proven: returns one that has proven it, and may be gone.
    """

    def __init__(self, instance: bytes) -> None:
        super().__init__()
        self.instance = instance
        self.proven: Callable[[], CallScope | None] = lambda: None
        self._unasked: WeakKeyDictionary[CallScope, None] = WeakKeyDictionary()
        self._under_way = 0

    def enter(self, scope: CallScope) -> None:
        """Add a connection."""
        self.add(scope)
        self._unasked[scope] = None

    def is_alive(self, scope: CallScope) -> bool:
        """Whether a connection leads to the instance, or may lead there again."""
        return scope.session.lost is None and not scope.closing and scope.instance == self.instance

    def is_up(self, scope: CallScope) -> bool:
        """Whether it leads there now."""
        return self.is_alive(scope) and scope.session.link is not None

    def proven_now(self) -> CallScope | None:
        """Return the connection whose present session has proven the instance; None without one that is up."""
        scope = self.proven()
        return scope if scope is not None and self.is_up(scope) and is_proven(scope) else None

    def look(self) -> None:
        """Have connections proven, some at a time, until one of them is."""
        if self.proven_now() is not None:
            return
        while self._unasked and self._under_way < PROOFS_AT_ONCE:
            scope, _none = self._unasked.popitem()  # the newest first: older ones may be dead already
            if not self.is_alive(scope):
                continue
            outcome = begin_proof(scope)
            if isinstance(outcome, asyncio.Task):
                self._under_way += 1
                outcome.add_done_callback(partial(self._answered, weakref.ref(scope)))
            elif outcome:
                self.proven = weakref.ref(scope)
                return

    def _answered(self, forgettable: weakref.ref[CallScope], _task: object) -> None:
        self._under_way -= 1
        scope = forgettable()
        if scope is not None and is_proven(scope):
            self.proven = forgettable
        self.look()


_ROUTES: Final[dict[tuple[int, bytes], _Routes]] = {}


def register_route(scope: CallScope) -> None:
    """Enter a connection after its handshake, until it is gone: it leads to the event loop at its other side."""
    if not scope.instance:
        return
    key = id(scope.session.loop), scope.instance
    routes = _ROUTES.setdefault(key, _Routes(scope.instance))
    routes.enter(scope)
    if len(routes) > 1 and scope.instance != offers().instance:  # one of them may not be what it says
        routes.look()
    forgettable = weakref.ref(scope)
    scope.session.closed.add_done_callback(lambda _closed: _forget_route(key, routes, forgettable()))


def _forget_route(key: tuple[int, bytes], routes: _Routes, scope: CallScope | None) -> None:
    if scope is not None:
        routes.discard(scope)
    if not routes and _ROUTES.get(key) is routes:
        del _ROUTES[key]


def find_route(instance: bytes) -> CallScope | None:
    """Return a live connection to the event loop with this id; None when there is none.

    One that has a link is taken before one that may get another (PROTOCOL.md §9), and of these a proven one. A connection that
    failed to prove its instance does not count.
    """
    routes = _ROUTES.get((id(asyncio.get_running_loop()), instance))
    if routes is None:
        return None
    proven = routes.proven_now()
    if proven is not None:
        return proven
    best, best_rank = None, (False, False)
    for scope in routes:
        if routes.is_alive(scope):
            outcome = is_proven(scope)
            rank = scope.session.link is not None, outcome is True
            if all(rank):
                routes.proven = weakref.ref(scope)
                return scope
            if outcome is not False and (best is None or rank > best_rank):
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
