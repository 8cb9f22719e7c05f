"""Calls with a stream of responses, seen by their caller: `Stream`, and `Call` for one that is held in the hand.

The session holds a call by a `_Watch`, which knows its `Stream` only weakly: a `Stream` that everybody has forgotten cancels
its call, as leaving its loop does.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterable, Coroutine, Iterable
from contextlib import AsyncExitStack
from inspect import CORO_CREATED, getcoroutinestate
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from penstock.calls._context import NO_DEADLINE_S, CallInfo, enter_all, inherited_deadline
from penstock.calls._request import Request, error_of, open_stream
from penstock.calls._stream import Stream
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
from penstock.session import Endpoint, RemoteSink, RemoteSource, cancel_of
from penstock.streams import as_failure, finalize_on

if TYPE_CHECKING:
    from penstock.peer import Peer

T = TypeVar("T")
Requests = AsyncIterable[Any] | Iterable[Any]
Feeding = Coroutine[Any, Any, None]


class RemoteStream(RemoteSource[T], Stream[T]):
    """A `Stream` whose callee is at the other side of a connection."""

    __slots__ = (
        "_begun",
        "_closed",
        "_deadline",
        "_guard",
        "_half_closed",
        "_over",
        "_peer",
        "_pump",
        "_request",
        "call",
        "sink",
    )

    def __init__(self, peer: Peer, request: Request, requests: Requests | None = None) -> None:
        session, options = peer.session, request.options
        grant = grant_for(session.settings, options.buffer_size, options.buffer_bytes)
        if request.window:
            grant.start_with(request.window)
        half = ReceiveHalf(grant)
        super().__init__(session, request.name, half, request.decode)
        self.idle_timeout_s = None if (options.idle_timeout or 0) > NO_DEADLINE_S else options.idle_timeout
        self.sink: RemoteSink[Any] | None = None
        self._peer = peer
        self._request = request
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self._half_closed = False
        self._begun: asyncio.Future[None] | None = None
        self._over: asyncio.Future[Exception] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        deadline = inherited_deadline(options.timeout, session.loop.time())
        self.call = CallInfo(
            request.target, request.kind.label, "caller", metadata=dict(options.metadata), deadline=deadline, peer=peer
        )
        watch = _Watch(self)
        if deadline is not None:
            self._deadline = session.loop.call_at(deadline, watch.expire)
        if peer.interceptors:
            self._begun = session.loop.create_future()
            self._over = session.loop.create_future()
            self._guard = peer.own(_intercept(weakref.ref(self), watch, requests, self._over))
        else:
            self._begin(watch, requests)

    def give_up(self, error: StatusError) -> None:
        self._leave(error)
        self.discard(error)

    async def aclose(self) -> None:
        """As `cancel`; returns when the request stream, if any, is closed too. Cancelling it leaves the call cancelled."""
        self.cancel()
        if self._pump is not None:
            await asyncio.wait([self._pump])

    # ── what happens to the call ──────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, watch: _Watch, requests: Requests | None) -> None:
        """Open the stream. Raises `Unavailable` or `ResourceExhausted` when no call can begin."""
        session, request = self.session, self._request
        self.stream = stream = open_stream(session, request, self.call.metadata, self.call.deadline, self._half)
        stream.endpoint = watch
        if stream.send is not None:
            self.sink = RemoteSink(session, stream, stream.send, request.codec)
            if self._half_closed:
                self.sink.close()
            elif requests is not None:
                self._pump = self._peer.own(_feed(watch, self.sink, requests))
        if self._begun is not None:
            self._begun.set_result(None)
        session.flush_soon()

    def _stop_sending(self, why: str) -> None:
        """The callee wants no more items."""
        if self.sink is not None:
            self.sink.finish(StreamCancelled(f"{self.target}: the callee wants no more items. {why}".rstrip()))
        self._stop_pump()

    def _stop_pump(self) -> None:
        """Stop the request stream, once: the clean-up of its generator is not to be interrupted.

        One that has not begun finds its sink closed when it does; cancelled before, it would close nothing.
        """
        pump = self._pump
        if pump is not None and not pump.cancelling() and getcoroutinestate(cast("Feeding", pump.get_coro())) != CORO_CREATED:
            pump.cancel()

    def _leave(self, error: Exception) -> None:
        """End the call from this side, with `error` as its outcome."""
        if self._closed:
            return
        if self.stream is not None:
            self.session.connection.cancel(self.stream, cancel_of(error))
            self.session.flush_soon()
        elif self._guard is not None:
            self._guard.cancel()
        self._close(error)

    def _close(self, outcome: Exception) -> None:
        """The call is over; interceptors, if any, see `outcome` before the consumer does."""
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
        if self._over is None:
            self.finish(outcome)
        elif not self._over.done():
            self._over.set_result(outcome)

    def fail_locally(self, error: StatusError) -> None:
        self._leave(error)
        if self._over is not None:
            self.finish(error)

    def _on_loop_left(self) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "call"):  # not when it could not even begin
            finalize_on(self.session.loop, self.cancel)


class _Watch(Endpoint):
    """What the session holds of a call: it tells the `Stream` what happens, as long as somebody else wants it."""

    __slots__ = ("_stream",)

    def __init__(self, stream: RemoteStream[Any]) -> None:
        self._stream = weakref.ref(stream)

    def on_accepted(self, accept: Accept) -> None:
        self.on_room()

    def on_items(self) -> None:
        stream = self._stream()
        if stream is not None:
            stream.wake()

    def on_room(self) -> None:
        stream = self._stream()
        if stream is not None and stream.sink is not None:
            stream.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        self.close(EndOfStream() if status is None else error_of(status))

    def on_stop_sending(self, cancel: Cancel) -> None:
        stream = self._stream()
        if stream is not None:
            stream._stop_sending(cancel.message)

    def on_lost(self, error: StatusError) -> None:
        self.close(error)

    def close(self, outcome: Exception) -> None:
        stream = self._stream()
        if stream is not None:
            stream._close(outcome)

    def leave(self, error: Exception) -> None:
        stream = self._stream()
        if stream is not None:
            stream._leave(error)

    def expire(self) -> None:
        stream = self._stream()
        if stream is not None:
            stream._leave(DeadlineExceeded(f"{stream.target}: the deadline passed before the call was over"))


async def _feed(watch: _Watch, sink: RemoteSink[Any], requests: Requests) -> None:
    """Send what the caller gave as its stream of requests."""
    try:
        await sink.feed(requests)
    except PenstockError as error:
        if sink.outcome is None:
            watch.leave(as_failure(error))
    except Exception as error:  # noqa: BLE001 - the caller's own generator raised: that is the outcome of the call
        watch.leave(error)
    else:
        sink.close()


async def _intercept(
    stream: weakref.ref[RemoteStream[Any]], watch: _Watch, requests: Requests | None, over: asyncio.Future[Exception]
) -> None:
    """Begin a call inside its interceptors, stay in them until it is over, and tell the consumer what came out of them."""
    outcome: Exception = Cancelled("an interceptor stopped the call before it began")
    try:
        async with AsyncExitStack() as stack:
            await _enter(stream, stack)
            _begin(stream, watch, requests)
            outcome = await asyncio.shield(over)  # closing the peer cancels this task, which must not cancel the outcome
            if not isinstance(outcome, EndOfStream):
                raise outcome  # noqa: TRY301 - the interceptors see how the call ended
    except asyncio.CancelledError:
        outcome = over.result() if over.done() else Cancelled("this side was closed before the call was over")
    except Exception as error:  # noqa: BLE001 - whatever an interceptor raises is the outcome of the call
        outcome = as_failure(error)
    known = stream()
    if known is not None:
        known._leave(outcome)
        known.finish(outcome)


async def _enter(stream: weakref.ref[RemoteStream[Any]], stack: AsyncExitStack) -> None:
    known = stream()
    if known is not None:
        interceptors, call = known._peer.interceptors, known.call
        del known
        await enter_all(stack, interceptors, call)


def _begin(stream: weakref.ref[RemoteStream[Any]], watch: _Watch, requests: Requests | None) -> None:
    known = stream()
    if known is not None:
        known._begin(watch, requests)


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
        if self.stream is None and self._over is not None:
            outcome = await asyncio.shield(self._over)
            raise outcome


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
