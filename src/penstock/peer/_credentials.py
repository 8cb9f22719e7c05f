"""Credentials: `Admission`, by which a server decides about its clients, and `Renewal`, by which a client shows newer ones."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from penstock._upkeep import upkeep
from penstock.auth import Authenticator, Authorize, Credentials, Trust, UnixUser, expired
from penstock.calls import CallScope, call_unary, context, untyped_request
from penstock.codec import MSGPACK
from penstock.errors import FailedPrecondition, StatusError, Unavailable
from penstock.peer._sessions import Sessions
from penstock.protocol import CallKind, Hello
from penstock.service import CallOptions
from penstock.session import LastingSession

log: Final = logging.getLogger("penstock.peer")

# ── of a server ───────────────────────────────────────────────────────────────────────────────────────────────────────

#: The part of the handshake time that an authenticator may take: the client has to hear of it within that time.
_PART_OF_HANDSHAKE: Final = 0.8


class Admission:
    """Proves the clients of a server, and gives each the rights of its principal."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def watch(self, session: LastingSession, scope: CallScope, check_room: Callable[[Hello], None]) -> None:
        """Decide about the client of a session, which waits for that, as soon as the client has introduced itself.

        check_room: raises the error of a client that is one too many.
        """
        trust = self._trust
        scope.restricted = True
        scope.check_access = lambda target, verb: trust.check_access(scope.session.proof.principal, target, verb)
        session.proof.wait(lambda hello: scope.share(scope.session.loop.create_task(self._admit(session, hello, check_room))))

    async def _admit(self, session: LastingSession, hello: Hello, check_room: Callable[[Hello], None]) -> None:
        refusal: StatusError = Unavailable("this server could not check the credentials of this client in time", started=False)
        try:
            async with asyncio.timeout(session.settings.handshake_timeout_s * _PART_OF_HANDSHAKE):
                await self.prove(session, hello.credentials)
            check_room(hello)
            session.proof.greet()
        except StatusError as error:
            refusal = error.fresh_copy()
            log.info("%s was refused: %s", session.remote, error.message)
        except TimeoutError:
            log.error("the authenticator has not decided about %s in time", session.remote)  # noqa: TRY400 - nothing was raised
        finally:
            if not session.ready.done():
                session.proof.refuse(refusal)

    async def prove(self, session: LastingSession, token: str) -> None:
        """Prove the client of a session by this token, and by the certificate or the user of its link.

        Raises the `StatusError` for the client; `FailedPrecondition` for the token of another principal.
        """
        link = session.link
        user = None if link is None or link.user is None else UnixUser(*link.user)
        certificate = None if link is None else link.certificate
        principal = await self._trust.prove(Credentials(token, certificate, user, session.remote))
        known = session.proof.principal
        if known is not None and known != principal:
            text = f"these credentials are of {principal.name!r}, and this connection is of {known.name!r}"
            raise FailedPrecondition(f"{text}: connect anew with them")
        session.proof.begin(principal, principal.remaining_s(), expired(principal))


def admission_of(authenticate: Authenticator | None, authorize: Authorize | None) -> Admission | None:
    """Return how a server decides about its clients; None for one that takes all. Raises `TypeError` for half of it."""
    if authenticate is None:
        if authorize is not None:
            raise TypeError("authorize= decides by the principal of a client, and authenticate= is missing, which proves it")
        return None
    return Admission(Trust(authenticate, authorize))


class Authentication:
    """The built-in service of a server that proves its clients (PROTOCOL.md 2.10)."""

    service_name = "Penstock"

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def authenticate(self, token: str) -> int:
        """Take newer credentials of the client of this connection; return for how many ms they hold, 0 for no end.

        Raises `Unauthenticated` for credentials that are not accepted, `FailedPrecondition` for those of another principal. The
        earlier ones hold on then.
        """
        session = context()._session
        if not isinstance(session, LastingSession):
            raise FailedPrecondition("a call in one process has no credentials")
        await self._admission.prove(session, token)
        return session.proof.remaining_ms()

    async def may(self, target: str, verb: str) -> None:
        """Raise `PermissionDenied` unless the client of this connection may do this to a target."""
        scope = context()._scope
        if scope is not None:
            scope.check_access(target, verb)


