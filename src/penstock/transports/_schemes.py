"""Which transport carries a URL: by its scheme. `dial` and `listen` ask here, and `register` adds one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from penstock.errors import AlreadyExists, InvalidArgument
from penstock.transports._abc import HANDSHAKE_TIMEOUT_S, Link, Listener, Receiver, Transport
from penstock.transports._memory import MemoryTransport
from penstock.transports._tcp import TcpTransport
from penstock.transports._tls import TLS
from penstock.transports._unix import UnixTransport
from penstock.transports._url import scheme_of
from penstock.transports.websocket import TextLink, TextReceiver, WebSocketTransport

#: How long `dial` waits by default: time for three SYN retries, and about as long as a person waits.
DIAL_TIMEOUT_S = 10.0


class _Scheme(NamedTuple):
    transport: Transport
    encrypted: bool


_SCHEMES: dict[str, _Scheme] = {}

#: The encrypted schemes, by the plain ones of the same kind.
_ENCRYPTED = {"tcp": "tls", "ws": "wss"}


async def dial(url: str, receiver: Receiver, *, tls: TLS | None = None, timeout_s: float = DIAL_TIMEOUT_S) -> Link:
    """Connect `receiver` to the peer at `url` and return the link.

    `tls` is needed for `tls://` and refused for every other scheme. `timeout_s` covers the connection and the TLS handshake, in
    seconds. Raises `Unavailable`, with a `cause` and advice, when the peer does not answer in time, refuses, or is not trusted;
    `InvalidArgument` for a URL that cannot be read. Cancelling it closes the socket.
    """
    scheme = _scheme(url, tls)
    context = tls.client_context() if tls is not None else None
    return await scheme.transport.dial(url, receiver, tls=context, timeout_s=timeout_s)


async def dial_texts(
    url: str, receiver: TextReceiver, text_bytes: int, *, tls: TLS | None = None, timeout_s: float = DIAL_TIMEOUT_S
) -> TextLink:
    """Connect `receiver` to the WebSocket at `url`, for messages that are texts of at most `text_bytes`, and return the link.

    Its rules and its errors are those of `dial`. Raises `InvalidArgument` for a URL that is neither `ws://` nor `wss://`.
    """
    transport = _scheme(url, tls).transport
    if not isinstance(transport, WebSocketTransport):
        raise InvalidArgument(f"{url.partition('?')[0]} carries no texts: dial ws:// or wss://")
    context = tls.client_context() if tls is not None else None
    return await transport.dial_texts(url, receiver, text_bytes, tls=context, timeout_s=timeout_s)


async def listen(
    url: str,
    receivers: Callable[[], Receiver],
    *,
    tls: TLS | None = None,
    timeout_s: float = HANDSHAKE_TIMEOUT_S,
    origins: Collection[str] = (),
) -> Listener:
    """Listen at `url` and return the listener; `receivers` makes the receiver of each link, after its TLS handshake.

    A client may take `timeout_s` seconds for that handshake. `tls` is needed for `tls://` and `wss://`, and refused for every
    other scheme. `origins` are the web pages that may connect, at a URL that browsers can dial.
    Raises `Unavailable`, with a `cause`, when the address is taken or cannot be used; `InvalidArgument` for a URL that cannot
    be read. Cancelling it leaves nothing open. Close the listener with `aclose`; its `url` has the real port when 0 was asked
    for.
    """
    scheme = _scheme(url, tls)
    context = tls.server_context() if tls is not None else None
    return await scheme.transport.listen(url, receivers, tls=context, timeout_s=timeout_s, origins=origins)


def tls_of_each(urls: Sequence[str], tls: TLS | None) -> dict[str, TLS | None]:
    """Return the `tls` of each URL: the encrypted ones share the given one, the others have None.

    Raises `InvalidArgument` for an unknown scheme, for an encrypted URL without `tls`, and for `tls` without an encrypted URL.
    """
    encrypted = {url: _SCHEMES[scheme_of(url, _SCHEMES)].encrypted for url in urls}
    shared = any(encrypted.values())
    chosen = {url: tls if encrypted[url] or not shared else None for url in urls}
    for url in urls:
        _scheme(url, chosen[url])
    return chosen


def register(scheme: str, transport: Transport, *, encrypted: bool = False) -> None:
    """Let `transport` carry the URLs that start with `scheme`.

    An `encrypted` scheme needs `tls=` when it is dialled or listened at. Raises `AlreadyExists` for a registered scheme.
    """
    if scheme in _SCHEMES:
        raise AlreadyExists(f"the scheme {scheme}:// is registered for {_SCHEMES[scheme].transport!r}")
    _SCHEMES[scheme] = _Scheme(transport, encrypted)


def unregister(scheme: str) -> None:
    """Undo `register`; live links stay up. Unknown schemes are ignored."""
    _SCHEMES.pop(scheme, None)


def _scheme(url: str, tls: TLS | None) -> _Scheme:
    """Return the registered scheme of `url`, after checking that `tls` fits it."""
    name = scheme_of(url, _SCHEMES)
    scheme = _SCHEMES[name]
    if scheme.encrypted and tls is None:
        raise InvalidArgument(
            f"{url} needs tls=: penstock.TLS.development() makes a certificate for this machine, "
            "penstock.TLS.production(cert, key, ca) uses yours"
        )
    if tls is not None and not scheme.encrypted:
        raise InvalidArgument(
            f"tls= was given and {name}:// is not encrypted; use {_ENCRYPTED.get(name, 'tls')}://, or leave tls= out"
        )
    return scheme


register("memory", MemoryTransport())
register("tcp", TcpTransport("tcp"))
register("tls", TcpTransport("tls"), encrypted=True)
register("unix", UnixTransport())
register("ws", WebSocketTransport("ws"))
register("wss", WebSocketTransport("wss"), encrypted=True)
