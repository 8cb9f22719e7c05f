"""Actors as values: any `ActorRef` can be sent in a message, and arrives as a `FarRef`, which keeps no connection alive.

A ref travels as an `ActorLocation`. A ref that comes back to the process of its actor is the local ref again. Each use of a
`FarRef` looks for a live connection to the actor's process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from penstock._outcomes import text_of
from penstock._texts import peer_text
from penstock.actors import ActorRef, VerbOptions, actor_here
from penstock.calls import Stream
from penstock.channel import Channel
from penstock.codec import MSGPACK, UNDECODABLE, Extension, ExtensionCode, register_extension
from penstock.errors import ActorStopped, Unavailable
from penstock.refs import find_route, guard_for, offers, prove
from penstock.remote._ref import RemoteRef
from penstock.service import CallOptions, Method
from penstock.streams import Source


class ActorLocation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The location of an actor, as it travels.

    instance: the id of the event loop that runs the actor.
    key: the actor's id there, or its name when no more is known.
    address: the actor's name, for messages to people.
    """

    instance: bytes
    key: str
    address: str


_LOCATION: Final = MSGPACK.decode_for(ActorLocation).value


class FarRef(ActorRef):
    """An actor whose ref arrived in a message; `instance` and `key` are those of its `ActorLocation`."""

    __slots__ = ("_address", "_instance", "_key")

    def __init__(self, instance: bytes, key: str, address: str) -> None:
        self._instance = instance
        self._key = key
        self._address = address

    @property
    def address(self) -> str:
        """The actor's name in its own process."""
        return self._address

    @property
    def id(self) -> str:
        """The actor's id, which no other actor ever gets; its name and process when no id is known."""
        return self._key if self._key != self._address else f"{self._key}@{self._instance.hex()}"

    async def tell(self, name: str, payload: Any = None) -> None:
        await (await self._reach()).tell(name, payload)

    async def _ask(self, name: str, payload: Any, options: VerbOptions) -> Any:
        return await (await self._reach())._ask(name, payload, options)

    def _stream(self, name: str, payload: Any, options: CallOptions, item_type: Any) -> Stream[Any]:
        return self._resolve()._stream(name, payload, options, item_type)

    async def _open_channel(self, payload: Any, options: VerbOptions) -> Channel[Any]:
        return await (await self._reach())._open_channel(payload, options)

    def _subscribe(self, port: str, options: VerbOptions) -> Source[Any]:
        return self._resolve()._subscribe(port, options)

    async def stop(self) -> None:
        await self._resolve().stop()

    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        def begin(*args: Any, **kwargs: Any) -> Any:
            return self._resolve()._asking(method, options)(*args, **kwargs)

        async def ask(*args: Any, **kwargs: Any) -> Any:
            return await (await self._reach())._asking(method, options)(*args, **kwargs)

        return begin if method.kind else ask

    def _telling(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        async def tell(*args: Any, **kwargs: Any) -> Any:
            return await (await self._reach())._telling(method, options)(*args, **kwargs)

        return tell

    def _resolve(self) -> ActorRef:
        """Return a ref that reaches the actor now.

        Raises `ActorStopped` for a stopped actor of this process, `Unavailable` without a live connection to its process.
        """
        if self._instance == offers().instance:
            return actor_here(self._key, self._address)
        scope = find_route(self._instance)
        if scope is None:
            raise Unavailable(
                f"no live connection to the process of {self._address}; connect to it before you use the ref",
                started=False,
            )
        return RemoteRef(scope, self._key, self._address, guard_for(scope, offers().instance))

    async def _reach(self) -> ActorRef:
        """As `_resolve`, once the other side has proven that it is the process of the actor. Raises `Unavailable` otherwise."""
        ref = self._resolve()
        if isinstance(ref, RemoteRef) and ref._guard is not None:
            await prove(ref._scope)
        return ref

    def __repr__(self) -> str:
        return f"<ActorRef {self._address} of process {self._instance.hex()[:8]}>"


def _pack(ref: ActorRef) -> bytes:
    if isinstance(ref, FarRef):
        location = ActorLocation(ref._instance, ref._key, ref.address)
    elif isinstance(ref, RemoteRef):
        location = ActorLocation(ref._scope.instance, ref._name, ref._name)
    else:
        location = ActorLocation(offers().instance, ref.id, ref.address)
    return MSGPACK.encode(location)


def _unpack(data: bytes) -> ActorRef:
    try:
        location: ActorLocation = _LOCATION(data)
    except UNDECODABLE as error:
        raise ValueError(f"the ref of an actor cannot be read: {text_of(error)}") from None
    if location.instance == offers().instance:
        with suppress(ActorStopped):
            return actor_here(location.key, location.address)
    return FarRef(location.instance, peer_text(location.key), peer_text(location.address))


register_extension(ActorRef, Extension(ExtensionCode.ACTOR, _pack, _unpack))  # type: ignore[type-abstract] # and its subclasses
