"""`JWT`: tokens that an issuer has signed. The package `PyJWT` checks them (the extra `penstock[auth]`)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

from penstock.auth._principal import Credentials, Principal
from penstock.errors import FailedPrecondition, InvalidArgument, Unauthenticated, Unavailable

log = logging.getLogger("penstock.auth")

#: Seconds that the keys of a URL are kept before they are read again.
KEYS_KEPT_S: Final = 300.0
#: Seconds between two reads because of a key that is not known: a token with an invented key id must not cause a request each.
UNKNOWN_KEY_S: Final = 10.0
#: Seconds that the read of the keys may take.
READ_S: Final = 5.0
#: The largest document of keys.
KEYS_BYTES_MAX: Final = 1024 * 1024
#: The algorithms of public keys. A secret that both sides share (HS256) has to be asked for by name.
PUBLIC_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
#: Longer tokens are refused unread: a header of HTTP is no longer.
TOKEN_BYTES_MAX: Final = 16 * 1024


class JWT:
    """An authenticator that knows its clients by JSON Web Tokens (RFC 7519) of an issuer.

    ::

        authenticate=auth.JWT(keys_url="https://login.example/.well-known/jwks.json", issuer="https://login.example",
                              audience="prices")
        authenticate=auth.JWT(key=Path("issuer.pem"), audience="prices", algorithms=["EdDSA"])

    keys_url: where the public keys of the issuer are (a JWK set, RFC 7517): read when one is needed, kept for five minutes, and
        read again, every ten seconds at most, for a key that is not among them.
    key: instead of a URL the one key: PEM, the path of a PEM file, or the shared secret of HS256.
    audience: the name of this server in the tokens (`aud`); a token for another one is refused. None takes only tokens
        without one.
    issuer: the name of their issuer (`iss`); None takes any.
    algorithms: those of public keys by default. A shared secret needs ``algorithms=["HS256"]``.
    name: the claim that is the name of the principal. roles: the claim with its roles, a list or a text with spaces.
    leeway_s: by how many seconds the clocks may differ.

    A token needs an end (`exp`). The connection ends with it, unless the client shows a newer one before. The attributes of the
    principal are the claims.

    Raises `FailedPrecondition` without the package `PyJWT`, `InvalidArgument` without a key, or with both.
    """

    def __init__(
        self,
        *,
        keys_url: str = "",
        key: str | bytes | PathLike[str] | None = None,
        audience: str | Sequence[str] | None = None,
        issuer: str | None = None,
        algorithms: Collection[str] = PUBLIC_ALGORITHMS,
        name: str = "sub",
        roles: str = "roles",
        leeway_s: float = 30.0,
    ) -> None:
        if bool(keys_url) == (key is not None):
            raise InvalidArgument("auth.JWT takes keys_url=, the address of a JWK set, or key=, the one key")
        self._jwt = _package()
        self._checks = {"audience": audience, "issuer": issuer, "leeway": leeway_s, "algorithms": [*algorithms]}
        self._name, self._roles, self._leeway_s = name, roles, leeway_s
        self._key = Path(key).read_bytes() if isinstance(key, PathLike) else key
        self._keys = _Keys(keys_url, self._jwt) if keys_url else None

    async def __call__(self, credentials: Credentials) -> Principal | None:
        """Return the principal of a token; None for one that is not a JWT. Raises `Unauthenticated` with the reason."""
        token = credentials.token
        if token.count(".") != 2 or len(token) > TOKEN_BYTES_MAX:  # noqa: PLR2004 - head, claims, signature
            return None
        try:
            claims = await self._checked(token)
        except self._jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired; connect with a newer one", started=False) from None
        except self._jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is not accepted: {error}", started=False) from None
        return self._principal(claims)

    async def _checked(self, token: str) -> dict[str, Any]:
        """Return the claims of a token. Raises the errors of the package, and `Unavailable` when the keys cannot be read."""
        key = self._key
        if self._keys is not None:
            key = await self._keys.find(self._jwt.get_unverified_header(token).get("kid"))
        claims: dict[str, Any] = self._jwt.decode(token, key, options={"require": ["exp"]}, **self._checks)
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        name, roles = claims.get(self._name), claims.get(self._roles, ())
        if not isinstance(name, str) or not name:
            raise Unauthenticated(f"the token has no claim {self._name!r}, the name of its principal", started=False)
        words = roles.split() if isinstance(roles, str) else [role for role in roles if isinstance(role, str)] if roles else ()
        try:
            return Principal(name, roles=words, attributes=claims, expires_at=float(claims["exp"]) + self._leeway_s)
        except InvalidArgument as error:
            raise Unauthenticated(f"the token is not accepted: {error.message}", started=False) from None

    def __repr__(self) -> str:
        return f"JWT({'key' if self._keys is None else self._keys.url!r}, audience={self._checks['audience']!r})"


class _Keys:
    """The public keys of an issuer, from a URL."""

    def __init__(self, url: str, package: Any) -> None:
        if not url.startswith(("https://", "http://")):
            raise InvalidArgument(f"keys_url {url!r} is not an address of http:// or https://")
        self.url = url
        self._jwt = package
        self._keys: dict[str | None, Any] = {}
        self._read_s = -KEYS_KEPT_S
        self._reading = asyncio.Lock()

    async def find(self, key_id: str | None) -> Any:
        """Return the key with this id; without an id, the only key. Raises `Unavailable`, `Unauthenticated` without such a key.

        While the keys cannot be read, those that were read last hold.
        """
        async with self._reading:
            age_s = time.monotonic() - self._read_s
            if age_s >= KEYS_KEPT_S or (self._pick(key_id) is None and age_s >= UNKNOWN_KEY_S):
                await self._read()
        key = self._pick(key_id)
        if key is None:
            raise Unauthenticated("the token is signed with a key that its issuer does not have", started=False)
        return key

    def _pick(self, key_id: str | None) -> Any:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    async def _read(self) -> None:
        try:
            document = await asyncio.to_thread(_fetched, self.url)
            self._keys = {key.key_id: key for key in self._jwt.PyJWKSet.from_json(document).keys}
        except Exception as error:
            log.warning("the keys of %s cannot be read: %s", self.url, error)
            self._read_s = time.monotonic() - KEYS_KEPT_S + UNKNOWN_KEY_S  # try again, but not for each client
            if not self._keys:
                raise Unavailable("this server cannot read the keys of the issuer of tokens now", started=False) from error
        else:
            self._read_s = time.monotonic()


def _fetched(url: str) -> str:
    """Return the document at a URL of http:// or https://."""
    from urllib.request import urlopen

    with urlopen(url, timeout=READ_S) as answer:  # noqa: S310 - the scheme was checked
        document: bytes = answer.read(KEYS_BYTES_MAX)
    return document.decode("utf-8")


def _package() -> Any:
    try:
        import jwt
    except ImportError:
        raise FailedPrecondition("auth.JWT needs the package PyJWT: pip install 'penstock[auth]'") from None
    return jwt
