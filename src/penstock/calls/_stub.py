"""A peer's service as an object with the methods of its class. This module never touches a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from penstock.calls._remote_stream import RemoteStream, single_result
from penstock.calls._request import Request
from penstock.codec import MSGPACK, decode_marked
from penstock.service import DEFAULT, CallOptions, Method, Service, changed, suggest
from penstock.streams import Dropped

if TYPE_CHECKING:
    from penstock.peer import Peer


class Stub:
    """Stands for a service elsewhere. Its methods are made when they are first asked for."""

    def __init__(self, peer: Peer, service: Service, options: CallOptions = DEFAULT) -> None:
        self._penstock_peer = peer
        self._penstock_service = service
        self._penstock_options = options

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):  # Python looks for these by itself, before there is a service
            raise AttributeError(name)
        service = self._penstock_service
        method = service.methods.get(name)
        if method is None:
            raise AttributeError(f"{service.name} has no method {name!r}; {suggest(name, list(service.methods))}")
        bound = bind(self._penstock_peer, method, self._penstock_options)
        self.__dict__[name] = bound
        return bound

    def _penstock_with_options(self, changes: Mapping[str, Any]) -> Stub:
        return Stub(self._penstock_peer, self._penstock_service, changed(self._penstock_options, changes))

    def __repr__(self) -> str:
        return f"<{self._penstock_service.name} at {self._penstock_peer.remote}, {len(self._penstock_service.methods)} methods>"


def bind(peer: Peer, method: Method, options: CallOptions) -> Callable[..., Any]:
    """Make the function that calls `method` of `peer`."""
    arguments, codec = method.arguments, MSGPACK
    decode = decode_marked(codec, method.response, Dropped) if method.streams_responses else codec.decode_for(method.response)

    def request(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Request, Any]:
        argument, requests = arguments.encode(codec, args, kwargs)
        return Request(method.target, method.kind, codec, argument, decode, options), requests

    async def unary(*args: Any, **kwargs: Any) -> Any:
        return await peer.unary(request(args, kwargs)[0])

    async def client_streaming(*args: Any, **kwargs: Any) -> Any:
        return await single_result(RemoteStream(peer, *request(args, kwargs)))

    def streaming(*args: Any, **kwargs: Any) -> RemoteStream[Any]:
        return RemoteStream(peer, *request(args, kwargs))

    made = streaming if method.streams_responses else client_streaming if method.streams_requests else unary
    made.__name__ = made.__qualname__ = method.name
    made.__doc__ = method.doc
    return made
