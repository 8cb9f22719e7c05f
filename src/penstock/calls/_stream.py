"""`Stream`: the items of a call at its caller, and `RemoteStream`, the same across a connection.

The session holds a `RemoteStream` weakly, so dropping the last reference to it cancels the call, as leaving its loop does.
"""

from __future__ import annotations

import asyncio
import weakref
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Sequence
from typing import Any, Self, TypeVar, cast

from penstock._outcomes import as_failure, ends_the_loop
from penstock.calls._context import CallInfo, Interceptor, inherited_deadline, intercepted, is_cancelled, outcome_of
from penstock.calls._request import Request, open_of
from penstock.calls._scope import CallScope
from penstock.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    EndOfStream,
    PenstockError,
    StatusError,
    StreamCancelled,
    Unavailable,
)
from penstock.protocol import Accept, CallKind, Cancel, ReceiveHalf, Status, grant_for
from penstock.session import Endpoint, RemoteSink, RemoteSource, StreamHandle, WeakEndpoint, error_of
from penstock.streams import Source, finalize_on, stop

T = TypeVar("T")
R = TypeVar("R")
Requests = AsyncIterable[Any] | Iterable[Any]


class Stream(Source[T]):
    """The responses of a call: ``async for item in stream``. The call has begun when the program has its stream.

    Leaving the loop in any way, leaving ``async with``, `cancel`, `aclose` and dropping the last reference all end the call:
    the callee's ``finally`` runs. To read in several steps, use `receive`. A loop that ends without an error has reached the
    normal end. Otherwise it raises the outcome of the call: the callee's `StatusError`, `DeadlineExceeded`, `IdleTimeout`,
    `ConnectionLost` or `ActorStopped`. Cancelling the task of a loop leaves the loop, and so cancels the call.

    target: the called method, "Service/method".
    """

    __slots__ = ()

    target: str

    @property
    def draining(self) -> bool:
        """Whether the side of the callee has begun to shut down: the stream goes on, and is cancelled after a grace time.

        A consumer that knows its offset may open the stream anew: a client's new calls go to the next server.
        """
        return False

    @staticmethod
    def of(responses: AsyncIterator[R]) -> Stream[R]:
        """Return the stream that a typed stub has returned, with the type `Stream`.

        ``Stream.of(prices.watch("AAPL")).batches()``: for type checkers a stub has the type of its class, whose methods return
        `AsyncIterator`.

        responses: the result of a stub's streaming method.

        Raises `TypeError` for any other object.
        """
        if not isinstance(responses, Stream):
            raise TypeError(f"{responses!r} is not the stream of a stub")
        return responses

    def __await__(self) -> Generator[Any, None, Self]:
        """Return the stream itself, for ``async for x in await stub.method()``, where the service is written that way."""
        yield from ()  # awaiting it never waits
        return self

    def cancel(self) -> None:
        """Cancel the call: the callee's handler is cancelled, and the buffered items are dropped. Idempotent.

        After it, receiving raises `Cancelled`, or the outcome of the call if it had ended before. It does not wait; `aclose`
        also waits for the request stream.
        """
        self._cancel_with(Cancelled(f"{self.target}: the call was cancelled on this side"))

    @abstractmethod
    def _cancel_with(self, error: StatusError) -> None:
        """As `cancel`, but receiving raises `error`."""


