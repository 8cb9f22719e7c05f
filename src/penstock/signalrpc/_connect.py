"""`connect`: a peer at the URL of a relay."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from penstock.peer import Reconnect
from penstock.signalrpc._peer import RpcPeer
from penstock.signalrpc._wire import Carried
from penstock.transports import DIAL_TIMEOUT_S, TLS, dial_texts

#: The largest message that is taken: twice that which a relay passes on by default.
TEXT_BYTES: Final = 2 * 1024 * 1024


def connect(url: str, *, token: str = "", tls: TLS | None = None, **options: Any) -> RpcPeer:
    """Return a peer at a relay, ``ws://host:port/topic``; ``async with`` connects and closes it.

    ::

        async with signalrpc.connect("ws://127.0.0.1:8080/room", name="viewer") as peer:
            response = await peer.request({"method": "requestData"})

    token: for the rules of the relay; it travels in the URL, as the original has it. tls: for ``wss://``. options: those of
    `RpcPeer`. A lost connection is made again by default; ``reconnect=None`` ends the peer with it.
    Needs the extra ``penstock[web]``.
    """
    options.setdefault("reconnect", Reconnect())
    return RpcPeer(partial(_dial, url, token, tls), **options)


async def _dial(url: str, token: str, tls: TLS | None, receiver: Any, session_id: str) -> Carried:
    parts = urlsplit(url)
    added = [f"{name}={quote(text, safe='')}" for name, text in (("token", token), ("sessionId", session_id)) if text]
    query = "&".join([parts.query, *added] if parts.query else added)
    return await dial_texts(urlunsplit(parts._replace(query=query)), receiver, TEXT_BYTES, tls=tls, timeout_s=DIAL_TIMEOUT_S)
