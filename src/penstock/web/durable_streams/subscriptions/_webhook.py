"""One request to a webhook. A client names its URL, so it must not lead into the network of this server."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from penstock.errors import FailedPrecondition
from penstock.web.durable_streams._settings import Webhooks

#: Seconds that a webhook has for its answer, and bytes of it that are read.
WEBHOOK_ANSWER_S: Final = 30.0
WEBHOOK_ANSWER_BYTES: Final = 64 * 1024
WEBHOOK_URL_MAX: Final = 2048


class Target(NamedTuple):
    """The URL of a webhook, in parts. path: with the query."""

    tls: bool
    host: str
    port: int
    path: str


def target_of(url: str, allowed: Webhooks) -> Target:
    """Return the parts of the URL of a webhook. Raises `ValueError` for one that is not called."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None or len(url) > WEBHOOK_URL_MAX:
        raise ValueError("it has to be https://host/path")
    if not url.isprintable() or " " in url:
        raise ValueError("it has characters that no URL has")
    local = host == "localhost" or _is_loopback(host)
    if not tls and not (allowed == "local" and local):
        raise ValueError("it has to be https; http is for webhooks on this machine, where the server allows them")
    if tls and local and allowed != "local":
        raise ValueError("it leads to this machine")
    if _is_address(host) and not local and not ipaddress.ip_address(host).is_global:
        raise ValueError("it leads into a private network")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Target(tls, host, parts.port or (443 if tls else 80), path)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


async def call(target: Target, allowed: Webhooks, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Post a body to a webhook. Return the status, and the beginning of the answer. It follows no redirection.

    Raises `OSError` and `ValueError` without an answer, and where the name of its host leads into a private network: the
    address that was checked is the one that is called. Safe to cancel.
    """
    async with asyncio.timeout(WEBHOOK_ANSWER_S):
        address = await _address_of(target, allowed)
        context = ssl.create_default_context() if target.tls else None
        name = target.host if target.tls else None
        reader, writer = await asyncio.open_connection(address, target.port, ssl=context, server_hostname=name)
        try:
            speaking, request = _request_to(target, body, headers)
            writer.write(request)
            await writer.drain()
            return await _answer(speaking, reader)
        finally:
            writer.close()


async def _address_of(target: Target, allowed: Webhooks) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    for *_, where in found:
        address = ipaddress.ip_address(where[0])
        if address.is_global or (allowed == "local" and address.is_loopback):
            return str(address)
    raise ValueError(f"{target.host} leads into a private network")


def _request_to(target: Target, body: bytes, headers: Mapping[str, str]) -> tuple[Any, bytes]:
    """Return the state of one conversation of HTTP, and the request that begins it."""
    h11 = _h11()
    host = f"[{target.host}]" if ":" in target.host else target.host
    fields = {"host": f"{host}:{target.port}", "content-length": str(len(body)), "connection": "close", **headers}
    speaking = h11.Connection(h11.CLIENT)
    begun = speaking.send(h11.Request(method="POST", target=target.path, headers=list(fields.items())))
    return speaking, (begun or b"") + (speaking.send(h11.Data(body)) or b"") + (speaking.send(h11.EndOfMessage()) or b"")


async def _answer(speaking: Any, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read the status and the beginning of the answer. Raises `ValueError` for one that is not HTTP, or is cut."""
    h11 = _h11()
    status, answer = 0, b""
    try:
        while len(answer) < WEBHOOK_ANSWER_BYTES:
            event = speaking.next_event()
            if event is h11.NEED_DATA:
                speaking.receive_data(await reader.read(WEBHOOK_ANSWER_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                answer += event.data
            elif not isinstance(event, h11.InformationalResponse):
                break
    except h11.RemoteProtocolError as error:
        raise ValueError(f"the answer is not HTTP: {error}") from None
    if not status:
        raise ValueError("the connection ended without an answer")
    return status, answer[:WEBHOOK_ANSWER_BYTES]


def _h11() -> ModuleType:
    try:
        import h11
    except ImportError:
        raise FailedPrecondition("webhooks need the package h11: pip install 'penstock[web]'") from None
    return h11
