"""The items of a call at its caller: `Stream`, wherever the callee is, and `RemoteStream` and `Call` across a connection.

The session holds a `RemoteStream` weakly: one that the program has forgotten cancels its call, as leaving its loop does.
"""

from __future__ import annotations

import asyncio
import weakref
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Generator, Iterable
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, Generic, Self, TypeVar, cast

from penstock.calls._context import CallInfo, inherited_deadline
from penstock.calls._interceptors import intercepted
from penstock.calls._request import Request, open_of
from penstock.calls._scope import CallScope
from penstock.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    EndOfStream,
    FailedPrecondition,
    PenstockError,
    StatusError,
    StreamCancelled,
    StreamClosed,
)
from penstock.protocol import Accept, Cancel, ReceiveHalf, Status, grant_for
from penstock.session import Endpoint, RemoteSink, RemoteSource, StreamHandle, WeakEndpoint, error_of
from penstock.streams import Source, as_failure, finalize_on, reraisable

T = TypeVar("T")
Requests = AsyncIterable[Any] | Iterable[Any]
Feeding = Coroutine[Any, Any, None]


class Stream(Source[T]):
    """The responses of a call: ``async for item in stream``. It has begun when you hold it.

    Leaving the loop in any way, ``async with``, `cancel`, `aclose` and forgetting the object all end the call: the callee's
    ``finally`` runs. To read in several steps, use `receive`. Raises what the call ended with: the callee's `StatusError`,
    `DeadlineExceeded`, `IdleTimeout`, `ConnectionLost`, `ActorStopped`; a loop that just ends is the normal end, and nothing
    else is.
    """

    __slots__ = ()

    #: What was called.
    target: str

    @staticmethod
    def of(responses: AsyncIterator[T]) -> Stream[T]:
        """Return `responses`, as a typed stub gave it, with its real type.

        ``Stream.of(prices.watch("AAPL")).batches()``: the class of a service says `AsyncIterator`, and so does a stub's type.
        Raises `TypeError` for anything else.
        """
        if not isinstance(responses, Stream):
            raise TypeError(f"{responses!r} is not the stream of a stub")
        return responses

    def __await__(self) -> Generator[Any, None, Self]:
        """Return itself, so that ``async for x in await stub.method()`` works where the service is written that way."""
        yield from ()  # awaiting it never waits
        return self

    def cancel(self) -> None:
        """Give up the call: the callee is told, what waits here is dropped. Idempotent."""
        self.give_up(Cancelled(f"{self.target}: the call was cancelled on this side"))

    @abstractmethod
    def give_up(self, error: StatusError) -> None:
        """As `cancel`, with `error` as what the consumer gets."""


