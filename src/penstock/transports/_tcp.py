"""Dial and listen over TCP, plain (`tcp://host:port`) or with TLS (`tls://host:port`); `_socket` carries the bytes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, cast

from penstock._fork import hold, release
from penstock.errors import Cause, InvalidArgument, Unavailable
from penstock.transports._abc import CLOSE_TIMEOUT_S, HANDSHAKE_TIMEOUT_S, Link, Listener, Receiver, Transport
from penstock.transports._race import Address, connected_socket, endpoints_of, resolved
from penstock.transports._socket import BACKLOG, ListeningSocket, SocketLink, made_by, tune
from penstock.transports._tls import refusal_of
from penstock.transports._url import host_and_port, url_of

#: The host that stands for all addresses of this machine. A socket of the system has one family, or shows the addresses of the
#: other one in a form of its own; so each family gets its own.
_EVERYWHERE = "::"

#: How many free ports are tried until one is free at all addresses of a host: a machine with half of its ports in use finds one
#: in 99.9 % of all cases.
_PORTS_MAX = 10

#: The errors of an address that is listed for a name of this machine but cannot be used, as ::1 without IPv6.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class TcpTransport(Transport):
    """TCP under one scheme: "tcp" plain, "tls" with a context."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    async def dial(self, url: str, receiver: Receiver, *, tls: ssl.SSLContext | None, timeout_s: float) -> Link:
        """Connect to the first address of the host that answers, and shake hands when `tls` is given."""
        host, port = host_and_port(url)
        if not port:
            raise InvalidArgument(f"{url!r} has port 0, which only a server can ask for; dial the port that it was given")
        link = SocketLink(lambda: receiver, partial(url_of, self._scheme))
        with _explained(url, timeout_s=timeout_s, encrypted=tls is not None):
            async with asyncio.timeout(timeout_s):
                connection = await connected_socket(await endpoints_of(host, port))
                connecting = asyncio.get_running_loop().create_connection(
                    lambda: link,
                    sock=connection,
                    ssl=tls,
                    server_hostname=host if tls else None,
                    ssl_shutdown_timeout=CLOSE_TIMEOUT_S if tls else None,
                )
                return await made_by(connecting, link)

    async def listen(
        self,
        url: str,
        receivers: Callable[[], Receiver],
        *,
        tls: ssl.SSLContext | None,
        timeout_s: float = HANDSHAKE_TIMEOUT_S,
        origins: Collection[str] = (),
    ) -> Listener:
        """Listen at every address of the host, all with one port; at ``[::]``, at all addresses of IPv6 and IPv4."""
        real_url, sockets = await bind_tcp(self._scheme, url)
        listener = SocketListener(real_url, receivers, partial(url_of, self._scheme))
        await listener.start(sockets, tls, timeout_s)
        return listener


async def bind_tcp(scheme: str, url: str) -> tuple[str, list[socket.socket]]:
    """Bind a socket to each address of the host, all with one port; return the URL with it. Raises as `listen`."""
    host, port = host_and_port(url)
    with _explained_listening(url):
        entries = await resolved(host, port, socket.AI_PASSIVE)
        addresses: list[tuple[int, Address]] = [(family, cast("Address", address)) for family, _, _, _, address in entries]
        if host == _EVERYWHERE:
            addresses.append((socket.AF_INET, ("0.0.0.0", port)))  # noqa: S104 - the program asked for all addresses
        sockets = _bind_all(addresses)
    return url_of(scheme, (host, sockets[0].getsockname()[1])), sockets


class SocketListener(Listener):
    """Takes connections on bound sockets of any family."""

    def __init__(self, url: str, receivers: Callable[[], Receiver], remote_url: Callable[[Any], str]) -> None:
        self.url = url
        self._receivers = receivers
        self._remote_url = remote_url
        self._servers: list[asyncio.Server] = []
        self._descriptors: list[int] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"<SocketListener {self.url}{' closed' if self._closed else ''}>"

    async def start(
        self, sockets: list[socket.socket], tls: ssl.SSLContext | None = None, timeout_s: float = HANDSHAKE_TIMEOUT_S
    ) -> None:
        """Take connections on `sockets`, which belong to the listener from now on. Cancelling it closes them all.

        A TLS handshake may take `timeout_s` seconds.
        """
        loop = asyncio.get_running_loop()
        listening = [ListeningSocket(fileno=bound.detach()) for bound in sockets]
        self._descriptors = [bound.fileno() for bound in listening]
        handshake_s, shutdown_s = (timeout_s, CLOSE_TIMEOUT_S) if tls else (None, None)
        serve = partial(loop.create_server, ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=shutdown_s)
        try:
            for bound in listening:
                hold(bound.fileno())
                self._servers.append(await serve(self._link, sock=bound, ssl=tls, backlog=BACKLOG))
        except BaseException:
            await self.aclose()
            _close_all(listening)
            raise

    async def aclose(self) -> None:
        """Close the listening sockets; a connection in its TLS handshake is dropped when the handshake ends."""
        self._closed = True
        for descriptor in self._descriptors:
            release(descriptor)
        for server in self._servers:
            # Not wait_closed(): from Python 3.12 on it waits for every link to end.
            server.close()

    def _link(self) -> SocketLink:
        return SocketLink(self._receiver, self._remote_url)

    def _receiver(self) -> Receiver | None:
        return None if self._closed else self._receivers()


