"""Actors as values: any `ActorRef` in a message, and what arrives of it, `FarRef`. It keeps no connection alive.

A ref travels as the place where its actor is and the key by which it is found there. One that comes home is the local ref
again, whatever way it took. Each use of another one looks for a live connection that leads to the actor's process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Unpack

import msgspec

from penstock.actors import ActorRef, AskOptions, ChannelOptions, PortOptions, actor_here
from penstock.calls import Stream
from penstock.channel import Channel
from penstock.codec import MSGPACK, UNDECODABLE, Extension, ExtensionCode, register_extension
from penstock.errors import ActorStopped, Unavailable
from penstock.refs import find_route, offers
from penstock.remote._ref import RemoteRef
from penstock.service import CallOptions, Method
from penstock.streams import Source


class ActorLocation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an actor is, as it travels: at which event loop, by which key it is found there, and what it is called."""

    instance: bytes
    key: str
    address: str


_WHEREABOUTS: Final = MSGPACK.decode_for(ActorLocation).value


class FarRef(ActorRef):
    """An actor that somebody sent. `key` finds it at the event loop `instance`: its id, or its name if no more is known."""

    __slots__ = ("_address", "instance", "key")

    def __init__(self, instance: bytes, key: str, address: str) -> None:
        self.instance = instance
        self.key = key
        self._address = address

    @property
    def address(self) -> str:
        """Its name where it lives."""
        return self._address

    @property
    def id(self) -> str:
        """Its name for ever."""
        return self.key if self.key != self._address else f"{self.key}@{self.instance.hex()}"

    async def tell(self, type: str, payload: Any = None) -> None:
        await self._there().tell(type, payload)

    async def ask(self, type: str, payload: Any = None, **options: Unpack[AskOptions]) -> Any:
        return await self._there().ask(type, payload, **options)

    def _stream(self, type: str, payload: Any, options: CallOptions) -> Stream[Any]:
        return self._there()._stream(type, payload, options)

    async def open_channel(self, payload: Any = None, **options: Unpack[ChannelOptions]) -> Channel[Any]:
        return await self._there().open_channel(payload, **options)

    def subscribe(self, port: str, **options: Unpack[PortOptions]) -> Source[Any]:
        return self._there().subscribe(port, **options)

    async def stop(self) -> None:
        await self._there().stop()

    def _asking(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            return self._there()._asking(method, options)(*args, **kwargs)

        return ask

    def _telling(self, method: Method, options: CallOptions) -> Callable[..., Any]:
        def tell(*args: Any, **kwargs: Any) -> Any:
            return self._there()._telling(method, options)(*args, **kwargs)

        return tell

    def _there(self) -> ActorRef:
        """Return the way to it. Raises `ActorStopped` for one of this process, `Unavailable` when no connection leads there."""
        if self.instance == offers().instance:
            found = actor_here(self.key)
            if found is None:
                raise ActorStopped(f"{self._address} ({self.key}) has stopped", started=False)
            return found
        scope = find_route(self.instance)
        if scope is None:
            raise Unavailable(
                f"no live connection to the process of {self._address}; use a ref while its user is connected to it",
                started=False,
            )
        return RemoteRef(scope, self.key, self._address)

    def __repr__(self) -> str:
        return f"<ActorRef {self._address} of process {self.instance.hex()[:8]}>"


def _pack(ref: ActorRef) -> bytes:
    if isinstance(ref, FarRef):
        where = ActorLocation(ref.instance, ref.key, ref.address)
    elif isinstance(ref, RemoteRef):
        where = ActorLocation(ref.scope.instance, ref.name, ref.name)
    else:
        where = ActorLocation(offers().instance, ref.id, ref.address)
    return MSGPACK.encode(where)


def _unpack(data: bytes) -> ActorRef:
    try:
        where: ActorLocation = _WHEREABOUTS(data)
    except UNDECODABLE as error:
        raise ValueError(f"an actor that cannot be read: {error}") from None
    home = actor_here(where.key) if where.instance == offers().instance else None
    return home if home is not None else FarRef(where.instance, where.key, where.address)


register_extension(ActorRef, Extension(ExtensionCode.ACTOR, _pack, _unpack))  # type: ignore[type-abstract] # and whatever derives from it
