"""`Stub`: a peer's service as an object with the methods of its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.calls._context import Interceptor
from penstock.calls._request import Request
from penstock.calls._scope import CallScope
from penstock.calls._stream import RemoteStream, single_result
from penstock.calls._unary import call_unary
from penstock.codec import MSGPACK, decode_marked
from penstock.errors import Unimplemented
from penstock.service import DEFAULT, CallOptions, Method, Service, changed
from penstock.streams import Dropped


class Stub:
    """A service at the other side, with the methods of its class. Each method is made at its first use."""

    def __init__(self, scope: CallScope, service: Service, options: CallOptions = DEFAULT) -> None:
        self._penstock_scope = scope
        self._penstock_service = service
        self._penstock_options = options

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):  # Python looks these up by itself, also before `__init__` has run
            raise AttributeError(name)
        try:
            method = self._penstock_service.method(name)
        except Unimplemented as error:
            raise AttributeError(error.message) from None
        bound = bind(self._penstock_scope, method, self._penstock_options)
        self.__dict__[name] = bound
        return bound

    def __dir__(self) -> list[str]:
        """Offer the methods of the service to completion."""
        return list(self._penstock_service.methods)

    def _penstock_with_options(self, changes: Mapping[str, Any]) -> Stub:
        return Stub(self._penstock_scope, self._penstock_service, changed(self._penstock_options, changes))

    def __repr__(self) -> str:
        service = self._penstock_service
        return f"<{service.name} at {self._penstock_scope.remote}, {len(service.methods)} methods>"


def bind(scope: CallScope, method: Method, options: CallOptions, guard: Interceptor | None = None) -> Callable[..., Any]:
    """Return the function that calls `method` at the other side, with the signature of its kind.

    A unary or client streaming method becomes a coroutine function, a method with a stream of responses a function that returns
    a `RemoteStream`.
    """
    arguments, codec = method.arguments, MSGPACK
    decode = decode_marked(codec, method.response, Dropped) if method.streams_responses else codec.decode_for(method.response)

    def request(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Request, Any]:
        argument, requests = arguments.encode(codec, args, kwargs)
        made = Request(method.target, method.kind, codec, argument, decode, options, guard=guard, again=method.again)
        return made, requests

    async def unary(*args: Any, **kwargs: Any) -> Any:
        return await call_unary(scope, request(args, kwargs)[0])

    async def client_streaming(*args: Any, **kwargs: Any) -> Any:
        return await single_result(RemoteStream(scope, *request(args, kwargs)))

    def streaming(*args: Any, **kwargs: Any) -> RemoteStream[Any]:
        return RemoteStream(scope, *request(args, kwargs))

    function = streaming if method.streams_responses else client_streaming if method.streams_requests else unary
    function.__name__ = function.__qualname__ = method.name
    function.__doc__ = method.doc
    return function
