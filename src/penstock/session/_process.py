"""What all connections of one event loop hold together, and which of them is ended when that is too much.

An event loop stands for its process here: few processes have two, and each of those then has a budget of its own.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from functools import cache
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from penstock._per_loop import of_loop
from penstock.errors import Cause, ConnectionLost, ResourceExhausted, StatusError
from penstock.protocol import Budget, Process

log = logging.getLogger("penstock.session")

#: What a connection weighs by itself, measured: its objects, and after the handshake the memory into which it reads.
LINK_COST_BYTES: Final = 20 * 1024
READY_COST_BYTES: Final = 84 * 1024
#: A block of this size, made and dropped once, makes glibc keep up to twice as much freed memory. Without it the memory of each
#: large item goes back to the system and is faulted in again: 64 KiB items had half the rate (37,000 against 75,000 a second).
KEPT_HEAP_BYTES: Final = 16 * 1024 * 1024


@cache
def keep_the_heap() -> None:
    """Prepare the allocator of this process for large items, once. The block is never touched, so it costs microseconds."""
    bytearray(KEPT_HEAP_BYTES)


class Weighed(Protocol):
    """A session, as the crowd sees it. budget: all that it holds."""

    budget: Budget


class Crowd:
    """The sessions of one event loop that have, or had, a link. process: what they hold together."""

    def __init__(self) -> None:
        keep_the_heap()
        self._loop = weakref.ref(asyncio.get_running_loop())
        self.process = Process(self._relieve_soon)
        self._is_relieving = False
        self._weights: WeakKeyDictionary[Weighed, int] = WeakKeyDictionary()
        self._leaving: WeakSet[Weighed] = WeakSet()

    def join(self, budget: Budget) -> Budget:
        """Let a new connection share the bytes of the process; return its budget."""
        budget.process = self.process
        return budget

    def weigh(self, session: Weighed, weight: int) -> None:
        """Charge what a session weighs by itself from now on; 0 when it is over."""
        session.budget.take(weight - self._weights.pop(session, 0))
        if weight:
            self._weights[session] = weight
        else:
            self._leaving.discard(session)
        self.process.connections = len(self._weights)

    def sessions(self) -> list[Weighed]:
        """Return the sessions that are not over, in the order in which their connections were made."""
        return list(self._weights)

    def _relieve_soon(self, budget: Budget) -> None:
        loop = self._loop()
        if loop is not None and not self._is_relieving:
            self._is_relieving = True
            loop.call_soon(self._relieve, budget)

    def _relieve(self, budget: Budget) -> None:
        """End the connections that hold most, until the others hold no more than the process may: it holds more now.

        Those that were told to end are not over at once.
        """
        self._is_relieving = False
        leaving = sum(session.budget.held_bytes for session in self._leaving)
        while budget.process.held_bytes - leaving > budget.process_max_bytes:
            others = set(self._weights) - set(self._leaving)
            largest = max(others, key=lambda session: session.budget.held_bytes, default=None)
            if largest is None:
                return
            self._leaving.add(largest)
            leaving += largest.budget.held_bytes
            why = (
                f"all connections of this process hold {budget.process.held_bytes} bytes "
                f"(Settings.max_process_bytes is {budget.process_max_bytes}), and this one most of them"
            )
            _give_up(largest, ConnectionLost(why, cause=Cause.LOST))


def _give_up(session: Any, error: StatusError) -> None:
    """End a connection because of `error`, and say so to the other side, unless it reads nothing."""
    log.warning("connection to %s: given up: %s", session.remote, error.message)
    session._connection.drain(error.message, ResourceExhausted.code)
    session.flush()
    link = session.link
    if link is None:
        session._link_is_gone = True
    session.lose(error)
    if link is not None and session._paused:
        link.abort()
    elif link is not None:
        link.close()


def crowd() -> Crowd:
    """Return the sessions of the running event loop."""
    return of_loop("_penstock_sessions", Crowd)
