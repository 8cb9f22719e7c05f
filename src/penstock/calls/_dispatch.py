"""Calls, seen by their callee: find the method, check the arguments, run it in a task, tell how it ended."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from penstock.calls._context import CallInfo, Interceptor, current_call, enter_all
from penstock.codec import UNENCODABLE, by_number
from penstock.errors import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    EndOfStream,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    StatusError,
    StreamCancelled,
    StreamClosed,
    Unavailable,
    Unimplemented,
    as_answer,
)
from penstock.protocol import CallKind, Cancel, SendHalf, Status, WireStream, grant_wished
from penstock.service import Method, service_of, suggest
from penstock.session import NULL_ENDPOINT, Endpoint, RemoteSink, RemoteSource, status_of

if TYPE_CHECKING:
    from penstock.peer import Peer

log = logging.getLogger("penstock.calls")

#: How much of an error's text travels with `expose_errors=True`.
MESSAGE_MAX: Final = 1024
_NOTHING: Final[Any] = object()


class Arrive(Protocol):
    """The function that takes streams whose target begins with a slash: those to actors."""

    def __call__(self, dispatcher: Dispatcher, peer: Peer, stream: WireStream) -> None:
        """Take a stream that the peer opened. Raises the `StatusError` that refuses it."""


class Dispatcher:
    """The services of one side, ready to be called."""

    def __init__(
        self,
        services: Sequence[object],
        interceptors: Sequence[Interceptor],
        *,
        expose_errors: bool,
        arrive: Arrive | None = None,
        built_in: Sequence[object] = (),
    ) -> None:
        for service in services:
            if isinstance(service, type):
                raise TypeError(f"{service.__name__} is a class; serve an object of it: {service.__name__}()")
            if hasattr(service, "_penstock_hidden"):
                raise TypeError(f"{service!r} is an actor; spawn it in an ActorSystem, and serve the system")
        self.services = [(service_of(type(one)), one) for one in services]
        self.interceptors = tuple(interceptors)
        self.expose_errors = expose_errors
        self._arrive = arrive
        self._methods: dict[str, tuple[Method, Any]] = {}
        for described, service in [*self.services, *((service_of(type(one)), one) for one in built_in)]:
            for method in described.methods.values():
                if method.target in self._methods:
                    raise ValueError(f"two services answer to {method.target}; give one of them a service_name")
                self._methods[method.target] = (method, getattr(service, method.name))

    def find(self, target: str) -> tuple[Method, Any]:
        """Return a method and its bound handler. Raises `Unimplemented` that says what may have been meant."""
        found = self._methods.get(target)
        if found is None:
            known = [method.target for described, _service in self.services for method in described.methods.values()]
            raise Unimplemented(f"there is no {target!r} here; {suggest(target, known)}", started=False)
        return found

    def accept(self, peer: Peer, stream: WireStream) -> None:
        """Take a stream that the peer opened."""
        try:
            self._take(peer, stream)
        except StatusError as error:
            error.started = False
            refused: StatusError = error.fresh_copy()  # `error` holds this frame, which must not hold it
        except Exception:  # this runs where the connection is read: no argument may end it
            log.exception("a call of %r could not be read", stream.opened.target)
            refused = Internal("the call could not be read", started=False)
        else:
            return
        peer.session.connection.fail(stream, status_of(refused))
        peer.session.flush_soon()

    def _take(self, peer: Peer, stream: WireStream) -> None:
        """Begin a call. Raises the `StatusError` that refuses it."""
        if peer.running >= peer.session.settings.max_streams:  # streams that were cancelled, and clean up, count too
            raise ResourceExhausted(f"{peer.running} handlers run for this connection (Settings.max_streams)")
        if stream.opened.target.startswith("/"):
            if self._arrive is None:
                raise Unimplemented(f"there are no actors here, so no {stream.opened.target!r}", started=False)
            self._arrive(self, peer, stream)
            return
        self.begin(peer, stream, *self.find(stream.opened.target))

    def begin(
        self,
        peer: Peer,
        stream: WireStream,
        method: Method,
        handler: Any,
        guards: Sequence[Interceptor] = (),
        *,
        arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
    ) -> None:
        """Run `handler` for a stream that the peer opened. Raises the `StatusError` that refuses it.

        `guards` go inside of the interceptors; `arguments` are those of the stream, where they were read already.
        """
        if method.kind != stream.opened.kind:
            raise Unimplemented(
                f"{method.target} is {method.kind.label}, not {CallKind(stream.opened.kind).label}", started=False
            )
        if arguments is None:
            arguments = method.arguments.decode(by_number(stream.opened.codec), stream.opened.argument)
        stream.forget_argument()
        ServerCall(self, peer, stream, method, (*self.interceptors, *guards)).start(handler, *arguments)

    def internal(self, where: str, raised: BaseException, *, logged: bool = False) -> StatusError:
        """Log what a handler raised, and return what the caller may know of it: an id to find the log entry by.

        `logged` says that its traceback is in the log already.
        """
        error_id = secrets.token_hex(4)
        text = _text_of(raised)
        log.error("error %s in %s: %s", error_id, where, text, exc_info=None if logged else raised)
        if self.expose_errors:
            return Internal(text[:MESSAGE_MAX], {"error_id": error_id})
        return Internal(f"{where} raised; its log has the text under {error_id}", {"error_id": error_id})


class ServerCall(Endpoint):
    """One call that is being handled: the endpoint of its stream, with one task."""

    __slots__ = (
        "_deadline",
        "_dispatcher",
        "_expired",
        "_gone",
        "_interceptors",
        "_method",
        "_name",
        "_peer",
        "_started",
        "_task",
        "call",
        "sink",
        "source",
        "stream",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        peer: Peer,
        stream: WireStream,
        method: Method,
        interceptors: tuple[Interceptor, ...],
    ) -> None:
        session, opened = peer.session, stream.opened
        self.stream = stream
        stream.endpoint = self
        stream.handled = True
        self._dispatcher = dispatcher
        self._interceptors = interceptors
        self._peer = peer
        self._method = method
        self._name = method.target.removeprefix("/")
        self._gone: Exception | None = None
        self._expired = False
        self._deadline: asyncio.TimerHandle | None = None
        self.source: RemoteSource[Any] | None = None
        codec = by_number(opened.codec)
        if method.kind:
            grant = grant_wished(session.settings, opened.wish_items, opened.wish_bytes) if method.streams_requests else None
            session.connection.accept(stream, grant)
        if stream.receive is not None:
            self.source = RemoteSource(session, method.target, stream.receive, codec.decode_for(method.request))
            self.source.stream = stream
            self.source.bad_item = InvalidArgument
        self.sink: RemoteSink[Any] | None = None
        if method.streams_responses:
            self.sink = RemoteSink(session, stream, cast("SendHalf", stream.send), codec)
        deadline = None if opened.deadline_ms is None else session.loop.time() + opened.deadline_ms / 1000
        self.call = CallInfo(method.target, method.kind.label, "callee", metadata=opened.metadata, deadline=deadline, peer=peer)
        self.call.sink = self.sink

    def start(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler."""
        if self.source is not None:
            args, kwargs = self._method.arguments.with_requests(args, kwargs, self.source)
        if self.call.deadline is not None:
            self._deadline = self._peer.session.loop.call_at(self.call.deadline, self._expire)
        if not self._method.kind:
            self._peer.session.unary_answers += 1
        self._started = False
        self._task: asyncio.Task[None] | None = None
        task = self._peer.own_handler(self._run(handler, args, kwargs))
        if not task.done():  # a task that begins at once may be over by now
            self._task = task

    # ── what happens to the stream ────────────────────────────────────────────────────────────────────────────────────

    def on_items(self) -> None:
        if self.source is not None:
            self.source.wake()

    def on_room(self) -> None:
        if self.sink is not None:
            self.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        if self.source is not None:
            self.source.finish(EndOfStream())

    def on_cancelled(self, cancel: Cancel) -> None:
        self._leave(StreamCancelled(f"{self._name}: the caller left. {cancel.message}".rstrip()))

    def on_lost(self, error: StatusError) -> None:
        self._leave(error)

    def _leave(self, error: Exception) -> None:
        self._gone = error
        if self.sink is not None:
            self.sink.finish(error)
        if self.source is not None:
            self.source.finish(error)
        self._stop()

    def _expire(self) -> None:
        self._expired = True
        self._stop()

    def _stop(self) -> None:
        """Cancel the task, once: its clean-up is not to be interrupted. One that has not begun never says that it is over."""
        if self._deadline is not None:
            self._deadline.cancel()
        task = self._task
        if task is None:
            return
        if not task.cancelling():
            task.cancel()
        if not self._started:
            task.add_done_callback(self._peer.disown)
            self._finish(self._cancelled())

    # ── the task ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler inside the interceptors and tell the caller how it ended."""
        self._started = True
        current_call.set(self.call)
        error: StatusError | None = None
        done = False
        try:
            if self._interceptors:
                await self._intercepted(handler, args, kwargs)
            elif self.sink is None:
                await self._answer(await handler(*args, **kwargs))
            else:
                responses = handler(*args, **kwargs)
                await self.sink.feed(await responses if self._method.awaited else responses)
            done = True
        except asyncio.CancelledError:
            error = self._cancelled()
            if error is None:
                raise
        except StatusError as status:
            error = as_answer(status)
        except Exception as raised:  # noqa: BLE001 - whatever a handler raises is answered, and logged here
            error = self._dispatcher.internal(self._name, raised)
        finally:
            if not done and error is None:
                error = Aborted(f"{self._name}: the handler was stopped before it was done")
            self._tell(error)
            self._peer.disown(asyncio.current_task())
            # an error holds this frame by its traceback, and a cancelled task its error: neither may hold the call for longer
            self._task = None
            del error

    async def _intercepted(self, handler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the handler inside the interceptors; they see how it ended before the caller does."""
        result = _NOTHING
        async with AsyncExitStack() as stack:
            await enter_all(stack, self._interceptors, self.call)
            responses = handler(*args, **kwargs)
            if self.sink is None:
                result = await responses
            else:
                await self.sink.feed(await responses if self._method.awaited else responses)
                result = None
        if result is _NOTHING:
            raise Aborted(f"{self._name}: an interceptor swallowed what the handler raised")
        if self.sink is None:
            await self._answer(result)

    async def _answer(self, result: Any) -> None:
        """Send the one response of a call."""
        if self._gone is None:
            session = self._peer.session
            try:
                encoded = by_number(self.stream.opened.codec).encode(result)
            except UNENCODABLE as error:
                raise TypeError(f"{self._name} returned what cannot travel: {error}") from error
            if session.connection.answer(self.stream, encoded):
                session.flush_for(session.unary_answers)
            else:  # a caller that gives no credit to one item
                sending = cast("SendHalf", self.stream.send)
                self.sink = RemoteSink(session, self.stream, sending, by_number(self.stream.opened.codec))
                await self.sink.send(result)

    def _tell(self, error: StatusError | None) -> None:
        """Finish; an outcome that cannot be told is told as an error of this side, or the caller would wait for ever."""
        try:
            self._finish(error)
        except Exception as raised:  # noqa: BLE001 - see above
            self._peer.session.connection.fail(self.stream, status_of(self._dispatcher.internal(self._name, raised)))
            self._peer.session.flush_soon()

    def _finish(self, error: StatusError | None) -> None:
        """The handler is done: tell the caller, unless it has left."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self.source is not None:
            self.source.discard(StreamClosed(f"{self._name}: the handler has returned, and its requests are closed"))
        if not self._method.kind:
            self._peer.session.unary_answers -= 1
        self.call.deadline = None  # what the handler started, and goes on, is not bound by a call that is over
        stream = self.stream
        stream.endpoint = NULL_ENDPOINT
        self._peer.session.connection.handled(stream)
        if self._gone is not None or stream.over:
            return
        session = self._peer.session
        if error is not None:
            session.connection.fail(stream, status_of(error))
        elif self.sink is not None:
            if self.source is not None:
                session.connection.stop(stream, Cancel(message="the handler has returned"))
            self.sink.close()
        session.flush_soon()

    def _cancelled(self) -> StatusError | None:
        if self._gone is not None:
            return None
        if self._expired:
            return DeadlineExceeded(f"{self._name}: the deadline passed before the handler was done")
        if self._peer.closing:
            return Unavailable("the server is shutting down")
        return Cancelled(f"{self._name}: the handler was cancelled")


def _text_of(error: BaseException) -> str:
    """Return what an error says, even one that cannot say it."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a broken __str__ is no reason to leave the caller without an answer
        return type(error).__name__