class RemoteStream(RemoteSource[T], Stream[T], Endpoint):
    """A `Stream` whose callee is at the other side of a connection. It begins when it is made.

    `requests` are the items for the callee. `call` describes it; `sink` sends to the callee, None for a kind without requests.
    """

    __slots__ = (
        "_begun",
        "_closed",
        "_deadline",
        "_guard",
        "_half_closed",
        "_handle",
        "_outcome_of_callee",
        "_pump",
        "_request",
        "_scope",
        "call",
        "sink",
    )

    def __init__(self, scope: CallScope, request: Request, requests: Requests | None = None) -> None:
        session, options = scope.session, request.options
        grant = grant_for(session.settings, options.buffer_size, options.buffer_bytes)
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
        self._begun: asyncio.Future[None] | None = None  # with interceptors: done when the call has left them
        self._outcome_of_callee: asyncio.Future[Exception] | None = None  # with interceptors: for them to see
        self._guard: asyncio.Task[None] | None = None  # with interceptors: the task that is inside them
        self._deadline: asyncio.TimerHandle | None = None
        deadline = inherited_deadline(options.timeout, session.loop.time())
        self.call = CallInfo(
            request.target, request.kind.label, "caller", metadata=dict(options.metadata), deadline=deadline, scope=scope
        )
        if deadline is not None:
            self._deadline = session.loop.call_at(deadline, _expire, cast("weakref.ref[RemoteStream[Any]]", weakref.ref(self)))
        if scope.interceptors:
            self._begun = session.loop.create_future()
            self._outcome_of_callee = session.loop.create_future()
            self._guard = scope.own(_go_inside(weakref.ref(self), scope, self.call, requests, self._outcome_of_callee))
        else:
            self._begin(requests)

    def give_up(self, error: StatusError) -> None:
        self._leave(error)
        self.discard(error)

    async def aclose(self) -> None:
        """As `cancel`; returns when the request stream, if any, is closed too. Cancelling it leaves the call cancelled."""
        self.cancel()
        if self._pump is not None:
            await asyncio.wait([self._pump])

    def _begin(self, requests: Requests | None) -> None:
        """Open the stream. Raises `Unavailable` or `ResourceExhausted` when no call can begin."""
        session, request, call = self._scope.session, self._request, self.call
        opened = open_of(session, request, call.metadata, call.deadline, self._half.grant)
        self._handle = handle = session.open(opened, self._half, WeakEndpoint(self))
        handle.feed_into(self)
        if opened.streams_requests:
            self.sink = handle.sink(request.codec)
            if self._half_closed:
                self.sink.close()
            elif requests is not None:
                self._pump = self._scope.own(_feed(weakref.ref(self), self.sink, requests))
        if self._begun is not None:
            self._begun.set_result(None)

    # ── what happens to the call ──────────────────────────────────────────────────────────────────────────────────────

    def on_accepted(self, accept: Accept) -> None:
        self.on_room()

    def on_items(self) -> None:
        self.wake()

    def on_room(self) -> None:
        if self.sink is not None:
            self.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        self._close(EndOfStream() if status is None else error_of(status))

    def on_stop_sending(self, cancel: Cancel) -> None:
        if self.sink is not None:
            self.sink.finish(StreamCancelled(f"{self.target}: the callee wants no more items. {cancel.message}".rstrip()))
        self._stop_pump()

    def on_lost(self, error: StatusError) -> None:
        self._close(error)

    def _stop_pump(self) -> None:
        """Stop the request stream, once: the clean-up of its generator is not to be interrupted.

        A pump that has not begun finds its sink closed when it does; cancelled before, it would close nothing.
        """
        pump = self._pump
        if pump is not None and not pump.cancelling() and getcoroutinestate(cast("Feeding", pump.get_coro())) != CORO_CREATED:
            pump.cancel()

    def _leave(self, error: Exception) -> None:
        """End the call from this side, with `error` as its outcome."""
        if self._closed:
            return
        if self._handle is not None:
            self._handle.cancel(error)
        elif self._guard is not None:
            self._guard.cancel()
        self._close(error)

    def _close(self, outcome: Exception) -> None:
        """Note how the call ended; interceptors, if any, see `outcome` before the consumer does."""
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

    def _left_interceptors(self, outcome: Exception) -> None:
        """Give the consumer the outcome that came out of the interceptors."""
        self._leave(outcome)
        self.finish(outcome)

    def fail_locally(self, error: StatusError) -> None:
        self._leave(error)
        if self._outcome_of_callee is not None:
            self.finish(error)

    def _on_loop_left(self) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "call"):  # a stream that could not begin has no call to cancel
            finalize_on(self.session.loop, self.cancel)


def _expire(forgettable: weakref.ref[RemoteStream[Any]]) -> None:
    stream = forgettable()
    if stream is not None:
        stream._leave(DeadlineExceeded(f"{stream.target}: the deadline passed before the call was over"))


