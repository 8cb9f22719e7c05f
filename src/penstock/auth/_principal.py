"""`Principal`, the proven identity of a client, and `Credentials`, by which an authenticator proves it."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.errors import InvalidArgument

#: The characters of a name: as many as fit into a line of a log.
PRINCIPAL_CHARACTERS_MAX: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """The proven identity of a client: ``context().principal`` in a handler of its calls.

    ::

        Principal("alice", roles={"reader"}, attributes={"team": "tides"})

    name: unique among the clients of a server. Principals of one name are equal: each may take up a session of the other.
    roles: for an `Access` table, and for an `authorize` of your own.
    attributes: anything else that is known, such as the claims of a JWT.
    expires_at: when the proof ends, in seconds since 1970 (`time.time`); None for no end. The server then ends the connection,
        unless the client has shown newer credentials.

    Raises `InvalidArgument` for a name that is empty, longer than 256 characters, or has one that cannot be printed (a new line
    would begin another line of a log), and for an end that is not a finite number.
    """

    name: str
    roles: Collection[str] = frozenset()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        name: Any = self.name  # of the claims of a token, say
        if not isinstance(name, str) or not 0 < len(name) <= PRINCIPAL_CHARACTERS_MAX or not name.isprintable():
            text = f"the name of a principal is a text of 1 to {PRINCIPAL_CHARACTERS_MAX} characters that can be printed"
            raise InvalidArgument(text)
        ends: Any = self.expires_at
        if ends is not None and not (isinstance(ends, int | float) and math.isfinite(ends)):
            raise InvalidArgument(f"the end of a proof is a number of seconds since 1970, and not {ends!r:.80}")
        object.__setattr__(self, "roles", frozenset({self.roles} if isinstance(self.roles, str) else self.roles))

    def remaining_s(self) -> float | None:
        """Return the seconds until the proof ends, below zero when it has ended; None for no end."""
        return None if self.expires_at is None else self.expires_at - time.time()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Principal) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class UnixUser:
    """The user at the other end of a Unix socket, as the kernel had it when the connection was made."""

    uid: int
    gid: int
    pid: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """By which a client may be known, for an authenticator.

    token: what the client has given as ``connect(..., token=)``, or as ``Authorization: Bearer`` of HTTP; empty for none.
    certificate: that of the client, verified, as `ssl.SSLSocket.getpeercert` has it; None without one.
    user: at the other end of a Unix socket; None for another transport.
    remote: the address of the client, for people; of a request of HTTP, that of this server. Prove no client by it.
    """

    token: str = field(default="", repr=False)
    certificate: Mapping[str, Any] | None = None
    user: UnixUser | None = None
    remote: str = ""


#: Returns the principal of these credentials, or None when it knows nothing of this kind of credentials. Raises
#: `Unauthenticated` for credentials that it refuses; its text is for the client.
Authenticator = Callable[[Credentials], Awaitable[Principal | None]]


class AnyOf:
    """Several authenticators in one: the first that knows credentials of this kind decides.

    ::

        authenticate=auth.AnyOf(auth.JWT(...), auth.Certificates())
    """

    def __init__(self, *authenticators: Authenticator) -> None:
        self._authenticators: Sequence[Authenticator] = authenticators

    async def __call__(self, credentials: Credentials) -> Principal | None:
        """Return the principal; None when none of them knows the credentials. Safe to cancel."""
        for authenticate in self._authenticators:
            if (principal := await authenticate(credentials)) is not None:
                return principal
        return None

    def __repr__(self) -> str:
        return f"AnyOf({', '.join(map(repr, self._authenticators))})"
