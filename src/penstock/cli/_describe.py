"""What a server serves: asked of it, searched, and as one JSON document with JSON Schema. It never looks into a type."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from penstock import TLS, connect
from penstock.calls import Request
from penstock.cli._run import OK, Unusable
from penstock.cli._schema import reference
from penstock.codec import MSGPACK
from penstock.errors import InvalidArgument, PermissionDenied, Unauthenticated, Unavailable, Unimplemented
from penstock.peer import Peer
from penstock.protocol import CallKind
from penstock.service import CallOptions, MethodDescription, ServiceDescription, suggest

#: The built-in service that describes the others.
DESCRIBE: Final = "Penstock/describe"
#: How long connecting may take, unless the call as a whole has less.
CONNECT_TIMEOUT_S: Final = 10.0
#: How long a server may take to describe itself.
DESCRIBE_TIMEOUT_S: Final = 10.0
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


async def show(url: str, name: str | None, tls: TLS | None, metadata: dict[str, str], *, as_json: bool) -> int:
    """Print what the server at `url` serves, or the one service called `name`."""
    async with connecting(url, tls) as peer:
        services = await ask(peer, metadata)
    services = [find_service(services, name)] if name else without_built_in(services)
    if as_json or not sys.stdout.isatty():
        print(document(services), flush=True)
    else:
        from penstock.cli._outline import draw

        draw(services, url)
    return OK


@asynccontextmanager
async def connecting(url: str, tls: TLS | None, timeout_s: float = CONNECT_TIMEOUT_S) -> AsyncIterator[Peer]:
    """Connect to `url`. Raises `Unusable` for a URL or certificate that cannot be used, `Unavailable` when nobody answers."""
    logging.getLogger("penstock").setLevel(logging.CRITICAL)  # what else it would warn of is told once, as the error
    async with AsyncExitStack() as stack:
        try:
            peer = await stack.enter_async_context(connect(url, tls=tls, timeout=timeout_s))
        except InvalidArgument as error:
            raise Unusable(error.message) from None
        except Unavailable as error:
            error.__notes__ = _connecting_advice(error.message)
            raise
        yield peer


def _connecting_advice(message: str) -> list[str]:
    """Say in terms of the command line what the message says in terms of Python, or nothing."""
    if "is not trusted" in message:
        return ["here: --dev-tls for a server with --dev-tls, --tls-ca PATH for an authority of your own"]
    if "was lost" in message:
        return ["it closed the connection before it greeted: a tls:// server, perhaps, or none of Penstock"]
    return []


async def ask(peer: Peer, metadata: dict[str, str], timeout_s: float = DESCRIBE_TIMEOUT_S) -> list[ServiceDescription]:
    """Ask the peer what it serves. Raises `Unimplemented` when it does not say."""
    options = CallOptions(timeout=timeout_s, metadata=metadata)
    decode = MSGPACK.decode_for(list[ServiceDescription])
    try:
        services: list[ServiceDescription] = await peer.unary(Request(DESCRIBE, CallKind.UNARY, MSGPACK, None, decode, options))
    except (Unimplemented, PermissionDenied, Unauthenticated) as error:
        raise type(error)(f"{peer.remote} does not describe itself ({DESCRIBE}), which this needs: {error.message}") from error
    return services


async def method_called(
    peer: Peer, target: str, metadata: dict[str, str], timeout_s: float = DESCRIBE_TIMEOUT_S
) -> MethodDescription:
    """Ask the peer, or the actor there, to describe the method called `target`: "Service/method" or "/actor/method"."""
    if not target.startswith("/"):
        return find_method(await ask(peer, metadata, timeout_s), target)
    address, _slash, name = target.rpartition("/")
    options = CallOptions(timeout=timeout_s, metadata=metadata)
    decode = MSGPACK.decode_for(list[MethodDescription])
    methods: list[MethodDescription] = await peer.unary(
        Request(f"{address}/accepts", CallKind.UNARY, MSGPACK, None, decode, options)
    )
    found = next((method for method in methods if method.name == name), None)
    if found is None:
        raise Unimplemented(f"{address} has no method {name!r}; {suggest(name, [method.name for method in methods])}")
    return msgspec.structs.replace(found, target=target)


def find_method(services: Sequence[ServiceDescription], target: str) -> MethodDescription:
    """Return the method called "Service/method". Raises `Unimplemented` that says what may have been meant."""
    methods = {method.target: method for service in services for method in service.methods}
    found = methods.get(target)
    if found is not None:
        return found
    service, slash, name = target.partition("/")
    here = next((known for known in services if known.name == service), None)
    if here is None:
        names = list(methods) if slash or service not in _names(methods) else [t for t in methods if t.endswith(f"/{service}")]
        raise Unimplemented(f"there is no service {service!r} here; {suggest(target, names)}")
    if not slash:
        raise InvalidArgument(f"{service} is a service; name one of its methods: {', '.join(m.target for m in here.methods)}")
    raise Unimplemented(f"{service} has no method {name!r}; {suggest(name, [method.name for method in here.methods])}")


def find_service(services: Sequence[ServiceDescription], name: str) -> ServiceDescription:
    """Return a service by its name, or with one method alone by "Service/method". Raises `Unimplemented`."""
    wanted, slash, _method = name.partition("/")
    found = next((service for service in services if service.name == wanted), None)
    if found is None:
        raise Unimplemented(f"there is no service {wanted!r} here; {suggest(wanted, [service.name for service in services])}")
    return msgspec.structs.replace(found, methods=[find_method(services, name)]) if slash else found


def without_built_in(services: Sequence[ServiceDescription]) -> list[ServiceDescription]:
    """Return the services that somebody wrote for this server."""
    return [service for service in services if service.name != DESCRIBE.partition("/")[0]]


def _names(targets: Mapping[str, Any]) -> set[str]:
    return {target.partition("/")[2] for target in targets}


# ── as one document ───────────────────────────────────────────────────────────────────────────────────────────────────


def document(services: Sequence[ServiceDescription]) -> str:
    """Return the services as JSON. Types are JSON Schema 2020-12; every ``$ref`` is found in the document."""
    definitions: dict[str, Any] = {}
    described = [_service(service, definitions) for service in services]
    whole = {"$schema": _DIALECT, "services": described, "$defs": dict(sorted(definitions.items()))}
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _service(service: ServiceDescription, definitions: dict[str, Any]) -> dict[str, Any]:
    """Describe one service; its types join `definitions`, under a longer name where another service has taken theirs."""
    taken = {
        name: f"{service.name}.{name}"
        for name, schema in service.definitions.items()
        if definitions.get(name, schema) != schema
    }
    for name, schema in service.definitions.items():
        definitions[taken.get(name, name)] = _renamed(schema, taken)
    methods = [_renamed(_method(method), taken) for method in service.methods]
    return {"name": service.name, "doc": service.doc, "methods": methods}


def _method(method: MethodDescription) -> dict[str, Any]:
    return {
        "name": method.name,
        "target": method.target,
        "kind": method.kind,
        "doc": method.doc,
        "parameters": {
            "type": "object",
            "properties": {parameter.name: parameter.schema for parameter in method.parameters},
            "required": [parameter.name for parameter in method.parameters if parameter.required],
            "additionalProperties": False,
        },
        "request": method.request,
        "response": method.response,
    }


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    if isinstance(part, list):
        return [_renamed(one, names) for one in part]
    if not isinstance(part, dict):
        return part
    name = reference(part)
    if name in names:
        return {**part, "$ref": f"#/$defs/{names[name]}"}
    return {key: _renamed(value, names) for key, value in part.items()}
