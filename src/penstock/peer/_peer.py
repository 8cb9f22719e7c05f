"""`Peer`: the other side of a connection, for calls to its services and messages to its actors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeVar, cast

from penstock.actors import ActorRef, ActorStub, Router, checked_address, ref
from penstock.actors.cell import is_actor_class
from penstock.calls import Call, CallScope, Dispatcher, Interceptor, RemoteStream, Stream, Stub, call_unary, untyped_request
from penstock.codec import MSGPACK, Codec
from penstock.peer._sessions import PeerState, Sessions
from penstock.protocol import CallKind, Settings
from penstock.refs import offers, register_route
from penstock.remote import RemoteRef
from penstock.retention import Follower, RemoteFollower
from penstock.service import DEFAULT, CallOptions, service_of
from penstock.session import LastingSession
from penstock.streams import check_thread

T = TypeVar("T")

AGENT: Final = "penstock-python"


class Peer(Router):
    """The other side of a live connection. `connect` returns it; a handler gets that of its caller by `context().peer`.

    `service` returns a typed stub of a service, `actor` a typed stub of an actor. `call`, `stream` and `open` call a method by
    name; `tell`, `ask`, `stream`, `stream_ask`, `open_channel` and `subscribe` reach an actor by its address. Calls go both
    ways: the peer can also call the services of this side.

    A call or message on a connection that is gone raises `ConnectionLost` or `Unavailable`, and each use in another thread than
    that of its event loop raises `WrongThread`; so do its stubs.
    """

    def __init__(
        self,
        role: str,
        settings: Settings,
        dispatcher: Dispatcher,
        interceptors: Sequence[Interceptor],
        *,
        keep_s: float = 0.0,
        kept: Any = None,
        servers: int = 1,
    ) -> None:
        instance = offers().instance
        make = partial(
            LastingSession, role, settings, agent=AGENT, instance=instance, keep_s=keep_s, kept=kept, servers=servers
        )
        self._sessions = sessions = Sessions(make, keep_s)
        self._scope = CallScope(sessions.now, interceptors, self)
        if keep_s and role == "client":
            self._scope.next_session = sessions.wait_next
        self._dispatcher = dispatcher
        sessions.enter = self._enter
        sessions.begin(sessions.now)

    def _enter(self, session: LastingSession) -> None:
        """Let a session reach the services of this side, and calls the session."""
        self._scope.go_on_with(session)
        session.accept = partial(self._dispatcher.accept, self._scope)
        session.ready.add_done_callback(lambda ready: None if ready.exception() else register_route(self._scope))

    # ── calling ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def service(self, cls: Callable[..., T]) -> T:  # mypy takes no protocol and no abstract class for `type[T]`
        """Return a stub of a service at the other side: an object with the methods of `cls`, typed as `cls`. It sends nothing.

        cls: the class of the service, or one with the same name and the same methods: a protocol, an abstract or a plain class.

        Raises `TypeError`, naming method and parameter, when a type of `cls` cannot travel, and for a class of actors, of which
        `actor` returns stubs. Set time-outs and buffers with `penstock.options`.
        """
        if is_actor_class(cls):
            raise TypeError(f"{cls.__name__} is a class of actors: peer.actor({cls.__name__}, address) returns a stub of one")
        return cast("T", Stub(self._scope, service_of(cls)))

    async def call(
        self, target: str, *args: Any, options: CallOptions = DEFAULT, codec: Codec = MSGPACK, type: Any = Any
    ) -> Any:
        """Call a unary method by name, and return its result.

        target: "Service/method".
        args: the arguments, by place.
        options: time-outs, priority and metadata of the call; none by default.
        codec: MessagePack by default.
        type: the type of the result; builtin types by default.

        Raises the callee's `StatusError`, `Unimplemented` for an unknown method, `InvalidArgument` for arguments that do not
        fit, `DeadlineExceeded`, `ConnectionLost`, and `Unavailable` when no call can begin. Cancelling it cancels the call.
        """
        return await call_unary(self._scope, untyped_request(target, CallKind.UNARY, args, options, codec, type=type))

    def stream(  # type: ignore[override] # one name for a service's stream and an actor's
        self, target: str, *args: Any, **options: Any
    ) -> Stream[Any]:
        """Call a server streaming method of a service or of an actor, and return its items.

        Of a service by its name, ``stream("Prices/watch", "AAPL")``. Of an actor by its address,
        ``stream("counter", "ticks", None, buffer_size=10)``; an address with parts begins with a slash,
        ``stream("/chat/rooms", "lines")``.

        target: "Service/method", or the address of an actor.
        args: of a service, the arguments by place; of an actor, the name of the method and at most one payload.
        options: ``type=`` (builtin types by default); of a service, ``options=CallOptions(...)``, without a time limit by
            default, and ``codec=`` (MessagePack by default); of an actor, `buffer_size` (100 items), `timeout` (60 s; None for
            a live feed), `idle_timeout`, `events` and `cancel`, as for `ActorSystem.stream`.

        Raises `Unavailable` or `ResourceExhausted` when no call can begin, `InvalidArgument` for arguments that cannot travel;
        the stream raises the outcome. Iterate over the stream next; `Stream.cancel` or leaving the loop cancels the call.
        """
        if checked_address(target).startswith("/") or ("/" not in target and args):
            return super().stream(target, *args, **options)
        return self._stream(target, args, **options)

    def _stream(
        self, target: str, args: tuple[Any, ...], *, options: CallOptions = DEFAULT, codec: Codec = MSGPACK, type: Any = Any
    ) -> RemoteStream[Any]:
        return RemoteStream(self._scope, untyped_request(target, CallKind.SERVER_STREAMING, args, options, codec, type=type))

    def follow(
        self,
        name: str,
        *,
        since: int | Literal["oldest", "now"] = 0,
        type: Any = Any,
        latest: bool = False,
        options: CallOptions = DEFAULT,
    ) -> Follower[Any]:
        """Follow a stream that the other side keeps (`penstock.retained`), and return its items. It sends nothing.

        A lost connection does not end it: it goes on with the next item, at the same server or, when the stream is durable, at
        one that was started anew.

        name: the name of the stream.
        since: the offset of the first item, 0 by default; "oldest" for the oldest item that is kept, "now" for the next one.
        type: the type of the items; builtin types by default.
        latest: True for the newest item only: when the program is behind, a `Dropped` stands for the others.
        options: time-outs, buffers, priority and metadata of the calls by which it reads; none by default.

        Receiving raises what `Follower` says; `NotFound` for a stream that is not kept there; `ConnectionLost`, with `offset`,
        when the connection is not made again, or the stream is not at the server any more. Raises `ValueError` for another
        `since`. Iterate over it next; `Follower.stop` stops the stream itself.
        """
        wait = self._sessions.wait_connected
        return RemoteFollower(self._scope, wait, name, since, item_type=type, options=options, latest=latest)

    def ref(self, address: str) -> ActorRef:
        """Return a ref to the actor at the other side with this name or id. It sends nothing.

        address: the name or id; a leading slash is ignored.

        The first use of the ref raises `NotFound` for an unknown actor.
        """
        return RemoteRef(self._scope, checked_address(address).removeprefix("/"))

    def _ref_shown_as(self, address: str, shown: str) -> ActorRef:
        return RemoteRef(self._scope, address, shown)

    def _is_gone(self) -> bool:
        return self._sessions.gone

    def actor(self, cls: Callable[..., T], actor: str | ActorRef) -> T:
        """Return a stub of an actor at the other side, typed as `cls`. It sends nothing.

        cls: the class of the actor, or one with the same methods.
        actor: its name or id at the other side, or an `ActorRef` that has arrived from there.

        The first call of the stub raises `NotFound` for an unknown actor.
        """
        return cast("T", ActorStub(self.ref(actor) if isinstance(actor, str) else ref(actor), service_of(cls)))

    def open(
        self,
        target: str,
        *args: Any,
        options: CallOptions = DEFAULT,
        codec: Codec = MSGPACK,
        kind: str = "bidirectional",
        type: Any = Any,
    ) -> Call[Any]:
        """Begin a call by name whose requests the program sends one by one. Use it as ``async with peer.open(...) as call``.

        target: "Service/method".
        args: the arguments besides the stream of requests, by place.
        options: time-outs, buffers, priority and metadata of the call; none by default.
        codec: MessagePack by default.
        kind: "bidirectional" (the default) or "client_streaming".
        type: the type of the responses; builtin types by default.

        Raises `Unavailable` or `ResourceExhausted` when no call can begin, `InvalidArgument` for arguments that cannot travel.
        Send with `Call.send`, end the requests with `Call.close_send`. `Stream.cancel` and leaving the block cancel the call.
        """
        return Call(self._scope, untyped_request(target, CallKind.labelled(kind), args, options, codec, type=type))

    # ── living ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> str:
        """The address of the other side, in the words of its transport."""
        return self._scope.remote

    @property
    def instance(self) -> bytes:
        """The random id of the event loop at the other side, 16 bytes. Peers with one `instance` are one event loop."""
        return self._scope.instance

    @property
    def name(self) -> str:
        """The name of this side at the other one when no actor is calling: its channels have it as `initiator`."""
        return self._scope.name

    @property
    def principal(self) -> Any:
        """The proven identity of the other side, an `auth.Principal`; None without a proof."""
        return self._scope.session.proof.principal

    @property
    def draining(self) -> bool:
        """Whether one of the two sides has begun to shut down: open calls go on, new ones are refused."""
        return self._scope.session.draining.is_set()

    async def wait_draining(self) -> None:
        """Wait until one of the two sides begins to shut down. Safe to cancel."""
        await self._scope.session.draining.wait()

    @property
    def state(self) -> PeerState:
        """Whether the other side can be reached: "connected", "reconnecting" or "closed".

        "reconnecting" is a client whose connection is lost and made again (`Reconnect`), and, at a server, a client that may
        come back. What runs goes on after it, and new calls wait, at most until it has been lost for `Settings.detach_ttl_s`.
        """
        return self._sessions.state

    def states(self) -> AsyncIterator[PeerState]:
        """Iterate over the states of this peer, from the present one to "closed": ``async for state in peer.states()``.

        A state that has passed before the program looked is left out. Safe to cancel and to leave.
        """
        check_thread(self._sessions.now.thread, self)
        return self._sessions.states()

    async def wait_connected(self) -> None:
        """Wait until the other side can be reached, however long that takes; return at once when it can be. Safe to cancel.

        Raises the error of the loss when the connection is gone and is not made again.
        """
        check_thread(self._sessions.now.thread, self)
        await self._sessions.wait_connected()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone, and is not made again. Safe to cancel."""
        check_thread(self._sessions.now.thread, self)
        await self._sessions.wait_gone()

    async def aclose(self) -> None:
        """Cancel the calls of both sides, wait for the clean-up of the handlers here, and close the connection. Idempotent.

        It waits at most 1 s for a connection that is made again, so that the other side learns of the end of open calls, and
        at most 5 s for each of: the arrival of what was sent through completed refs, the handlers, the arrival of the
        messages of `tell` in the mailboxes of their actors, and the last bytes. Cancelling it aborts the connection.
        """
        check_thread(self._sessions.now.thread, self)
        try:
            await self._sessions.wait_to_leave()
            self._sessions.closing = True
            await self._scope.aclose()
        finally:
            self._sessions.closing = True
            if not self._scope.closing:  # it was cancelled before
                self._scope.session.abort()
            if self._sessions.connector is not None:
                await self._sessions.connector.aclose()
            self._sessions.changed.notify()

    def __repr__(self) -> str:
        state = "draining" if self.draining and self.state == "connected" else self.state
        return f"<Peer {self.remote} {state}, {self._scope.session.stream_count} streams>"
