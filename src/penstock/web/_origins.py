"""Which requests a web page may make here: by its origin, and by the name under which it reached this server.

A browser sends the requests of any page to any address, also to this machine, and only keeps the answer from the script. So a
request that another site has caused is refused before it does anything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from penstock._texts import one_line
from penstock.errors import PermissionDenied
from penstock.transports import ANY_ORIGIN
from penstock.web._http import Scope
from penstock.web._response import refused

_NAME_CHARACTERS: Final = 200
_SECURE: Final = {"ws": "http", "wss": "https"}


def admit(scope: Scope, headers: Mapping[str, str], origins: Collection[str]) -> str:
    """Return the origin of a page of another site that is listed, or an empty text for any other request that may pass.

    Raises `Refused` (403) for a request of a page that is neither listed nor of this server, and for one that reached a server
    of this machine alone under a name of another one (DNS rebinding). A listed origin is also a name of this server, which a
    proxy in front passes on; and such a proxy may have ended TLS, so that the server's own page is one of https.
    """
    host = headers.get("host", "")
    origin = headers.get("origin", "")
    if origin and (ANY_ORIGIN in origins or origin in origins):
        return origin
    if not _is_own_name(scope, host, origins):
        raise _denied(f"this server listens at this machine only, and was asked for as {one_line(host, _NAME_CHARACTERS)!r}")
    scheme = scope.get("scheme", "http")
    own = (f"{_SECURE.get(scheme, scheme)}://{host}", f"https://{host}")
    elsewhere = origin not in own if origin else headers.get("sec-fetch-site", "") in {"cross-site", "same-site"}
    if elsewhere:
        page = one_line(origin, _NAME_CHARACTERS) or "another site"
        raise _denied(f"a page of {page} may not use this server: its origin is not listed in Settings(origins=...)")
    return ""


def _is_own_name(scope: Scope, host: str, origins: Collection[str]) -> bool:
    """Whether a request may have this `Host`: any, unless it has come to the loopback address and no listed origin has it."""
    bound = scope.get("server")
    if not bound or not _is_loopback(str(bound[0])) or ANY_ORIGIN in origins:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # half of an address of IPv6
        return False
    if any(host == origin.partition("://")[2] for origin in origins):
        return True
    return name in {"", "localhost"} or name.endswith(".localhost") or _is_address(name)


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _denied(message: str) -> Exception:
    return refused(HTTPStatus.FORBIDDEN, PermissionDenied(message))


def cross_origin(origin: str) -> dict[str, str]:
    """Return the headers by which a browser lets a page of `origin` read an answer; none for an empty one."""
    if not origin:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "*, authorization, content-type",
        "access-control-max-age": "600",
        "vary": "origin",
    }