class RemoteStream(RemoteSource[T], Stream[T], Endpoint):
    """A `Stream` whose callee is at the other side of a connection. The constructor begins the call.

    requests: the items for the callee, sent by a task of the connection; None for a kind without, or for `Call`.
    call: the `CallInfo`.
    sink: sends items to the callee; None for a kind without requests, and until the interceptors have let the call begin.
    """

    __slots__ = (
        "_begun",
        "_closed",
        "_deadline",
        "_half_closed",
        "_handle",
        "_inside",
        "_outcome_of_callee",
        "_pump",
        "_request",
        "_scope",
        "call",
        "sink",
    )

    def __init__(self, scope: CallScope, request: Request, requests: Requests | None = None) -> None:
        session, options = scope.session, request.options
        grant = grant_for(session.settings, session.hello, options.buffer_size, options.buffer_bytes)
        if request.window:
            grant.start_with(request.window)
        super().__init__(session, request.name, ReceiveHalf(grant), request.decode)
        self.idle_timeout_s = options.idle_timeout_s
        self.sink: RemoteSink[Any] | None = None
        self._scope = scope
        self._request = request
        self._handle: StreamHandle | None = None
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self._half_closed = False
        self._begun: asyncio.Future[None] | None = None  # with interceptors: done once they have let the call begin
        self._outcome_of_callee: asyncio.Future[Exception] | None = None  # with interceptors: the outcome, for them to see
        self._inside: asyncio.Task[None] | None = None  # with interceptors: the task that is inside them
        self._deadline: asyncio.TimerHandle | None = None
        deadline = inherited_deadline(options.timeout, session.loop.time())
        self.call = CallInfo(
            request.target,
            request.kind.label,
            "caller",
            metadata=dict(options.metadata),
            deadline=deadline,
            scope=scope,
            priority=options.priority,
        )
        if deadline is not None:
            self._deadline = session.loop.call_at(deadline, _expire, cast("weakref.ref[RemoteStream[Any]]", weakref.ref(self)))
        around = request.around(scope)
        if around:
            self._begun = session.loop.create_future()
            self._outcome_of_callee = session.loop.create_future()
            self._inside = scope.own(_go_inside(weakref.ref(self), around, self.call, requests, self._outcome_of_callee))
        else:
            self._begin(requests)

    @property
    def draining(self) -> bool:
        return self.call.draining

    def _cancel_with(self, error: StatusError) -> None:
        self.discard(error)  # first, because it checks the thread
        self._end(error)

    async def aclose(self) -> None:
        """As `cancel`, and wait until the request stream is closed. Cancelling it leaves the call cancelled."""
        self.cancel()
        if self._pump is not None:
            await asyncio.wait([self._pump])

    def _begin(self, requests: Requests | None) -> None:
        """Open the stream. Raises `Unavailable` or `ResourceExhausted` when no call can begin."""
        request, call = self._request, self.call
        session = self._scope.session
        if session is not self.session:  # the call has waited for it
            self.session = session
            if session.hello is not None:
                self._half.grant.keep_to(session.hello)
        opened = open_of(session, request, call.metadata, call.deadline, self._half.grant)
        call._session = session
        self._handle = handle = session.open(opened, self._half, WeakEndpoint(self))
        handle.feed_into(self)
        if opened.streams_requests:
            self.sink = handle.sink(request.codec)
            if self._half_closed:
                self.sink.close()
            elif requests is not None:
                self._pump = self._scope.own(_feed(weakref.ref(self), self.sink, requests))
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)

    # ── the events of the stream ──────────────────────────────────────────────────────────────────────────────────────

    def on_accepted(self, accept: Accept) -> None:
        self.on_room()

    on_items: Any = RemoteSource.wake  # as it is: a method that calls it would be one call more for each frame

    def on_room(self) -> None:
        if self.sink is not None:
            self.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        outcome = EndOfStream() if status is None else error_of(status, self.session.remote)
        if not _begins_again(self, outcome):
            self._record_outcome(outcome)

    def on_stop_sending(self, cancel: Cancel) -> None:
        if self.sink is not None:
            self.sink.finish(StreamCancelled(f"{self.target}: the callee wants no more items. {cancel.message}".rstrip()))
        self._stop_pump()

    def on_lost(self, error: StatusError) -> None:
        if not _begins_again(self, error):
            self._record_outcome(error)

    def _stop_pump(self) -> None:
        """Stop the request stream."""
        if self._pump is not None:
            stop(self._pump)

    def _end(self, error: Exception) -> None:
        """End the call from this side, with `error` as its outcome."""
        if self._closed:
            return
        if self._handle is not None:
            self._handle.cancel(error)
        elif self._inside is not None:
            self.call._depart(outcome_of(error))
            self._inside.cancel()
        self._record_outcome(error)

    def _record_outcome(self, outcome: Exception) -> None:
        """Record how the call ended. Interceptors see `outcome` before the consumer does."""
        if self._closed:
            return
        self._closed = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self.sink is not None:
            over = StreamCancelled(f"{self.target}: the call has ended") if isinstance(outcome, EndOfStream) else outcome
            self.sink.finish(over)
        self._stop_pump()
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)
        if self._outcome_of_callee is None:
            self.finish(outcome)
        elif not self._outcome_of_callee.done():
            self._outcome_of_callee.set_result(outcome)

    def fail_locally(self, error: StatusError) -> None:
        self._end(error)
        if self._outcome_of_callee is not None:
            self.finish(error)

    def _on_loop_left(self) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "call"):  # a constructor that has raised leaves no call to cancel
            finalize_on(self.session.loop, self.cancel)

    def __dir__(self) -> list[str]:
        """Return the names of the API, for completion: the other names are for the rooms that carry the stream."""
        return [*dir(Stream), "target"]


