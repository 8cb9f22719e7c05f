"""Read and check the URLs of peers. It never resolves a name.

::

    memory://name                in this process
    tcp://host:port              port 0 asks for any free port; IPv6 in brackets: tcp://[::1]:7700
    tls://host:port
    unix:///absolute/path.sock   a relative path works too: unix://run/penstock.sock
    ws://host:port/path          a client may leave the port out (80), and both the path
    wss://host:port/path         the same with TLS (443)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from penstock.errors import InvalidArgument

#: The longest URL that is read; a longer one is a mistake or an attack, and every message would repeat it.
URL_CHARACTERS_MAX = 2048

_EXAMPLES = {
    "memory": "memory://name",
    "tcp": "tcp://127.0.0.1:7700",
    "tls": "tls://127.0.0.1:7700",
    "unix": "unix:///tmp/penstock.sock",
    "http": "http://127.0.0.1:8080",
    "https": "https://127.0.0.1:8443",
    "ws": "ws://127.0.0.1:7700",
    "wss": "wss://127.0.0.1:7700",
}

#: The ports of URLs that name none, as RFC 6455 (§3) has them.
_WEB_PORTS = {"ws": 80, "wss": 443}


def scheme_of(url: str, schemes: Collection[str]) -> str:
    """Return the scheme of `url`, one of `schemes`. Raises `InvalidArgument` for any other, and suggests a similar one."""
    if not isinstance(url, str):
        raise InvalidArgument(f"{url!r} is not a URL: it is a string, as in {_examples(schemes)}")
    _refuse_unreadable(url)
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise InvalidArgument(f"{url!r} is not a URL: it starts with a scheme, as in {_examples(schemes)}")
    scheme = scheme.lower()
    if scheme not in schemes:
        suggestion = _suggestion(scheme, schemes)
        raise InvalidArgument(f"{url!r} has the unknown scheme {scheme!r}{suggestion}; known schemes: {_examples(schemes)}")
    return scheme


def host_and_port(url: str) -> tuple[str, int]:
    """Return host (IPv6 without brackets) and port of `scheme://host:port`. Raises `InvalidArgument`."""
    _refuse_unreadable(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"{url!r} cannot be read: {error}") from None
    _refuse_extras(url, path=parts.path, query=parts.query, fragment=parts.fragment, user=parts.username)
    if not host:
        raise InvalidArgument(f"{url!r} names no host; write {parts.scheme}://127.0.0.1:7700 or {parts.scheme}://[::1]:7700")
    if port is None:
        raise InvalidArgument(f"{url!r} has no port; write {url.rstrip(':/')}:7700 (a server may ask for any with :0)")
    return host, port


def host_of_web(url: str) -> str:
    """Return `scheme://host:port` of a URL with a path, with the port that its scheme stands for. Raises `InvalidArgument`."""
    _refuse_unreadable(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(f"{url!r} cannot be read: {error}") from None
    _refuse_extras(url, fragment=parts.fragment, user=parts.username)
    if not parts.hostname:
        raise InvalidArgument(f"{url!r} names no host; write {parts.scheme}://127.0.0.1:7700")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    scheme = parts.scheme.lower()
    return f"{scheme}://{host}:{_WEB_PORTS[scheme] if port is None else port}"


def path_of_web(url: str) -> str:
    """Return the path of `scheme://host:port/path`; empty for none. Raises `InvalidArgument` for a query and for no port."""
    host_of_web(url)
    parts = urlsplit(url)
    _refuse_extras(url, query=parts.query)
    host_and_port(f"{parts.scheme}://{parts.netloc}")
    return parts.path if parts.path != "/" else ""


def name_of(url: str) -> str:
    """Return the name in `scheme://name`. Raises `InvalidArgument` when there is none."""
    _refuse_unreadable(url)
    name = url.partition("://")[2]
    if not name:
        raise InvalidArgument(f"{url!r} has no name; write {url}some-name")
    return name


def path_of(url: str) -> str:
    """Return the file path in `unix://path`; percent escapes are read. Raises `InvalidArgument` when there is none."""
    _refuse_unreadable(url)
    path = unquote(url.partition("://")[2])
    if not path.isprintable():
        raise InvalidArgument(f"{url!r} names a path with a control character in it")
    if not path or path.endswith("/"):
        raise InvalidArgument(f"{url!r} names no socket file; write unix:///tmp/penstock.sock (three slashes)")
    return path


def url_of(scheme: str, address: tuple[str | int, ...] | None) -> str:
    """Return the URL of a socket address `(host, port, ...)` as the system gives it.

    Raises `ConnectionResetError` for None: the system has no address of a peer that has reset its connection.
    """
    if address is None:
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
    host, port = address[0], address[1]
    return f"{scheme}://[{host}]:{port}" if ":" in str(host) else f"{scheme}://{host}:{port}"


def _refuse_unreadable(url: str) -> None:
    if len(url) > URL_CHARACTERS_MAX:
        raise InvalidArgument(f"a URL of {len(url)} characters is longer than {URL_CHARACTERS_MAX}: {url[:60]!r}...")
    if not url.isprintable() or " " in url:
        raise InvalidArgument(f"{url!r} contains a space or control character; write it percent-escaped, or remove it")


def _refuse_extras(url: str, **parts: str | None) -> None:
    extra = [name for name, value in parts.items() if value and value != "/"]
    if extra:
        raise InvalidArgument(f"{url!r} has a {extra[0]}, which means nothing here; a URL is only scheme, host and port")


def _examples(schemes: Collection[str]) -> str:
    return ", ".join(_EXAMPLES.get(scheme, f"{scheme}://") for scheme in sorted(schemes))


def _suggestion(scheme: str, schemes: Collection[str]) -> str:
    import difflib  # only the text of an error needs it

    close = difflib.get_close_matches(scheme, sorted(schemes), n=1, cutoff=0.5)
    return f", did you mean {close[0]}://?" if close else ""
