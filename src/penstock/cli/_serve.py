"""`penstock serve`: objects of a module at one or more URLs, until a signal stops it."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple

import msgspec

from penstock import TLS, Server, Settings
from penstock import serve as serving
from penstock._stalls import Stalls
from penstock.cli._format import example
from penstock.cli._load import make
from penstock.cli._logs import log_to_stderr
from penstock.cli._run import OK, Unusable, noting_a_slow_stop, print_notice
from penstock.errors import InvalidArgument
from penstock.service import MethodDescription, ServiceDescription, describe, served

#: Schemes that a TLS configuration is for.
ENCRYPTED: Final = ("tls", "wss", "https")


class ServeOptions(NamedTuple):
    """The options of `penstock serve`. loaded: each MODULE:CLASS with the object that it names."""

    loaded: Sequence[tuple[str, object]]
    urls: Sequence[str]
    tls: TLS | None
    expose_errors: bool
    grace_s: float
    hint: Sequence[str]
    origins: Sequence[str]
    trust: dict[str, Any]


async def serve(options: ServeOptions, stopping: asyncio.Event) -> int:
    """Serve until `stopping` is set; then running calls have `grace_s` seconds to end. Cancelling it ends them at once."""
    log_to_stderr()
    async with AsyncExitStack() as stack:
        stop_begins = stack.enter_context(noting_a_slow_stop())
        await stack.enter_async_context(Stalls())
        services = [await make(loaded, spec, stack) for spec, loaded in options.loaded]
        server = await _begin(services, options, stack)
        _announce(server, services, options.hint)
        await stopping.wait()
        stop_begins()
        await _drain(server, options.grace_s)
    return OK


def is_encrypted(url: str) -> bool:
    """Whether a listener at `url` needs a TLS configuration."""
    return url.partition("://")[0] in ENCRYPTED


async def _begin(services: Sequence[object], options: ServeOptions, stack: AsyncExitStack) -> Server:
    try:
        settings = Settings(origins=tuple(options.origins))
        behind = {"settings": settings, "expose_errors": options.expose_errors, **options.trust}
        server = await stack.enter_async_context(serving(*services, listen=[], **behind))
        await server.listen(*options.urls, tls=options.tls)
    except (TypeError, ValueError, InvalidArgument) as error:
        raise Unusable(str(error)) from None
    return server


async def _drain(server: Server, grace_s: float) -> None:
    busy = server.busy
    if busy:
        print_notice(
            f"stopping: calls of {busy} peer{'s' * (busy > 1)} have {grace_s:g} s to end; a second signal stops at once"
        )
    if not await server.aclose(grace_s):
        print_notice(f"stopped; calls that still ran after {grace_s:g} s were cancelled (--grace gives them more time)")


# ── printing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _announce(server: Server, services: Sequence[object], hint: Sequence[str]) -> None:
    """Print the services and their URLs. Programs may rely on the lines that begin with "at": each ends with a URL."""
    descriptions = [describe(served(service).schema) for service in services]
    print("serving", ", ".join(service.name for service in descriptions))
    for url in server.urls:
        print("at", url)
    print("try", _example_call(server.urls[0], descriptions[0], hint))
    sys.stdout.flush()


def _example_call(url: str, service: ServiceDescription, hint: Sequence[str]) -> str:
    """Return a command line that calls a method: the first one that reads no items, or else the first one."""
    method = min(service.methods, key=lambda method: method.request is not None)
    url = f"ws{url.removeprefix('http')}" if url.startswith("http") else url  # a session runs over its WebSocket
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
