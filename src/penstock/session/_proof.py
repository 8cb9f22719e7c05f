"""`Proof`: the proven identity of the client of a session, its end, and the credentials that a client shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.errors import StatusError
from penstock.protocol import Hello


class Proof:
    """How the client of a session is known to its server.

    session: a `Session`, which this module cannot name.
    principal: at a server, the proven identity of the client; None without a proof.
    introduced: at a server that decides about its clients, called with the `HELLO` of this one; None at any other.
    refusal: at a client, why the server has refused the last link; None when it has not.
    """

    __slots__ = ("_end", "_ends_s", "_session", "_timer", "introduced", "principal", "refusal")

    def __init__(self, session: Any) -> None:
        self.principal: Any = None
        self.introduced: Callable[[Hello], object] | None = None
        self.refusal: StatusError | None = None
        self._session = session
        self._ends_s: float | None = None
        self._end: StatusError | None = None
        self._timer: asyncio.TimerHandle | None = None

    # ── of a client ───────────────────────────────────────────────────────────────────────────────────────────────────

    def show(self, credentials: str) -> None:
        """Show these credentials to the server, on the next link and on those after it."""
        self._session._connection.links.introduction.present(credentials)

    @property
    def valid_s(self) -> float | None:
        """For how long the server takes the credentials that were shown over the present link; None for no end."""
        return self._session._connection.links.introduction.valid_ms / 1000 or None

    # ── of a server ───────────────────────────────────────────────────────────────────────────────────────────────────

    def wait(self, introduced: Callable[[Hello], object]) -> None:
        """Decide about the client, which then introduces itself: `greet` or `refuse` goes on. The session has no link yet."""
        self.introduced = introduced
        self._session._connection.links.introduction.wait()

    def begin(self, principal: Any, valid_s: float | None, end: StatusError | None) -> None:
        """Take this identity for so many seconds, None for no end: then the session ends with the error `end`."""
        self.forget()
        self.principal = principal
        if valid_s is not None and end is not None and self._session.lost is None:
            self._end = end
            self._ends_s = self._session.loop.time() + valid_s
            self._timer = self._session.loop.call_at(self._ends_s, self.refuse, end)

    def take_over(self, other: Proof) -> None:
        """Take the identity of the session over whose link this one goes on: it is the same one, proven anew."""
        left_s, end = other.remaining_s(), other._end
        other.forget()
        self.begin(other.principal, left_s, end)

    def remaining_s(self) -> float | None:
        """Return the seconds until the end of the proof; None for no end."""
        return None if self._ends_s is None else max(0.0, self._ends_s - self._session.loop.time())

    def remaining_ms(self) -> int:
        """Return the same as it travels: milliseconds, 0 for no end."""
        return self._session._connection.links.introduction.milliseconds(self.remaining_s())  # type: ignore[no-any-return]

    def greet(self) -> None:
        """Take the client that was introduced, whose identity is proven: say `HELLO`, and begin or go on with its session."""
        session = self._session
        if session.lost is None and session.link is not None:
            session._handle([session._connection.links.introduction.greet(self.remaining_s(), session._now())])
            session.flush()

    def refuse(self, error: StatusError) -> None:
        """End the session of a client that is not taken, or is taken no longer; the client is told why."""
        session = self._session
        if session.lost is not None:
            return
        if session.link is None:
            session.end(error)
            return
        session._connection.links.introduction.refuse(error.code, error.message)
        session.flush()
        session.lose(error)
        if session.link is not None:
            session.link.close()

    def forget(self) -> None:
        """Wait for the end no more: the session is over, or its client has proven its identity anew."""
        self._ends_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
