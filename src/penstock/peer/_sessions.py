"""`Sessions`: the sessions of one peer, one after the other. Each of them may go on over several links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from penstock.errors import Cause, DeadlineExceeded, Unavailable
from penstock.session import LastingSession
from penstock.streams import Bell

PeerState = Literal["connected", "reconnecting", "closed"]


class Sessions:
    """The present session of a peer, its state, and what happens when it is lost.

    make: makes a session, which has no link yet.
    patience_s: so long after the loss of a connection a call waits for the next session; later ones fail at once.
    enter: called with each session that calls use from now on.
    look: makes the connection again, and is called at each change; None when a loss is the end.
    stop: ends the attempts to make it again. failure: why the last of them has failed.
    closing: whether this side has begun to close.
    """

    def __init__(self, make: Callable[[], LastingSession], patience_s: float) -> None:
        self.make = make
        self.patience_s = patience_s
        self.enter: Callable[[LastingSession], None] = lambda _session: None
        self.look: Callable[[], None] | None = None
        self.stop: Callable[[], Awaitable[None]] | None = None
        self.closing = False
        self.failure = ""
        self._lost_s: float | None = None  # the time of the loss, until the connection is made again
        self.changed = Bell()
        self.now = make()

    def begin(self, session: LastingSession) -> None:
        """Let calls use this session: the one before, if there was one, is lost."""
        self.now = session
        session.on_change = lambda: self._see(session)
        self.enter(session)
        self._see(session)

    def _see(self, session: LastingSession) -> None:
        if session is self.now:
            if session.lost is None and not session.detached:
                self._lost_s, self.failure = None, ""
            elif self._lost_s is None:
                self._lost_s = session.loop.time()
            self.changed.notify()
            if self.look is not None:
                self.look()

    @property
    def state(self) -> PeerState:
        """See `Peer.state`."""
        if self.now.lost is not None:
            return "closed" if self.look is None or self.closing else "reconnecting"
        return "reconnecting" if self.now.detached else "connected"

    @property
    def gone(self) -> bool:
        """Whether the last session is over."""
        return self.now.closed.done() and self.state == "closed"

    async def wait_next(self, deadline: float | None) -> None:
        """Wait until the present session is not lost, at most until a time of the loop's clock. Safe to cancel.

        Raises the error of its loss when no other one follows, `DeadlineExceeded`, and `Unavailable` when the connection has
        been lost for `patience_s`.
        """
        while self.now.lost is not None:
            if self.state == "closed":
                self.now.check_open()
            patient = (self._lost_s or 0.0) + self.patience_s
            try:
                async with asyncio.timeout_at(patient if deadline is None else min(patient, deadline)):
                    await self.changed.wait()
            except TimeoutError:
                if deadline is not None and deadline <= patient:
                    why = f"the deadline passed before the connection to {self.now.remote} was made again"
                    raise DeadlineExceeded(why, started=False) from None
                raise self._still_lost() from None

    async def wait_connected(self) -> None:
        """See `Peer.wait_connected`."""
        while self.now.lost is not None or self.now.detached or self.now.peer_draining:
            if self.state == "closed":
                self.now.check_open()
            await self.changed.wait()

    def _still_lost(self) -> Unavailable:
        seconds = self.now.loop.time() - (self._lost_s or 0.0)
        why = f"the connection to {self.now.remote} was lost {seconds:.0f} s ago, and is not made again yet"
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
            await asyncio.shield(self.now.closed)
            if not self.gone:
                await self.changed.wait()
