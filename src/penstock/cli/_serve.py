"""`penstock serve`: objects of a module at one or more URLs until a signal says stop. This module never handles a call."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

import msgspec

from penstock import TLS, Server
from penstock import serve as serving
from penstock.cli._load import make
from penstock.cli._run import OK, Unusable, tell
from penstock.cli._schema import example
from penstock.errors import InvalidArgument
from penstock.service import MethodDescription, ServiceDescription, describe, service_of

#: Schemes that a TLS configuration is for.
ENCRYPTED: Final = ("tls",)


class Served(NamedTuple):
    """What the command line asks for. `found` is each spec with what it names."""

    found: Sequence[tuple[str, object]]
    urls: Sequence[str]
    tls: TLS | None
    expose_errors: bool
    grace_s: float
    hint: Sequence[str]


async def serve(served: Served, stopping: asyncio.Event) -> int:
    """Serve until `stopping`; then calls that run have `grace_s` seconds. Cancelling it cuts them short."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    async with AsyncExitStack() as stack:
        services = [await make(found, spec, stack) for spec, found in served.found]
        server = await _begin(services, served, stack)
        _announce(server, services, served.hint)
        await stopping.wait()
        await _drain(server, served.grace_s)
    return OK


def is_encrypted(url: str) -> bool:
    """Whether what listens at `url` needs a TLS configuration."""
    return url.partition("://")[0] in ENCRYPTED


async def _begin(services: Sequence[object], served: Served, stack: AsyncExitStack) -> Server:
    if any(url.startswith("memory://") for url in served.urls):
        raise Unusable("nobody can reach memory:// in this process from another one; listen at tcp://, tls:// or unix://")
    try:
        server = await stack.enter_async_context(serving(*services, listen=[], expose_errors=served.expose_errors))
        for url in served.urls:
            await server.listen(url, served.tls if is_encrypted(url) else None)
    except (TypeError, ValueError, InvalidArgument) as error:
        raise Unusable(str(error)) from None
    return server


async def _drain(server: Server, grace_s: float) -> None:
    busy = sum(peer.busy for peer in server.peers)
    if busy:
        tell(f"stopping: calls of {busy} peer{'s' * (busy > 1)} have {grace_s:g} s to end; once more stops at once")
    if not await server.aclose(grace_s):
        tell(f"stopped; what still ran after {grace_s:g} s was cancelled (--grace gives more time)")


# ── what is printed ───────────────────────────────────────────────────────────────────────────────────────────────────


def _announce(server: Server, services: Sequence[object], hint: Sequence[str]) -> None:
    """Say what is served where, for people and for programs: each URL ends a line that begins with "at"."""
    descriptions = [describe(service_of(type(service))) for service in services]
    print("serving", ", ".join(service.name for service in descriptions))
    for url in server.urls:
        print("at", url)
    print("try", _example_call(server.urls[0], descriptions[0], hint))
    sys.stdout.flush()


def _example_call(url: str, service: ServiceDescription, hint: Sequence[str]) -> str:
    """Return a command line that calls the first method, or the first that reads no items where there is one."""
    method = min(service.methods, key=lambda method: method.request is not None)
    words = ["penstock", "call", *(hint if is_encrypted(url) else ()), url, method.target, *_example_argument(method, service)]
    line = " ".join(shlex.quote(word) for word in words)
    if method.request is None:
        return line
    return f"echo {shlex.quote(_text(example(method.request, service.definitions)))} | {line}"


def _example_argument(method: MethodDescription, service: ServiceDescription) -> list[str]:
    required = {p.name: example(p.schema, service.definitions) for p in method.parameters if p.required}
    if not required:
        return []
    return [_text(required if len(method.parameters) > 1 else next(iter(required.values())))]


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
