"""`Reconnect`, the rule by which a client makes its connection again, and `Reconnector`, which keeps it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Final

import msgspec

from penstock._fields import check_fields
from penstock._upkeep import upkeep
from penstock.errors import Cause, ConnectionLost, StatusError, Unauthenticated
from penstock.peer._sessions import Sessions
from penstock.session import LastingSession

log: Final = logging.getLogger("penstock.peer")

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Reconnect(msgspec.Struct, frozen=True, kw_only=True):
    """How a client makes a lost connection again: the times between its attempts, and when it stops.

    Before each attempt it waits a random time, at most as long as the connection has been away so far. So a client is back
    before the time of the loss has doubled, and a thousand clients of one server do not come back at once (full jitter:
    M. Brooker, "Exponential Backoff and Jitter", AWS 2015).

    first_s: the longest wait before the first attempt, in seconds.
    max_s: the longest wait before any other.
    attempts: so many in a row may fail; None, the default, sets no bound: the program's own block ends the attempts. Calls do
        not wait for all of them, see `connect`.

    Raises `ValueError`, with the name of the field, for a value out of its range. Give it to `connect`.
    """

    first_s: Seconds = 0.1
    max_s: Seconds = 5.0
    attempts: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def delay_s(self, away_s: float) -> float:
        """Return the seconds to wait before the next attempt, when the connection has been away for `away_s`."""
        return random.uniform(0, min(self.max_s, max(self.first_s, away_s)))  # noqa: S311


#: The policy of a program that names none.
RECONNECT: Final = Reconnect()

#: Sessions whose servers shut down, before no other one is begun: as many restarts within one grace time.
LEAVING_MAX: Final = 16

#: Refusals of the credentials after which a client stops that can have others: its token may have ended on the way, or may be
#: of a key that the server has just changed.
TOKENS_REFUSED_MAX: Final = 2

#: Connects a session to one URL, and waits until it is ready or goes on. Raises `Unavailable` when it does not.
Reach = Callable[[LastingSession], Awaitable[None]]


class Reconnector:
    """Makes the links of one client, one after the other. It has a task only while there is none.

    sessions: those of the peer. The present one goes on; when it cannot, a new one takes its place.
    policy: when to try, and how often.
    reaches: a function for each URL; they are tried in turn, beginning with the one that has answered last, at first `first`.
    renews: whether each attempt may show another token: then one that the server does not accept is not the end, but two are.

    The times between attempts begin anew after a connection that was of use: it has carried something of the session, or has
    lasted. A path that cuts right after each handshake, or a server that shuts down at once, is tried less and less often.
    """

    def __init__(
        self, sessions: Sessions, policy: Reconnect, reaches: Sequence[Reach], first: int = 0, *, renews: bool = False
    ) -> None:
        self._sessions = sessions
        self._policy = policy
        self._reaches = reaches
        self._at = first  # the URL that is tried next: after a loss, the one that has answered last
        self._task: asyncio.Task[None] | None = None
        self._refusals_max = TOKENS_REFUSED_MAX if renews else 1
        self._attempts = 0  # since a connection was of use …
        self._away_s = 0.0  # … and the seconds without a connection
        self._note_connected()
        sessions.connector = self
        self.look()

    def look(self) -> None:
        """Begin to try when no session takes calls, or the present one has no link, unless a task does already."""
        sessions = self._sessions
        session = sessions.now
        away = session.detached or not session.takes_calls
        if self._task is not None or sessions.connector is not self or not away or sessions.closing:
            return
        if session.lost is None and not session.detached:
            if len(sessions.leaving) >= LEAVING_MAX:
                return  # until one of them is over
            log.info("%s is shutting down; connecting to another server", session.remote)
            self._at = (self._at + 1) % len(self._reaches)
        else:
            log.warning("the connection to %s was lost; connecting again", session.remote)
        if self._was_of_use():
            self._attempts, self._away_s = 0, 0.0
        self._task = upkeep(session.loop.create_task(self._try()))

    def _note_connected(self) -> None:
        session = self._sessions.now
        self._connected = session.loop.time(), session.progress

    def _was_of_use(self) -> bool:
        session, (since_s, progress) = self._sessions.now, self._connected
        carried = session.progress > progress and not session.draining.is_set()
        return carried or session.loop.time() - since_s > self._policy.max_s

    async def _try(self) -> None:
        """Try until the session goes on, or a new one has taken its place."""
        loop = asyncio.get_running_loop()
        began_s, refusals, refusal = loop.time(), 0, None
        try:
            while refusals < self._refusals_max and (self._policy.attempts is None or self._attempts < self._policy.attempts):
                await _pause(loop, self._policy.delay_s(self._away_s + loop.time() - began_s))
                if self._sessions.closing:
                    return
                self._attempts += 1
                try:
                    await self._attempt(self._reaches[self._at])
                except StatusError as error:
                    refusal = error.fresh_copy() if isinstance(error, Unauthenticated) else None
                    refusals += refusal is not None
                    self._sessions.failure = error.message
                    self._at = (self._at + 1) % len(self._reaches)
                else:
                    self._note_connected()
                    self._away_s += loop.time() - began_s
                    log.info("connected to %s after %.1f s", self._sessions.now.remote, loop.time() - began_s)
                    return
            sessions = self._sessions
            why = f"{self._policy.attempts} attempts to make it again have failed, the last one because {sessions.failure}"
            lost = ConnectionLost(f"the connection to {sessions.now.remote} was lost: {why}", cause=Cause.LOST)
            self._give_up(refusal or lost)
        finally:
            self._task = None
            if self._sessions.now.spare is not None:
                self._sessions.now.spare.drop()
            self.look()  # the new link may be lost already

    async def _attempt(self, reach: Reach) -> None:
        sessions = self._sessions
        if sessions.now.detached:
            try:
                await reach(sessions.now)
            except StatusError:
                if sessions.now.lost is None or sessions.closing:
                    raise
            else:
                return
        if sessions.now.lost is not None:
            await asyncio.shield(sessions.now.closed)  # then all its streams, lanes and routes know
        session = sessions.make()
        session.on_ready = lambda: sessions.begin(session)
        spare = sessions.now.spare
        if spare is not None and spare.begin(session):
            return
        try:
            await reach(session)
        except BaseException:
            session.abort()
            raise

    def _give_up(self, error: StatusError) -> None:
        """Try no more: what is open ends with `error`, and so does each later call."""
        sessions = self._sessions
        log.error("%s is not connected again: %s", sessions.now.remote, error.message)
        sessions.connector = None
        if sessions.now.lost is not None:
            sessions.now.lost = error
        elif sessions.now.detached:
            sessions.now.end(error)
        sessions.changed.notify()

    async def aclose(self) -> None:
        """End the attempts. Safe to cancel."""
        self._sessions.connector = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._sessions.changed.notify()


async def _pause(loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
    """Wait for the next attempt. A program in which nothing else goes on waits for ever: see `upkeep`."""
    over = asyncio.Event()
    timer = loop.call_later(delay_s, upkeep(partial(over.set)))
    try:
        await over.wait()
    finally:
        timer.cancel()
