"""The other side of a live session: call it, and be called by it. This module never opens a connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar, cast

from penstock.actors import ActorRef, ActorStub, Router, ref
from penstock.calls import (
    Call,
    CallInfo,
    Dispatcher,
    Interceptor,
    RemoteStream,
    Request,
    Stream,
    Stub,
    Unary,
    enter_all,
    inherited_deadline,
)
from penstock.codec import MSGPACK, UNENCODABLE, Codec
from penstock.errors import DeadlineExceeded, InvalidArgument, StatusError
from penstock.protocol import CallKind, Settings, WireStream
from penstock.refs import offers, register_peer
from penstock.remote import LaneClient, RemoteRef, close_lanes, end_lanes
from penstock.service import DEFAULT, CallOptions, service_of
from penstock.session import Session

T = TypeVar("T")

log = logging.getLogger("penstock.peer")

AGENT: Final = "penstock-python"
#: How long a side that closes waits for its handlers' clean-up before it says that they are stuck.
CLEANUP_S: Final = 5.0


class Peer(Router):
    """The other side of a live session.

    `service(Cls)` returns a typed stub, `actor(Cls, "name")` one of an actor there; `call`, `stream` and `open` do the same
    untyped, and the router's verbs (`tell`, `ask`, `stream`, `stream_ask`, `open_channel`, `subscribe`) by an actor's address.
    Calls go both ways: what this side serves, the peer can call.
    """

    def __init__(self, role: str, settings: Settings, dispatcher: Dispatcher, interceptors: Sequence[Interceptor]) -> None:
        self._dispatcher = dispatcher
        self._tasks: set[asyncio.Task[Any]] = set()
        self._drain = asyncio.Event()
        self.interceptors = tuple(interceptors)
        self.closing = False
        self.principal: Any = None
        self.lanes: dict[str, LaneClient] = {}  # to the actors there that were sent messages; at most LANES_MAX
        self.session = Session(role, settings, self._accept, agent=AGENT, instance=offers().instance)
        self.session.on_draining = self._drained
        self.session.ready.add_done_callback(lambda _ready: register_peer(self))
        self.session.closed.add_done_callback(lambda _closed: self._check_gone())
        self.on_gone: Callable[[], None] = lambda: None

    # ── calling ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def service(self, cls: type[T]) -> T:
        """Return a stub with the methods of `cls`, typed as `cls`.

        Raises `TypeError`, naming method and parameter, when a type of `cls` cannot travel.
        """
        return cast("T", Stub(self, service_of(cls)))

    async def call(self, target: str, *args: Any, options: CallOptions = DEFAULT, codec: Codec = MSGPACK) -> Any:
        """Call a unary method by name, "Service/method", and return its result as builtin types.

        Cancelling it cancels the call.
        """
        return await self.unary(_request(target, CallKind.UNARY, args, options, codec))

    def stream(  # type: ignore[override] # one name for both, as the design has it
        self, target: str, *args: Any, **options: Any
    ) -> Stream[Any]:
        """Call a server streaming method by name, ``stream("Prices/watch", "AAPL")``, and return its items as builtin types.

        Or, as the router's verb, that of an actor: ``stream("counter", "ticks", None, buffer_size=10)``. An address with parts
        begins with a slash here: ``stream("/chat/rooms", "lines")``. Options of the first form: `options`, `codec`; of the
        second: those of `ActorRef.stream`.
        """
        if target.startswith("/") or ("/" not in target and args):
            return super().stream(target, *args, **options)
        return self._stream(target, args, **options)

    def _stream(
        self, target: str, args: tuple[Any, ...], *, options: CallOptions = DEFAULT, codec: Codec = MSGPACK
    ) -> RemoteStream[Any]:
        return RemoteStream(self, _request(target, CallKind.SERVER_STREAMING, args, options, codec))

    def ref(self, address: str) -> ActorRef:
        """Return the actor at the other side that has this name or id; whether there is one is seen when it is used."""
        return RemoteRef(self, address.removeprefix("/"))

    def _ref_shown_as(self, address: str, shown: str) -> ActorRef:
        return RemoteRef(self, address, shown)

    def _is_gone(self) -> bool:
        return self.session.closed.done()

    def actor(self, cls: type[T], actor: str | ActorRef) -> T:
        """Return a stub, typed as `cls`, of the actor at the other side with this name or id, or of a ref that arrived."""
        return cast("T", ActorStub(self.ref(actor) if isinstance(actor, str) else ref(actor), service_of(cls)))

    def open(
        self, target: str, *args: Any, options: CallOptions = DEFAULT, codec: Codec = MSGPACK, kind: str = "bidirectional"
    ) -> Call[Any]:
        """Begin a call by name and hold it in the hand. `kind` is "bidirectional" or "client_streaming"."""
        return Call(self, _request(target, CallKind.labelled(kind), args, options, codec))

    async def unary(self, request: Request) -> Any:
        """Make a unary call. Cancelling it cancels the call."""
        session = self.session
        deadline = inherited_deadline(request.options.timeout, session.loop.time())
        metadata = request.options.metadata
        if not self.interceptors:
            return await Unary(session, request, metadata, deadline).result(deadline)
        call = CallInfo(request.target, CallKind.UNARY.label, "caller", metadata=dict(metadata), deadline=deadline, peer=self)
        return await self.inside(call, lambda: Unary(session, request, call.metadata, call.deadline).result(call.deadline))

    async def inside(self, call: CallInfo, make: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call with one answer inside the interceptors, which may replace its outcome by another error."""
        outcome: StatusError | None = None
        result: Any = None
        limit = asyncio.timeout_at(call.deadline)
        try:
            async with limit, AsyncExitStack() as stack:
                await enter_all(stack, self.interceptors, call)
                try:
                    result = await make()
                except StatusError as error:
                    outcome = error
                    raise
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded(f"{call.target}: the deadline passed before the call was over") from None
            raise
        if outcome is not None:  # an interceptor swallowed it
            raise outcome
        return result

    # ── living ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def remote(self) -> str:
        """Where the other side is."""
        return self.session.remote

    @property
    def instance(self) -> bytes:
        """Which process the other side is; empty before the handshake."""
        hello = self.session.connection.peer
        return b"" if hello is None else hello.instance

    @property
    def name(self) -> str:
        """What the other side calls this one when no actor is calling: as the initiator of a channel."""
        return f"peer-{offers().instance.hex()[:8]}"

    @property
    def draining(self) -> bool:
        """Whether one of the sides has begun to shut down."""
        return self._drain.is_set()

    async def wait_draining(self) -> None:
        """Wait until one of the sides begins to shut down. Safe to cancel."""
        await self._drain.wait()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone. Safe to cancel."""
        await asyncio.shield(self.session.closed)

    def _drained(self) -> None:
        """The other side shuts down: it takes nothing new, and answers what was asked."""
        self._drain.set()
        close_lanes(self.lanes)

    def begin_drain(self) -> None:
        """Take no new calls and tell everybody: the peer, the handlers."""
        self._drain.set()
        if self.session.lost is None:
            self.session.connection.drain("this side is shutting down")
            self.session.flush_soon()

    def own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in a task that ends with this peer."""
        task = self.session.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self.disown)
        return task

    def own_handler(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """As `own`, for work that calls `disown` itself at its end: a done callback would cost a turn of the loop."""
        task = self.session.loop.create_task(work)
        if not task.done():  # it may begin, and end, at once
            self._tasks.add(task)
        return task

    def share(self, task: asyncio.Task[Any]) -> None:
        """A task that somebody else owns works for this peer: it is waited for, and cancelled, with the handlers."""
        self._tasks.add(task)
        task.add_done_callback(self.disown)

    def disown(self, task: asyncio.Task[Any] | None) -> None:
        """This task is over."""
        self._tasks.discard(cast("asyncio.Task[Any]", task))
        if not self._tasks:
            self._check_gone()

    def _check_gone(self) -> None:
        """Tell the owner when the connection is gone and nothing runs any more."""
        if self.session.closed.done() and not self._tasks:
            self.on_gone()

    @property
    def running(self) -> int:
        """How many tasks run for this peer: handlers, and what feeds its calls."""
        return len(self._tasks)

    @property
    def busy(self) -> bool:
        """Whether a handler or a call is still going on."""
        return bool(self._tasks) or self.session.has_data

    async def wait_idle(self) -> None:
        """Wait until no handler runs and everything they sent has been handed to the system. Safe to cancel."""
        while self._tasks:
            done, _running = await asyncio.wait(self._tasks)
            self._tasks -= done  # a handler that was cancelled before it began does not say that it is over
        await self.session.wait_written()

    async def aclose(self) -> None:
        """Cancel what runs here, wait for its clean-up, tell the peer, close. Cancelling it aborts the connection.

        What was told to actors of the other side is in their mailboxes then, unless that takes longer than `CLEANUP_S`.
        """
        self.closing = True
        self.session.connection.refuse_streams()  # a call that begins now could not be awaited
        try:
            await asyncio.sleep(0)  # what was about to begin begins, and can say how it ended
            for task in self._tasks:
                if not task.cancelling():  # else it is cleaning up
                    task.cancel()
            if self._tasks:
                _done, stuck = await asyncio.wait(self._tasks, timeout=CLEANUP_S)
                for task in stuck:
                    log.error("%s: %r has not ended %g s after it was cancelled; it is left behind", self, task, CLEANUP_S)
                self._tasks.clear()
            await end_lanes(self.lanes, CLEANUP_S)
            self.session.close()
            await asyncio.wait([self.session.closed], timeout=CLEANUP_S)
        finally:
            if not self.session.closed.done():
                self.session.abort()

    def _accept(self, _session: Session, stream: WireStream) -> None:
        self._dispatcher.accept(self, stream)

    def __repr__(self) -> str:
        state = "lost" if self.session.lost else "draining" if self.draining else "up"
        return f"<Peer {self.remote} {state}, {len(self.session.connection.streams.all())} streams>"


def _request(target: str, kind: CallKind, args: tuple[Any, ...], options: CallOptions, codec: Codec) -> Request:
    try:
        argument = codec.encode(args) if args else None
    except UNENCODABLE as error:
        raise InvalidArgument(f"{target}: {error}") from error
    return Request(target, kind, codec, argument, codec.decode_for(Any), options)
