"""`KeptSessions`: where a server finds the session that a client takes up again."""

from __future__ import annotations

import secrets
import weakref
from abc import abstractmethod
from collections import OrderedDict
from typing import Any, Final, Generic, Protocol, TypeVar

from penstock.errors import Cause, ConnectionLost, StatusError
from penstock.session._proof import Proof

#: Sessions that one server keeps without a link: as many clients as come back at once to one process. So many tokens are kept,
#: too, of which no client has said yet that it has them.
KEPT_MAX: Final = 4096
RESUME_TOKEN_BYTES: Final = 16


class Keepable(Protocol):
    """A session, as the table sees it. proof: has the only identity that may take it up."""

    proof: Proof

    @property
    @abstractmethod
    def remote(self) -> str:
        """The address of its peer."""

    @property
    @abstractmethod
    def kept_bytes(self) -> int:
        """The bytes that it holds for its peer."""

    def end(self, error: StatusError) -> None:
        """End it: it has no link."""


K = TypeVar("K", bound=Keepable)


class KeptSessions(Generic[K]):
    """The sessions of one server that clients can take up again, by their tokens.

    A session has one token, or two between the moment when it goes on over a new link and the client's word that it knows: the
    one that the client has used, and that of the new link (PROTOCOL.md rule 9.5).

    limit_bytes: what all sessions without a link may hold together. They take nothing more to send meanwhile (`Links.detach`).
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._by_token: dict[bytes, K] = {}
        self._tokens: dict[K, list[bytes]] = {}
        self._waiting: dict[K, int] = {}
        self._hosts: dict[str, OrderedDict[K, None]] = {}
        self._unheard: OrderedDict[bytes, weakref.ref[K]] = OrderedDict()
        self.waiting_bytes = 0

    def __len__(self) -> int:
        return len(self._tokens)

    def new_token(self, session: K) -> bytes:
        """Return a token for the first frame of a new session, which has heard nothing of its client yet."""
        token = secrets.token_bytes(RESUME_TOKEN_BYTES)
        self.expect(token, session)
        return token

    def expect(self, token: bytes, session: K) -> None:
        """Let a client begin with this token, because nothing that it has sent after `HELLO` has arrived."""
        self._unheard[token] = weakref.ref(session)
        if len(self._unheard) > KEPT_MAX:
            self._unheard.popitem(last=False)

    def take_unheard(self, token: bytes) -> bool:
        """Return whether a client has this token of which nothing was heard: its link was lost before, or is ended now."""
        expected = self._unheard.pop(token, None)
        session = None if expected is None else expected()
        if session is not None:
            session.end(ConnectionLost("its client has come back over another connection", cause=Cause.LOST))
        return expected is not None

    def has(self, token: bytes) -> bool:
        """Return whether a client that has this token comes back to its session."""
        return token in self._by_token or token in self._unheard

    def find(self, token: bytes, principal: Any) -> K | None:
        """Return the session with this token; None when there is none, or when it belongs to another principal."""
        session = self._by_token.get(token)
        return session if session is not None and session.proof.principal == principal else None

    def keep(self, session: K, *tokens: bytes) -> None:
        """Let a client take up `session` with these tokens, and no others."""
        for token in self._tokens.get(session, ()):
            del self._by_token[token]
        self._tokens[session] = [*tokens]
        for token in tokens:
            self._by_token[token] = session
            self._unheard.pop(token, None)

    def confirm(self, session: K) -> None:
        """Let no client use the earlier token any more: the client knows the present one."""
        self.keep(session, self._tokens[session][-1])

    def forget(self, session: K) -> None:
        """Let no client take up a session that is over."""
        for token in self._tokens.pop(session, ()):
            del self._by_token[token]
        self.end_to_wait(session)

    def tokens(self, session: K) -> list[bytes]:
        """Return the tokens of a session: a client may know any of those since it has confirmed one."""
        return self._tokens.get(session, [])

    def begin_to_wait(self, session: K) -> None:
        """Note that a session waits for a link, and give up others when that is too much.

        While too many wait, it is one of the host with most of them; while they hold too much, the one that holds most.
        """
        host = host_of(session.remote)
        self._waiting[session] = size = session.kept_bytes
        self._hosts.setdefault(host, OrderedDict())[session] = None
        self.waiting_bytes += size
        while len(self._waiting) > KEPT_MAX:
            crowd = max(self._hosts.values(), key=len)
            self._give_up(next(iter(crowd)))
        while self.waiting_bytes > self._limit_bytes:
            self._give_up(max(self._waiting, key=self._waiting.__getitem__))

    def _give_up(self, session: K) -> None:
        why = f"{len(self._waiting)} sessions wait for their connections, with {self.waiting_bytes} bytes: one was given up"
        session.end(ConnectionLost(why, cause=Cause.LOST))

    def end_to_wait(self, session: K) -> None:
        """Note that a session has a link again, or is over."""
        self.waiting_bytes -= self._waiting.pop(session, 0)
        host = host_of(session.remote)
        if (crowd := self._hosts.get(host)) is not None and crowd.pop(session, session) is None and not crowd:
            del self._hosts[host]


def host_of(remote: str) -> str:
    """Return the address of a peer without its port."""
    return remote.rpartition(":")[0]
