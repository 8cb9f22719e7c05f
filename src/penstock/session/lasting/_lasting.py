"""`LastingSession`: a session that outlives its link, and goes on over the next one (PROTOCOL.md §9).

Between two links nothing is told to the streams, and nothing more is taken to be sent. The client makes the next link;
the server finds the session of a link that returns by its token (`KeptSessions`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.errors import Cancelled, Cause, ConnectionLost, StatusError, Unavailable
from penstock.protocol import Hello, Settings
from penstock.protocol import events as ev
from penstock.session._session import Session
from penstock.session._status import error_of_failure
from penstock.session.lasting._kept import KeptSessions
from penstock.session.lasting._spare import SpareLink, drop
from penstock.streams import Bell
from penstock.transports import Link


class LastingSession(Session):
    """A session whose streams go on after the loss of a link, when both sides keep it.

    keep_s: how long this side keeps it without a link; 0 for a session that ends with its link.
    kept: where the server finds it again; None at a client.

    `on_ready` is called when it is ready, before its first frame is handled; `on_change` when a link is lost, when the session
    goes on over another one, and when it is over. `proof` has the identity of the other side, the only one that may take it up.
    `servers`: at how many URLs a client may ask for it, before the answer of servers that do not have it counts.
    `spare`: the link over which that answer came, for the next session.
    """

    def __init__(
        self,
        role: str,
        settings: Settings,
        *,
        agent: str = "",
        instance: bytes = b"",
        keep_s: float,
        kept: KeptSessions[LastingSession] | None = None,
        servers: int = 1,
    ) -> None:
        self._token = b"" if kept is None else kept.new_token(self)
        super().__init__(role, settings, agent=agent, instance=instance, keep_s=keep_s, token=self._token)
        self._links = self._connection.links
        self._keep_s = keep_s
        self._kept = kept
        self._last_remote = super().remote
        self._patience: asyncio.TimerHandle | None = None  # it runs between two links
        self._changed = Bell()
        self._servers = servers
        self._refusals = 0
        self.spare: SpareLink | None = None
        self._protection: tuple[bool, object] = (False, None)  # whether the first link was encrypted, and its certificate
        self.on_ready: Callable[[], None] = lambda: None
        self.on_change: Callable[[], None] = lambda: None

    @staticmethod
    def table(settings: Settings) -> KeptSessions[LastingSession]:
        """Return an empty table of the sessions that a server keeps: together, they hold a quarter of what its process may."""
        return KeptSessions(settings.max_process_bytes // 4)

    @property
    def kept_bytes(self) -> int:
        """The bytes that this session holds for its peer."""
        return self.budget.held_bytes

    @property
    def progress(self) -> int:
        """How many bytes of both sides have arrived, as far as this side knows."""
        return self._links.progress

    @property
    def remote(self) -> str:
        """The address of the other side; that of the last link, between two links."""
        return super().remote if self.link is not None else self._last_remote

    @property
    def detached(self) -> bool:
        """Whether the session waits for another link, or for the other side's word that it goes on over it."""
        return self._patience is not None

    async def wait_up(self) -> None:
        """Wait until the link that was made carries the session. Safe to cancel: call `fail_attempt` or `abort` next.

        Raises `Unavailable` or `ConnectionLost` when the link is lost before, or when the server does not take the session up.
        """
        if not self.detached:
            await asyncio.shield(self.ready)
        while self.detached and self.link is not None:
            await self._changed.wait()
        if self.lost is not None:
            raise self.lost.fresh_copy()
        if self.link is None and self.proof.refusal is not None:
            raise self.proof.refusal.fresh_copy()
        if self.link is None:
            raise Unavailable(f"{self.remote} closed the connection at once", cause=Cause.LOST, started=False)

    # ── links ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def link_made(self, link: Link) -> None:
        if self.lost is not None:
            drop(link)
            return
        self.proof.refusal = None
        if self.detached:
            self._links.rejoin(self._now())
        self._paused = False
        super().link_made(link)

    def link_lost(self, error: Exception | None) -> None:
        if self._closing or self.lost is not None or not self._links.resumable:
            super().link_lost(error)
        elif self._kept is not None and not self._links.begun:
            tokens = self._kept.tokens(self)  # a client that has one of them may begin with it again
            super().link_lost(error)
            for token in tokens:
                self._kept.expect(token, self)
        else:
            self._detach()

    def fail_attempt(self) -> None:
        """Drop a link that was to carry the session on, and did not: the session waits for another one."""
        if self.detached:
            self._detach()

    def drop_link(self) -> None:
        """Abort the link, if there is one, and hear nothing of it any more."""
        link, self.link = self.link, None
        if link is not None:
            self._last_remote = link.remote
            drop(link)

    def _detach(self) -> None:
        """Wait for another link, for as long as both sides keep the session."""
        if self.lost is not None:
            return
        if self.draining.is_set():  # a side that shuts down takes no new connection
            self.end(ConnectionLost(f"the connection to {self.remote} was lost while a side shut down", cause=Cause.LOST))
            return
        self.drop_link()
        self._links.detach()
        self._connection.unread = False
        self._arm()
        if not self.detached:
            peer_keeps_s = (self.hello.keep_ms if self.hello is not None else 0) / 1000
            why = f"the connection to {self.remote} was lost, and did not return in time"
            gone = ConnectionLost(why, cause=Cause.LOST)
            self._patience = self.loop.call_later(min(self._keep_s, peer_keeps_s), self.end, gone)
            if self._kept is not None:
                self._kept.begin_to_wait(self)
        self._notify()

    def _go_on(self) -> None:
        """Go on over the link that was made."""
        self._refusals = 0
        self._end_patience()
        if self._kept is not None:
            self._kept.end_to_wait(self)
        self._arm()
        self.flush()
        self._notify()

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _notify(self) -> None:
        self._changed.notify()
        self.on_change()

    def drain(self, message: str) -> None:
        super().drain(message)
        if self.detached:
            self._detach()  # its client cannot return

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def end(self, error: StatusError) -> None:
        """End a session without a link, or one whose link leads nowhere: every stream ends with `error`."""
        self.drop_link()
        self._link_is_gone = True
        self.lose(error)

    def lose(self, error: StatusError) -> None:
        self._end_patience()
        self.proof.forget()
        if self._kept is not None:
            self._kept.forget(self)
        super().lose(error)
        self._notify()

    def close(self) -> None:
        if self.detached:
            self._closing = True
            self.end(Cancelled("the connection was closed on this side"))
        else:
            super().close()

    def abort(self) -> None:
        if self.detached:
            self.close()
        else:
            super().abort()

    def _close_link(self, link: Link) -> None:
        if self._links.resumable:
            self._links.leave()
            link.write(self._connection.data_to_send(0, self._now()))
        link.close()

    # ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_ready(self) -> None:
        if self._kept is not None and self._links.resumable:
            self._kept.keep(self, self._token)
        self._protection = _protection_of(self.link)
        self.on_ready()
        super()._on_ready()

    def _on_failed(self, event: ev.Failed) -> None:
        if self.detached and not self._links.void:  # over a link that does not carry the session yet
            self.proof.refusal = error_of_failure(event, self.remote) if event.code else None
            self._detach()
        else:
            super()._on_failed(event)

    @property
    def has_data(self) -> bool:
        """Whether frames wait to be written, and can be."""
        return not self.detached and super().has_data

    def _on_not_resumed(self, event: ev.NotResumed) -> None:
        """End the session, unless another server may still have it."""
        self._refusals += 1
        if event.elsewhere and self._refusals < self._servers:
            self._detach()
            return
        why = f"the connection to {self.remote} was lost, and the server did not take the session up again: {event.message}"
        link, self.link = self.link, None
        hello, rest = self._links.give_up()
        if link is not None and hello is not None:
            self.spare = SpareLink(link, hello, rest)
        self.end(ConnectionLost(why, cause=Cause.LOST))

    def resume(self, hello: Hello) -> tuple[int, str]:
        """Give the link of this session, in which nothing runs yet, to the session that `hello` names.

        Return the code 0, or why that cannot be: this session then begins. When nothing of the wanted session has arrived here,
        this one is it.
        """
        if self._kept is not None and not hello.received and self._kept.take_unheard(hello.token):
            self._links.begin_new(0, "", self._now())
            self._on_ready()
            if self._links.resumable:
                self._kept.keep(self, hello.token, self._token)
            return 0, ""
        wanted = self._kept.find(hello.token, self.proof.principal) if self._kept is not None else None
        if (
            wanted is None
            or wanted.draining.is_set()
            or self._connection.failed
            or wanted._protection != _protection_of(self.link)
        ):
            return 9, "this server has no such session: it was restarted, or the session has ended"
        if not wanted._links.can_resume(hello):
            return 11, f"position {hello.received} is not one that this session can go on from"
        self.flush()  # the `HELLO` of this side
        wanted._go_on_over_link_of(self, hello)
        self._link_is_gone = True
        self.lose(Cancelled("this link carries another session now"))
        return 0, ""

    def _go_on_over_link_of(self, other: LastingSession, hello: Hello) -> None:
        if not self.detached:
            self._detach()  # its link is dead, and this side has not noticed
        link, other.link = other.link, None
        if link is None:
            return
        link.hand_over(self)
        self.link = link
        self._paused = False
        self.proof.take_over(other.proof)
        self._links.resume(hello, other._links, self._now())
        if self._kept is not None:
            self._kept.keep(self, *self._kept.tokens(self), other._token)
        self._go_on()
        self.buffer_updated(0)


def _protection_of(link: Link | None) -> tuple[bool, object]:
    """Return whether a link is encrypted, and the certificate of the other side: another link must have the same."""
    return link is not None and link.remote.startswith(("tls:", "wss:")), None if link is None else link.certificate
