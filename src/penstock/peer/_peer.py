"""`Peer`: the other side of a connection, as a program holds it: call it, and be called by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from penstock.actors import ActorRef, ActorStub, Router, ref
from penstock.calls import Call, CallScope, Dispatcher, Interceptor, RemoteStream, Stream, Stub, call_unary, untyped_request
from penstock.codec import MSGPACK, Codec
from penstock.protocol import CallKind, Settings
from penstock.refs import offers, register_route
from penstock.remote import RemoteRef
from penstock.service import DEFAULT, CallOptions, service_of
from penstock.session import Session

T = TypeVar("T")

AGENT: Final = "penstock-python"


class Peer(Router):
    """The other side of a live connection.

    `service(Cls)` returns a typed stub, `actor(Cls, "name")` a stub of an actor there; `call`, `stream` and `open` do the same
    untyped, and the router's verbs (`tell`, `ask`, `stream`, `stream_ask`, `open_channel`, `subscribe`) by an actor's address.
    Calls go both ways: the peer can call the services of this side.
    """

    def __init__(self, role: str, settings: Settings, dispatcher: Dispatcher, interceptors: Sequence[Interceptor]) -> None:
        session = Session(role, settings, agent=AGENT, instance=offers().instance)
        self._scope = CallScope(session, interceptors, self)
        session.accept = partial(dispatcher.accept, self._scope)
        session.ready.add_done_callback(lambda _ready: register_route(self._scope))

    # ── calling ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def service(self, cls: type[T]) -> T:
        """Return a stub with the methods of `cls`, typed as `cls`.

        Raises `TypeError`, naming method and parameter, when a type of `cls` cannot travel.
        """
        return cast("T", Stub(self._scope, service_of(cls)))

    async def call(self, target: str, *args: Any, options: CallOptions = DEFAULT, codec: Codec = MSGPACK) -> Any:
        """Call a unary method by name, "Service/method", and return its result as builtin types.

        Cancelling it cancels the call.
        """
        return await call_unary(self._scope, untyped_request(target, CallKind.UNARY, args, options, codec))

    def stream(  # type: ignore[override] # one name for a service's stream and an actor's
        self, target: str, *args: Any, **options: Any
    ) -> Stream[Any]:
        """Call a server streaming method by name, ``stream("Prices/watch", "AAPL")``, and return its items as builtin types.

        Or, as the router's verb, that of an actor: ``stream("counter", "ticks", None, buffer_size=10)``. An address with parts
        begins with a slash here: ``stream("/chat/rooms", "lines")``. Options of the first form: `options`, `codec`; of the
        second: those of `ActorRef.stream`.
        """
        if target.startswith("/") or ("/" not in target and args):
            return self.ref(target).stream(*args, **options)
        return self._stream(target, args, **options)

    def _stream(
        self, target: str, args: tuple[Any, ...], *, options: CallOptions = DEFAULT, codec: Codec = MSGPACK
    ) -> RemoteStream[Any]:
        return RemoteStream(self._scope, untyped_request(target, CallKind.SERVER_STREAMING, args, options, codec))

    def ref(self, address: str) -> ActorRef:
        """Return the actor at the other side that has this name or id; whether there is one is seen when it is used."""
        return RemoteRef(self._scope, address.removeprefix("/"))

    def _ref_shown_as(self, address: str, shown: str) -> ActorRef:
        return RemoteRef(self._scope, address, shown)

    def _is_gone(self) -> bool:
        return self._scope.session.closed.done()

    def actor(self, cls: type[T], actor: str | ActorRef) -> T:
        """Return a stub, typed as `cls`, of the actor at the other side with this name or id, or of a ref that arrived."""
        return cast("T", ActorStub(self.ref(actor) if isinstance(actor, str) else ref(actor), service_of(cls)))

    def open(
        self, target: str, *args: Any, options: CallOptions = DEFAULT, codec: Codec = MSGPACK, kind: str = "bidirectional"
    ) -> Call[Any]:
        """Begin a call by name and hold it in the hand. `kind` is "bidirectional" or "client_streaming"."""
        return Call(self._scope, untyped_request(target, CallKind.labelled(kind), args, options, codec))

    # ── living ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> str:
        """The address of the other side."""
        return self._scope.remote

    @property
    def instance(self) -> bytes:
        """The id of the event loop at the other side, the same over every connection to it; empty before the handshake."""
        return self._scope.instance

    @property
    def name(self) -> str:
        """The name of this side for the other one where no actor is calling: the `initiator` of a channel, for example."""
        return self._scope.name

    @property
    def principal(self) -> Any:
        """The proven identity of the other side, None without a proof."""
        return self._scope.principal

    @property
    def draining(self) -> bool:
        """Whether one of the sides has begun to shut down."""
        return self._scope.draining

    async def wait_draining(self) -> None:
        """Wait until one of the sides begins to shut down. Safe to cancel."""
        await self._scope.wait_draining()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone. Safe to cancel."""
        await asyncio.shield(self._scope.session.closed)

    async def aclose(self) -> None:
        """Cancel the calls of both sides, wait for the clean-up of handlers, and close the connection.

        Messages that were told to actors of the other side are in their mailboxes then, unless that takes longer than five
        seconds. Idempotent. Cancelling it aborts the connection.
        """
        await self._scope.aclose()

    def __repr__(self) -> str:
        session = self._scope.session
        state = "lost" if session.lost else "draining" if self.draining else "up"
        return f"<Peer {self.remote} {state}, {session.stream_count} streams>"