# ── of a client ───────────────────────────────────────────────────────────────────────────────────────────────────────

#: A token, or a function that returns the present one, perhaps as an awaitable.
Token = str | Callable[[], "str | Awaitable[str]"]

#: The part of the time for which credentials hold, after which newer ones are asked for …
_RENEW_AFTER: Final = 0.75
#: … and the part of what is left then, after which that is tried again when it fails; at least so many seconds.
_AGAIN_AFTER: Final = 0.25
_AGAIN_S: Final = 1.0
#: Seconds that the function of the program may take, and the server for its answer.
_ANSWER_S: Final = 10.0


async def token_now(token: Token, timeout_s: float) -> str:
    """Return the present token. Safe to cancel.

    Raises `Unavailable` when the function of the program fails, or has not returned within `timeout_s`.
    """
    if isinstance(token, str):
        return token
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            given = token()
            text = await given if inspect.isawaitable(given) else given
    except StatusError:
        raise
    except TimeoutError as error:
        if not limit.expired():  # its own
            raise Unavailable(f"the token of this client could not be had: {error!r}", started=False) from error
        raise Unavailable(f"the token function of this client has not returned within {timeout_s:g} s", started=False) from None
    except Exception as error:
        raise Unavailable(f"the token of this client could not be had: {error!r}", started=False) from error
    if not isinstance(text, str):
        raise Unavailable(f"the token function of this client returned {type(text).__name__}, where a text is", started=False)
    return text


class Renewal:
    """Asks the program for a newer token, and shows it to the server, before the present one ends.

    sessions: those of the peer. scope: makes the calls.
    """

    def __init__(self, sessions: Sessions, scope: CallScope, token: Callable[[], str | Awaitable[str]]) -> None:
        self._sessions = sessions
        self._scope = scope
        self._token = token
        self._link: Any = None  # over which the present credentials were shown
        self._timer: asyncio.TimerHandle | None = None
        sessions.renewal = self
        self.look()

    def look(self) -> None:
        """Begin to wait for the end of the credentials of a link that is new. Called at each change of the sessions."""
        session = self._sessions.now
        if session.lost is not None or self._sessions.closing:
            self.end()
        elif session.link is not self._link and session.takes_calls and not session.detached:
            self._link = session.link
            self._wait(session, session.proof.valid_s, _RENEW_AFTER)

    def _wait(self, session: LastingSession, valid_s: float | None, part: float) -> None:
        self.end()
        if valid_s is not None:
            self._timer = session.loop.call_later(valid_s * part, self._begin, session, valid_s * (1 - part))

    @upkeep
    def _begin(self, session: LastingSession, left_s: float) -> None:
        self._scope.own(self._renew(session, left_s))

    async def _renew(self, session: LastingSession, left_s: float) -> None:
        began_s = session.loop.time()
        try:
            valid_s = await self._show(await token_now(self._token, _ANSWER_S))
        except StatusError as error:
            left_s -= session.loop.time() - began_s
            text = "%s: the credentials end in %.0f s and are not renewed: %s"
            log.warning(text, session.remote, max(0.0, left_s), error.message)
            if left_s > _AGAIN_S and session is self._sessions.now:
                self._wait(session, max(_AGAIN_S / _AGAIN_AFTER, left_s), _AGAIN_AFTER)
        else:
            if session is self._sessions.now:
                self._wait(session, valid_s, _RENEW_AFTER)

    async def _show(self, token: str) -> float | None:
        options = CallOptions(timeout=_ANSWER_S)
        request = untyped_request("Penstock/authenticate", CallKind.UNARY, (token,), options, MSGPACK, type=int)
        valid_ms: int = await call_unary(self._scope, request)
        return valid_ms / 1000 if valid_ms else None

    def end(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
