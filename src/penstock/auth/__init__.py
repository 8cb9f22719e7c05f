"""The identity of clients, how it is proven, and the rights that it gives (docs/howto/auth.md)."""

from penstock.auth._access import Access, Authorize
from penstock.auth._certificates import Certificates, UnixUsers
from penstock.auth._jwt import JWT
from penstock.auth._principal import AnyOf, Authenticator, Credentials, Principal, UnixUser
from penstock.auth._tokens import Tokens, hash_of, line_of, new_token
from penstock.auth._trust import Trust, expired, rule_of

__all__ = [
    "JWT",
    "Access",
    "AnyOf",
    "Authenticator",
    "Authorize",
    "Certificates",
    "Credentials",
    "Principal",
    "Tokens",
    "Trust",
    "UnixUser",
    "UnixUsers",
    "expired",
    "hash_of",
    "line_of",
    "new_token",
    "rule_of",
]
