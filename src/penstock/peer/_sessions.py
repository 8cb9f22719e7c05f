"""`Sessions`: the sessions of one peer, one after the other. Each of them may go on over several links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Final, Literal, Protocol

from penstock.errors import Cause, DeadlineExceeded, StatusError, Unavailable
from penstock.session import LastingSession
from penstock.streams import Bell

#: Seconds that a peer which is closed between two links waits for the next one. Otherwise its handlers at the other side go on
#: until the session has waited there for its whole time.
LEAVE_S: Final = 1.0
PeerState = Literal["connected", "reconnecting", "closed"]


class Connector(Protocol):
    """Makes the connection of a client again."""

    def look(self) -> None:
        """Begin to make a connection when the present session needs one. Called at each change of the sessions."""

    async def aclose(self) -> None:
        """End the attempts: the sessions have no connector any more. Safe to cancel."""


class Watcher(Protocol):
    """Looks after the sessions of a peer."""

    def look(self) -> None:
        """See to a change of the sessions."""


class Sessions:
    """The present session of a peer, its state, and what happens when it is lost.

    make: makes a session, which has no link yet.
    patience_s: so long after the loss of a connection a call waits for the next session; later ones fail at once.
    enter: called with each session that calls use from now on.
    renewal: renews the credentials of a client; None without a function that returns newer ones.
    connector: makes the connection again; None when a loss is the end. failure: why its last attempt has failed.
    now: the session that new calls use. leaving: those before it whose server shuts down, until what is open there has ended.
    closing: whether this side has begun to close.
    """

    def __init__(self, make: Callable[[], LastingSession], patience_s: float) -> None:
        self.make = make
        self.patience_s = patience_s
        self.enter: Callable[[LastingSession], None] = lambda _session: None
        self.connector: Connector | None = None
        self.renewal: Watcher | None = None
        self.closing = False
        self.failure = ""
        self._away_s: float | None = None  # the time since which no session takes calls
        self.changed = Bell()
        self.leaving: set[LastingSession] = set()
        self.now = make()

    def begin(self, session: LastingSession) -> None:
        """Let calls use this session. The one before, if there was one, is lost, or its server shuts down."""
        before, self.now = self.now, session
        session.on_change = lambda: self._see(session)
        session.closed.add_done_callback(lambda _closed: self._see_closed(session))
        self.enter(session)
        session.on_draining = partial(self._see_drain, session, session.on_draining)
        if before is not session and not before.closed.done():
            self.leaving.add(before)
            if not before.stream_count:
                before.close()
        self._see(session)

    def _see(self, session: LastingSession) -> None:
        """Note a change of a session: calls may go on, wait, or a new connection is to be made."""
        if session is self.now:
            if session.takes_calls and not session.detached:
                self._away_s, self.failure = None, ""
            elif self._away_s is None:
                self._away_s = session.loop.time()
            self.changed.notify()
            for watcher in (self.connector, self.renewal):
                if watcher is not None:
                    watcher.look()

    def _see_drain(self, session: LastingSession, tell: Callable[[], None]) -> None:
        tell()
        self._see(session)

    def _see_closed(self, session: LastingSession) -> None:
        self.leaving.discard(session)
        self.changed.notify()
        if self.connector is not None:
            self.connector.look()

    @property
    def state(self) -> PeerState:
        """See `Peer.state`."""
        if self.now.lost is not None:
            return "closed" if self.connector is None or self.closing else "reconnecting"
        return "reconnecting" if self.now.detached else "connected"

    @property
    def gone(self) -> bool:
        """Whether the last session is over."""
        return self.now.closed.done() and self.state == "closed" and not self.leaving

    async def wait_next(self, deadline: float | None) -> None:
        """Wait until a session takes calls, at most until a time of the loop's clock. Safe to cancel.

        Raises the error of the present one when no other one follows, `DeadlineExceeded`, and `Unavailable` when none has taken
        calls for `patience_s`.
        """
        while not self.now.takes_calls:
            self._check_hope()
            patient = (self._away_s or 0.0) + self.patience_s
            try:
                async with asyncio.timeout_at(patient if deadline is None else min(patient, deadline)):
                    await self.changed.wait()
            except TimeoutError:
                if deadline is not None and deadline <= patient:
                    why = f"the deadline passed before the connection to {self.now.remote} was made again"
                    raise DeadlineExceeded(why, started=False) from None
                raise self._still_away() from None

    async def wait_connected(self) -> None:
        """See `Peer.wait_connected`."""
        while not self.now.takes_calls or self.now.detached:
            self._check_hope()
            await self.changed.wait()

    async def wait_to_leave(self) -> None:
        """Wait at most `LEAVE_S` for a link over which the end of open streams can be told. Cancelling it ends the wait."""
        if self.now.detached and self.now.stream_count and self.connector is not None and not self.closing:
            with suppress(TimeoutError, StatusError):
                async with asyncio.timeout(LEAVE_S):
                    await self.wait_connected()

    def _check_hope(self) -> None:
        """Raise the error of a call that begins now when no other session follows."""
        if self.connector is None or self.closing:
            self.now.check_open()
            if not self.now.takes_calls:
                why = f"{self.now.remote} is draining and takes no new calls"
                raise Unavailable(why, cause=Cause.DRAINING, started=False).came_from(self.now.remote)

    def _still_away(self) -> Unavailable:
        seconds = self.now.loop.time() - (self._away_s or 0.0)
        what = "has begun to shut down" if self.now.lost is None else "was lost"
        why = f"the connection to {self.now.remote} {what} {seconds:.0f} s ago, and is not made again yet"
        return Unavailable(f"{why}: {self.failure}" if self.failure else why, cause=Cause.LOST, started=False)

    async def states(self) -> AsyncIterator[PeerState]:
        """See `Peer.states`."""
        shown = None
        while shown != "closed":
            if self.state == shown:
                await self.changed.wait()
            else:
                shown = self.state
                yield shown

    async def wait_gone(self) -> None:
        """Wait until the last session is over. Safe to cancel."""
        while not self.gone:
            await self.changed.wait()