def _bind_all(addresses: list[tuple[int, Address]]) -> list[socket.socket]:
    """Bind one socket to each address. For port 0, all of them take the port that the system gives the first.

    That port may be taken at the second address: then the system is asked for another, a few times.
    """
    for _attempt in range(_PORTS_MAX):
        try:
            return _bind_each(addresses)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or addresses[0][1][1] != 0:
                raise
    return _bind_each(addresses)


def _bind_each(addresses: list[tuple[int, Address]]) -> list[socket.socket]:
    bound: list[socket.socket] = []
    for family, (host, wished_port, *rest) in addresses:
        port = bound[0].getsockname()[1] if bound else wished_port
        try:
            bound.append(_bind(family, (host, port, *rest)))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                _close_all(bound)
                raise
    if not bound:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return bound


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _bind(family: int, address: Address) -> socket.socket:
    """Return a non-blocking socket that is bound to `address`."""
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tune(made)  # the connections of a listener inherit it
        made.bind(address)
        made.setblocking(False)  # noqa: FBT003
    except BaseException:
        made.close()
        raise
    return made


# ── errors, and advice ────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _explained(url: str, *, timeout_s: float, encrypted: bool) -> Iterator[None]:
    """Turn the errors of a dial into `Unavailable` with a cause and advice."""
    try:
        yield
    except TimeoutError as error:
        raise _unavailable(Cause.TIMED_OUT, _timed_out(url, timeout_s, encrypted=encrypted)) from error
    except ssl.SSLError as error:
        raise _unavailable(*_tls_failed(url, error)) from error
    except OSError as error:
        raise _unavailable(*_unreachable(url, error, encrypted=encrypted)) from error


def _unavailable(cause: Cause, message: str) -> Unavailable:
    return Unavailable(message, cause=cause, started=False)


def _timed_out(url: str, timeout_s: float, *, encrypted: bool) -> str:
    message = f"{url} did not answer within {timeout_s:g} s; check the address, and whether a firewall drops the packets"
    if not encrypted:
        return message
    return f"{message}; or the server speaks no TLS: then dial {_plain(url)}, or serve {_scheme(url)}"


def _tls_failed(url: str, error: ssl.SSLError) -> tuple[Cause, str]:
    """Return the cause of a failed TLS handshake and its message."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Cause.UNTRUSTED_CERTIFICATE, (
            f"the certificate of {url} is not trusted: {error.verify_message}. With TLS.development() both sides need the same "
            "directory, and a server older than the certificate must be restarted; with TLS.production() pass ca="
        )
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE"):
        return Cause.TLS_FAILED, f"{url} speaks no TLS; dial it as {_plain(url)}, or have it serve {_scheme(url)}"
    refusal = refusal_of(error)
    if refusal:
        return Cause.CERTIFICATE_REFUSED, f"{url} refused this side: {refusal}"
    return Cause.TLS_FAILED, f"the TLS handshake with {url} failed: {error.reason or error}"


def _unreachable(url: str, error: OSError, *, encrypted: bool) -> tuple[Cause, str]:
    """Return the cause of a failed connection and its message."""
    if isinstance(error, socket.gaierror):
        message = f"the host of {url} cannot be found ({error.strerror}); check its spelling and your DNS"
        return Cause.UNKNOWN_HOST, message
    if error.errno == errno.ECONNREFUSED:
        return Cause.NOTHING_LISTENS, f"nothing listens at {url} (connection refused); start the server or check the port"
    if encrypted and isinstance(error, ConnectionError):
        return Cause.TLS_FAILED, (
            f"{url} closed the connection during the TLS handshake; it may speak no TLS (dial {_plain(url)}), "
            "or refuse this client"
        )
    return Cause.UNREACHABLE, f"{url} cannot be reached: {error}"


def _scheme(url: str) -> str:
    return url[: url.index("://") + 3]


def _plain(url: str) -> str:
    return "ws://" if _scheme(url) == "wss://" else "tcp://"


@contextlib.contextmanager
def _explained_listening(url: str) -> Iterator[None]:
    """Turn the errors of listening into `Unavailable` with a cause and advice."""
    try:
        yield
    except socket.gaierror as error:
        message = f"cannot listen at {url}: its host cannot be found ({error.strerror})"
        raise Unavailable(message, cause=Cause.UNKNOWN_HOST) from error
    except OSError as error:
        cause = Cause.ADDRESS_TAKEN if error.errno == errno.EADDRINUSE else Cause.ADDRESS_UNUSABLE
        advice = _LISTEN_ADVICE.get(error.errno or 0, str(error))
        raise Unavailable(f"cannot listen at {url}: {advice}", cause=cause) from error


_LISTEN_ADVICE = {
    errno.EADDRINUSE: "the port is taken; stop the other server, choose another port, or port 0 for any",
    errno.EACCES: "not permitted; ports below 1024 need privileges",
    errno.EADDRNOTAVAIL: "this machine has no such address; 127.0.0.1 is this machine only, 0.0.0.0 all its addresses",
}
