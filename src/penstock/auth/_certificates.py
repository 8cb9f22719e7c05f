"""Authenticators by the transport: by the certificate of a client, or by the user at a Unix socket."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from penstock.auth._principal import Credentials, Principal
from penstock.errors import InvalidArgument, Unauthenticated


class Certificates:
    """An authenticator that knows its clients by their certificates: mutual TLS, ``TLS.production(cert, key, ca)``.

    ::

        authenticate=auth.Certificates(roles={"loader-1": ["writer"]})

    name: which part is the name of the principal: "subject", its common name, or "san", the first alternative name (a DNS name,
        a URI such as that of SPIFFE, or an address of mail).
    roles: for each name. A certificate with another name has no role.

    The attributes of the principal are `subject`, `san` and `serial`. The connection ends with the certificate.
    """

    def __init__(
        self, *, name: Literal["subject", "san"] = "subject", roles: Mapping[str, Collection[str]] | None = None
    ) -> None:
        if name not in {"subject", "san"}:
            raise ValueError(f"name is {name!r}; it is 'subject' or 'san'")
        self._name = name
        self._roles = dict(roles or {})

    async def __call__(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a certificate; None without one. Raises `Unauthenticated` for one that has no name."""
        certificate = credentials.certificate
        if not certificate:
            return None
        subject = dict(_pairs(certificate))
        alternatives = [str(value) for _kind, value in certificate.get("subjectAltName", ())]
        name = subject.get("commonName", "") if self._name == "subject" else next(iter(alternatives), "")
        if not name:
            part = "common name" if self._name == "subject" else "alternative name"
            raise Unauthenticated(f"the certificate of this client has no {part}", started=False)
        ends = certificate.get("notAfter")
        try:
            return Principal(
                name,
                roles=self._roles.get(name, ()),
                attributes={"subject": subject, "san": alternatives, "serial": certificate.get("serialNumber", "")},
                expires_at=None if ends is None else float(ssl.cert_time_to_seconds(str(ends))),
            )
        except InvalidArgument as error:
            raise Unauthenticated(f"the certificate of this client is not accepted: {error.message}", started=False) from None

    def __repr__(self) -> str:
        return f"Certificates(name={self._name!r})"


def _pairs(certificate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for group in certificate.get("subject", ()):
        yield from group


class UnixUsers:
    """An authenticator that knows its clients by the user of their process, at a ``unix://`` socket.

    ::

        authenticate=auth.UnixUsers(roles={"root": ["admin"], "deploy": ["writer"]})

    roles: for each user, by name or by number. None takes every user, without a role; a user that is not listed is refused.

    The kernel says which user has connected (`SO_PEERCRED`, on Linux). The name of the principal is that of the user, or its
    number where it has none; its attributes are `uid`, `gid` and `pid`.
    """

    def __init__(self, roles: Mapping[str | int, Collection[str]] | None = None) -> None:
        self._roles = None if roles is None else dict(roles)

    async def __call__(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a Unix user; None at another transport, and for a user that is not listed."""
        user = credentials.user
        if user is None:
            return None
        name = _name_of(user.uid)
        roles: Collection[str] | None = ()
        if self._roles is not None:
            roles = self._roles.get(name, self._roles.get(user.uid))
        if roles is None:
            raise Unauthenticated(f"the user {name!r} may not use this server", started=False)
        return Principal(name, roles=roles, attributes={"uid": user.uid, "gid": user.gid, "pid": user.pid})

    def __repr__(self) -> str:
        return f"UnixUsers({'' if self._roles is None else sorted(map(str, self._roles))})"


def _name_of(uid: int) -> str:
    import pwd  # it is not on Windows, which has no Unix users

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