async def _feed(forgettable: weakref.ref[RemoteStream[Any]], sink: RemoteSink[Any], requests: Requests) -> None:
    """Send the items of the caller's request stream; an error that the stream raises is the outcome of the call."""
    outcome: Exception | None = None
    try:
        await sink.feed(requests)
    except PenstockError as error:
        if sink.outcome is None:
            outcome = as_failure(error)
    except Exception as error:  # noqa: BLE001 - the caller's own generator raised: that is the outcome of the call
        outcome = error
    else:
        sink.close()
    stream = forgettable()
    if outcome is not None and stream is not None:
        stream._leave(outcome)
    del outcome  # its traceback holds this frame


async def _go_inside(
    forgettable: weakref.ref[RemoteStream[Any]],
    scope: CallScope,
    call: CallInfo,
    requests: Requests | None,
    outcome_of_callee: asyncio.Future[Exception],
) -> None:
    """Begin a call inside its interceptors, stay in them until it is over, and give the consumer what came out of them."""
    outcome: Exception = Cancelled("an interceptor stopped the call before it began")
    try:
        async with intercepted(scope.interceptors, call):
            _begin(forgettable, requests)
            outcome = await asyncio.shield(outcome_of_callee)  # closing the peer cancels this task, but not the outcome
            if not isinstance(outcome, EndOfStream):
                raise outcome  # noqa: TRY301 - the interceptors see how the call ended
    except asyncio.CancelledError:
        done = outcome_of_callee.done()
        outcome = outcome_of_callee.result() if done else Cancelled("this side was closed before the call was over")
    except Exception as error:  # noqa: BLE001 - whatever an interceptor raises is the outcome of the call
        outcome = as_failure(error)
    stream = forgettable()
    if stream is not None:
        stream._left_interceptors(outcome)
    del outcome  # its traceback holds this frame


def _begin(forgettable: weakref.ref[RemoteStream[Any]], requests: Requests | None) -> None:
    stream = forgettable()
    if stream is not None:
        stream._begin(requests)


class Call(RemoteStream[T], Generic[T]):
    """A call held in the hand: send and receive as you like (`Peer.open`).

    ``await call.send(x)``, ``await call.receive()``, ``async for x in call``, ``call.close_send()``,
    ``await call.close_and_receive()``, ``call.cancel()``; ``async with call`` cancels what is left at the end.
    """

    __slots__ = ()

    async def send(self, item: Any) -> None:
        """Send one request; waits for the callee's demand. Raises as `Sink.send`. A cancelled `send` delivers nothing."""
        if self._begun is not None:
            await asyncio.shield(self._begun)  # an interceptor has the call in hand
        if self._half_closed:
            raise StreamClosed(f"{self.target}: close_send() was called; nothing more can be sent")
        if self.sink is None:
            await self._readable_outcome()
            raise FailedPrecondition(f"{self.target} takes no stream of requests")
        await self.sink.send(item)

    def close_send(self) -> None:
        """Half-close: no more requests; responses go on. Idempotent. A `send` afterwards raises `StreamClosed`."""
        self._half_closed = True
        if self.sink is not None:
            self.sink.close()

    async def close_and_receive(self) -> T:
        """Half-close, and return the one response. Raises what the call ended with. Cancelling it cancels the call."""
        self.close_send()
        return await single_result(self)

    async def _readable_outcome(self) -> None:
        """Raise what a call that never began ended with."""
        if self._handle is None and self._outcome_of_callee is not None:
            raise reraisable(await asyncio.shield(self._outcome_of_callee), None)


async def single_result(stream: RemoteStream[T]) -> T:
    """Return the one response of a call. Cancelling it cancels the call."""
    try:
        result = await stream.receive()
        await _end_of(stream)
    except EndOfStream:
        raise DataLoss(f"{stream.target}: the call ended without a result") from None
    finally:
        stream.cancel()
    return result


async def _end_of(stream: RemoteStream[Any]) -> None:
    """Wait for the end that follows the one response; an interceptor or the callee may still make it an error."""
    try:
        await stream.receive()
    except EndOfStream:
        return
    raise DataLoss(f"{stream.target}: more than one result")
