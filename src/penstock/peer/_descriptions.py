"""What a peer says of its methods: for callers that have no class of the service, as a command or a request of HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from penstock.calls import Request, call_unary
from penstock.codec import MSGPACK
from penstock.errors import InvalidArgument, PermissionDenied, Unauthenticated, Unimplemented
from penstock.peer._peer import Peer
from penstock.protocol import CallKind
from penstock.service import CallOptions, MethodDescription, ServiceDescription, suggest, unknown_method

#: The built-in service, and its method that describes the others.
BUILT_IN: Final = "Penstock"
DESCRIBE: Final = f"{BUILT_IN}/describe"
#: How long a server may take to describe itself.
DESCRIBE_TIMEOUT_S: Final = 10.0


async def services_of(
    peer: Peer, metadata: Mapping[str, str], timeout_s: float = DESCRIBE_TIMEOUT_S
) -> list[ServiceDescription]:
    """Ask the peer for its services. Raises `Unimplemented` when it does not describe itself."""
    options = CallOptions(timeout=timeout_s, metadata=dict(metadata))
    decode = MSGPACK.decode_for(list[ServiceDescription])
    try:
        services: list[ServiceDescription] = await call_unary(
            peer._scope, Request(DESCRIBE, CallKind.UNARY, MSGPACK, None, decode, options)
        )
    except (Unimplemented, PermissionDenied, Unauthenticated) as error:
        raise type(error)(f"{peer.remote} does not describe itself ({DESCRIBE}): {error.message}") from error
    return services


async def method_called(
    peer: Peer, target: str, metadata: Mapping[str, str], timeout_s: float = DESCRIBE_TIMEOUT_S
) -> MethodDescription:
    """Ask the peer, or the actor there, to describe the method called `target`: "Service/method" or "/actor/method"."""
    if not target.startswith("/"):
        return find_method(await services_of(peer, metadata, timeout_s), target)
    address, _slash, name = target.rpartition("/")
    options = CallOptions(timeout=timeout_s, metadata=dict(metadata))
    decode = MSGPACK.decode_for(list[MethodDescription])
    methods: list[MethodDescription] = await call_unary(
        peer._scope, Request(f"{address}/accepts", CallKind.UNARY, MSGPACK, None, decode, options)
    )
    found = next((method for method in methods if method.name == name), None)
    if found is None:
        raise Unimplemented(unknown_method(name, address, [method.name for method in methods]))
    return msgspec.structs.replace(found, target=target)


def find_method(services: Sequence[ServiceDescription], target: str) -> MethodDescription:
    """Return the method called "Service/method". Raises `Unimplemented` with a guess at the name that was meant."""
    methods = {method.target: method for service in services for method in service.methods}
    method = methods.get(target)
    if method is not None:
        return method
    service, slash, name = target.partition("/")
    served = next((one for one in services if one.name == service), None)
    if served is None:
        names = list(methods) if slash or service not in _names(methods) else [t for t in methods if t.endswith(f"/{service}")]
        raise Unimplemented(f"unknown service {service!r}; {suggest(target, names, 'methods')}")
    if not slash:
        raise InvalidArgument(f"{service} is a service; name one of its methods: {', '.join(m.target for m in served.methods)}")
    raise Unimplemented(unknown_method(name, service, [method.name for method in served.methods]))


def _names(targets: Mapping[str, Any]) -> set[str]:
    return {target.partition("/")[2] for target in targets}
