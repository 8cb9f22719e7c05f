"""`Trust`: the two decisions of a server about its clients, by the authenticator and the rule of the program."""

from __future__ import annotations

import asyncio
import logging
from inspect import iscoroutinefunction
from typing import Any, Final

from penstock._outcomes import ends_the_loop, log_error
from penstock.auth._access import Authorize
from penstock.auth._principal import Authenticator, Credentials, Principal
from penstock.errors import Internal, PermissionDenied, ResourceExhausted, StatusError, Unauthenticated, Unavailable

log: Final = logging.getLogger("penstock.auth")

#: The errors of an authenticator that are for the client. Any other one is for the log.
_FOR_CLIENTS: Final = (Unauthenticated, PermissionDenied, ResourceExhausted, Unavailable)
#: The verbs that end something for all other clients, and the targets of the commands: refused unless the program allows them.
_ENDING: Final = frozenset({"stop", "delete"})
_CONTROL: Final = "Penstock.Control/"
#: Longer targets are refused unread: the names of an actor and of a method have 256 characters each, and a rule takes time for
#: each character.
TARGET_CHARACTERS_MAX: Final = 2048
#: Characters of a target, and of the roles, in the text of a refusal.
_SHOWN_MAX: Final = 256


class Trust:
    """Decides which principal a client is, and which targets it may use.

    authenticate: returns the principal. authorize: says whether a principal may use a target, see `rule_of`.

    Raises `TypeError` for an authenticator that cannot be called, and as `rule_of`.
    """

    def __init__(self, authenticate: Authenticator, authorize: Authorize | None = None) -> None:
        given: Any = authenticate
        if not callable(given):
            text = f"authenticate= is an authenticator, as auth.Tokens({{token: name}}) makes one, and not {authenticate!r:.40}"
            raise TypeError(text)
        self._authenticate = authenticate
        self._authorize = rule_of(authorize)

    async def prove(self, credentials: Credentials) -> Principal:
        """Return the principal of these credentials. Safe to cancel.

        Raises an error for the client: `Unauthenticated` for credentials that are missing, unknown or expired, or the one that
        the authenticator raises on purpose; `Unavailable` when it fails, which is logged.
        """
        try:
            principal = _checked(await self._authenticate(credentials))
        except _FOR_CLIENTS:
            raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log_error(log, error, "the authenticator could not check the credentials of %s", credentials.remote)
            if ends_the_loop(error):
                raise
            raise Unavailable("this server could not check the credentials of this client", started=False) from None
        if principal is None:
            raise _unknown(credentials)
        left_s = principal.remaining_s()
        if left_s is not None and left_s <= 0:
            raise expired(principal)
        return principal

    def check_access(self, principal: Principal, target: str, verb: str) -> None:
        """Raise `PermissionDenied` unless the principal may do this to the target: unless the rule says True.

        Raises `Internal` when the rule fails, which is logged.
        """
        try:
            if len(target) <= TARGET_CHARACTERS_MAX and self._authorize(principal, target, verb) is True:
                return
        except StatusError:
            raise
        except BaseException as error:
            log_error(log, error, "authorize could not decide about %r on %.256r", verb, target)
            if ends_the_loop(error):
                raise
            raise Internal("this server could not decide about the rights of this client", started=False) from None
        roles = ", ".join(sorted(map(str, principal.roles)))[:_SHOWN_MAX] or "none"
        text = f"{principal.name!r} is not allowed {verb!r} on {target[:_SHOWN_MAX]!r} (roles: {roles})"
        raise PermissionDenied(text, started=False)


def _checked(principal: Any) -> Principal | None:
    """Return what an authenticator has returned. Raises `TypeError` for anything but a principal or None."""
    if principal is not None and not isinstance(principal, Principal):
        raise TypeError(f"the authenticator returned {type(principal).__name__}, where an auth.Principal or None is")
    return principal


def expired(principal: Principal) -> Unauthenticated:
    """Return the error of a client whose proof has ended."""
    return Unauthenticated(f"the credentials of {principal.name!r} have expired; connect with newer ones", started=False)


def _unknown(credentials: Credentials) -> Unauthenticated:
    if credentials.token:
        return Unauthenticated("this server does not know the token of this client", started=False)
    text = "connect with token= (in HTTP: Authorization: Bearer TOKEN), or with a certificate"
    return Unauthenticated(f"this server takes only clients that prove their identity: {text}", started=False)


def rule_of(authorize: Authorize | None) -> Authorize:
    """Return the rule of a server: for None, everything but to end things for others and to control the node.

    Raises `TypeError` for a value that cannot be called, and for an async function, whose result would never be known.
    """
    if authorize is None:
        return _all_but_ends
    given: Any = authorize
    if not callable(given) or iscoroutinefunction(given):
        raise TypeError(f"authorize= is auth.Access({{…}}) or a function that is not async, and not {authorize!r:.40}")
    return authorize


def _all_but_ends(_principal: Principal, target: str, verb: str) -> bool:
    return verb not in _ENDING and not target.startswith(_CONTROL)
