"""`penstock describe`: the services of a server, and a search among them, as an outline or as JSON with JSON Schema."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from penstock import TLS, Reconnect, connect
from penstock.cli._options import Reach
from penstock.cli._run import OK, Unusable, harmless_json, print_notice
from penstock.codec import with_references
from penstock.errors import Cause, InvalidArgument, Unavailable, Unimplemented
from penstock.peer import BUILT_IN, Peer, find_method, services_of
from penstock.service import MethodDescription, ServiceDescription, suggest

#: How long connecting may take, unless the call as a whole has less.
CONNECT_TIMEOUT_S: Final = 10.0
#: Advice in terms of the command line, where the message of the error speaks of Python.
_CONNECTING_ADVICE: Final[dict[Cause | None, str]] = {
    Cause.UNTRUSTED_CERTIFICATE: "on the command line: --dev-tls for a server with --dev-tls, --tls-ca PATH for other servers",
    Cause.CERTIFICATE_REFUSED: "on the command line: --cert PATH and --key PATH",
    Cause.LOST: "it closed the connection before the handshake: perhaps it is a tls:// server, or not a Penstock server",
}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


async def show(url: str, name: str | None, tls: TLS | None, metadata: dict[str, str], *, as_json: bool) -> int:
    """Print the services of the server at `url`, or only the one called `name`."""
    async with connecting(url, tls) as peer:
        services = await services_of(peer, metadata)
    services = [find_service(services, name)] if name else without_built_in(services)
    if not services:
        print_notice(
            f"no service at {url}. The actors of a node are called by name: `penstock call {url} /ACTOR/accepts` shows the "
            f"methods of one, and `penstock call {url} /ACTOR/METHOD` calls one"
        )
    if as_json or not sys.stdout.isatty():
        print(harmless_json(document(services)), flush=True)
    else:
        from penstock.cli._format import draw

        draw(services, url)
    return OK


@asynccontextmanager
async def connecting(
    url: str, tls: TLS | None, timeout_s: float = CONNECT_TIMEOUT_S, *, reconnect: Reconnect | None = None
) -> AsyncIterator[Peer]:
    """Connect to `url`. Without `reconnect`, a person or a script sees a loss at once, by the exit code.

    Raises `Unusable` for a URL or certificate that cannot be used, `Unavailable` when no server answers.
    """
    logging.getLogger("penstock").setLevel(logging.CRITICAL)  # warnings of the connection would repeat the error
    async with AsyncExitStack() as stack:
        try:
            reach = Reach.here()
            peer = await stack.enter_async_context(
                connect(url, tls=tls, timeout=timeout_s, reconnect=reconnect, token=reach.token)
            )
        except InvalidArgument as error:
            raise Unusable(error.message) from None
        except Unavailable as error:
            error.__notes__ = [_CONNECTING_ADVICE[error.cause]] if error.cause in _CONNECTING_ADVICE else []
            raise
        yield peer


def find_service(services: Sequence[ServiceDescription], name: str) -> ServiceDescription:
    """Return a service by its name, or with one method alone by "Service/method". Raises `Unimplemented`."""
    title, slash, _method = name.partition("/")
    found = next((service for service in services if service.name == title), None)
    if found is None:
        hint = suggest(title, [service.name for service in services], "services")
        raise Unimplemented(f"unknown service {title!r}; {hint}")
    return msgspec.structs.replace(found, methods=[find_method(services, name)]) if slash else found


def without_built_in(services: Sequence[ServiceDescription]) -> list[ServiceDescription]:
    """Return the services without the built-in one that describes them."""
    return [service for service in services if service.name != BUILT_IN]


# ── as one document ───────────────────────────────────────────────────────────────────────────────────────────────────


def document(services: Sequence[ServiceDescription]) -> str:
    """Return the services as JSON. Types are JSON Schema 2020-12; every ``$ref`` is found in the document."""
    definitions: dict[str, Any] = {}
    described = [_service(service, definitions) for service in services]
    whole = {"$schema": _DIALECT, "services": described, "$defs": dict(sorted(definitions.items()))}
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _service(service: ServiceDescription, definitions: dict[str, Any]) -> dict[str, Any]:
    """Describe one service. Its types are added to `definitions`, under a longer name where another service uses the name."""
    taken = {
        name: f"{service.name}.{name}"
        for name, schema in service.definitions.items()
        if definitions.get(name, schema) != schema
    }
    for name, schema in service.definitions.items():
        definitions[taken.get(name, name)] = with_references(schema, taken)
    methods = [with_references(_method(method), taken) for method in service.methods]
    return {"name": service.name, "doc": service.doc, "methods": methods}


def _method(method: MethodDescription) -> dict[str, Any]:
    """Describe one method; its parameters are one JSON Schema object."""
    return {
        "name": method.name,
        "target": method.target,
        "kind": method.kind,
        "doc": method.doc,
        "idempotent": method.idempotent,
        "parameters": {
            "type": "object",
            "properties": {parameter.name: parameter.schema for parameter in method.parameters},
            "required": [parameter.name for parameter in method.parameters if parameter.required],
            "additionalProperties": False,
        },
        "request": method.request,
        "response": method.response,
    }