def _expire(forgettable: weakref.ref[RemoteStream[Any]]) -> None:
    stream = forgettable()
    if stream is not None:
        stream._end(DeadlineExceeded(f"{stream.target}: the deadline passed before the call was over"))


async def _feed(forgettable: weakref.ref[RemoteStream[Any]], sink: RemoteSink[Any], requests: Requests) -> None:
    """Send the items of the caller's request stream. An error that it raises is the outcome of the call."""
    try:
        await sink.feed(requests)
    except BaseException as error:
        if sink.outcome is None or not isinstance(error, PenstockError | asyncio.CancelledError):
            _end_with(forgettable, error)
        if ends_the_loop(error):
            raise
    else:
        sink.close()


def _end_with(forgettable: weakref.ref[RemoteStream[Any]], error: BaseException) -> None:
    """End the call of a request stream that ended with `error`, in whatever way."""
    stream = forgettable()
    if stream is None:
        return
    if stream._scope.closing and isinstance(error, asyncio.CancelledError):
        stream._end(Cancelled("this side was closed before the call was over"))
    else:
        stream._end(as_failure(error, f"{stream.target}: the stream of requests"))


async def _go_inside(
    forgettable: weakref.ref[RemoteStream[Any]],
    around: Sequence[Interceptor],
    call: CallInfo,
    requests: Requests | None,
    outcome_of_callee: asyncio.Future[Exception],
) -> None:
    """Begin a call inside its interceptors, stay in them until it is over, and give the consumer the outcome."""
    if forgettable() is None:  # forgotten before this task had its first turn
        return
    outcome: Exception = Cancelled("an interceptor stopped the call before it began")
    try:
        async with intercepted(around, call):
            _begin(forgettable, requests)
            outcome = await asyncio.shield(outcome_of_callee)  # closing the peer cancels this task, but not the outcome
            if not isinstance(outcome, EndOfStream):
                raise outcome  # noqa: TRY301 - the interceptors see how the call ended
    except BaseException as error:
        if not is_cancelled():
            outcome = as_failure(error, f"{call.target}: an interceptor")
        elif outcome_of_callee.done():
            outcome = outcome_of_callee.result()
        else:
            outcome = Cancelled("this side was closed before the call was over")
        if ends_the_loop(error):
            raise
    finally:
        stream = forgettable()
        if stream is not None:
            stream._end(outcome)
            stream.finish(outcome)  # as the interceptors have left it
        del outcome  # its traceback holds this frame


def _begin(forgettable: weakref.ref[RemoteStream[Any]], requests: Requests | None) -> None:
    stream = forgettable()
    if stream is not None:
        stream._begin(requests)


def _begins_again(stream: RemoteStream[Any], error: Exception | None) -> bool:
    """Begin a call once more, over the session that follows, if it has surely not started there and sent no request."""
    if not isinstance(error, Unavailable) or error.started or stream._request.kind & CallKind.CLIENT_STREAMING:
        return False
    scope, session = stream._scope, stream.call._session
    if stream._closed or session is None or session.takes_calls or scope.next_session is None:
        return False
    stream._handle = None
    scope.own(_begin_again(weakref.ref(stream), scope, stream.call.deadline))
    return True


async def _begin_again(forgettable: weakref.ref[RemoteStream[Any]], scope: CallScope, deadline: float | None) -> None:
    """Begin a call that has not started, over the session that follows."""
    try:
        await scope.session_for_calls(deadline)
        stream = forgettable()
        if stream is not None and not stream._closed:
            stream._begin(None)
    except (StatusError, asyncio.CancelledError) as error:
        stream = forgettable()
        if stream is not None:
            stream._record_outcome(as_failure(error, stream.target))
        if isinstance(error, asyncio.CancelledError):
            raise


async def single_result(stream: RemoteStream[T]) -> T:
    """Return the one response of a call. Raises the outcome, `DataLoss` without a response. Cancelling it cancels the call."""
    try:
        result = await stream.receive()
        await _check_ended(stream)
    except EndOfStream:
        raise DataLoss(f"{stream.target}: the call ended without a result") from None
    finally:
        stream.cancel()
    return result


async def _check_ended(stream: RemoteStream[Any]) -> None:
    """Wait for the end behind the one response: the callee or an interceptor may still make it an error."""
    try:
        await stream.receive()
    except EndOfStream:
        return
    raise DataLoss(f"{stream.target}: more than one result")
