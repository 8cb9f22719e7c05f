"""Calls, seen by their caller: `Stream` for what has a stream of responses, `Call` for both directions, and unary calls.

Each of them is the endpoint of its stream: the session tells it what happens, and it decides nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Generator, Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import msgspec

from penstock.codec import UNDECODABLE, Codec, Decode
from penstock.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    EndOfStream,
    FailedPrecondition,
    PenstockError,
    StatusError,
    StreamCancelled,
    status_error,
)
from penstock.protocol import LONG_MESSAGE, MAX_NUMBER, Cancel, Grant, Open, ReceiveHalf, Status, WireStream, grant_for
from penstock.rpc._context import CallInfo, enter_all, inherited_deadline
from penstock.rpc._options import CallOptions
from penstock.rpc._service import KINDS
from penstock.session import Endpoint, RemoteSink, RemoteSource, Session

if TYPE_CHECKING:
    from penstock.rpc._peer import Peer

T = TypeVar("T")


#: The grant of every unary call: one item of any size. Nothing is ever consumed on it, so all of them share it.
_ONE: Final = Grant(1, MAX_NUMBER)


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a call needs to begin."""

    target: str
    kind: int
    codec: Codec
    argument: bytes | None
    decode: Decode
    options: CallOptions


def error_of(status: Status) -> Exception:
    """Make the outcome of a call from how its callee ended it."""
    if status.code == 0:
        return EndOfStream()
    return status_error(status.code, status.reason, status.message, status.details, started=status.started)


def cancel_of(error: BaseException) -> Cancel:
    """Tell the callee why its caller leaves."""
    if isinstance(error, StatusError):
        return Cancel(error.code, error.reason, error.message[:LONG_MESSAGE])
    return Cancel()


class Stream(RemoteSource[T], Endpoint):
    """The responses of a call: ``async for item in stream``. It has begun when you hold it.

    Leaving the loop in any way, ``async with``, `cancel`, `aclose` and forgetting the object all end the call: the callee's
    ``finally`` runs. To read in several steps, use `receive`. Raises what the call ended with: the callee's `StatusError`,
    `DeadlineExceeded`, `IdleTimeout`, `ConnectionLost`; a loop that just ends is the normal end, and nothing else is.
    """

    __slots__ = ("_begun", "_deadline", "_over", "_peer", "_pump", "_request", "call", "sink")

    def __init__(self, peer: Peer, request: Request, requests: AsyncIterable[Any] | Iterable[Any] | None = None) -> None:
        session = peer.session
        options = request.options
        half = ReceiveHalf(grant_for(session.settings, options.buffer_size, options.buffer_bytes))
        super().__init__(session, request.target, half, request.decode)
        self.idle_timeout_s = options.idle_timeout
        self.sink: RemoteSink[Any] | None = None
        self._peer = peer
        self._request = request
        self._pump: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._begun: asyncio.Future[None] | None = None
        self._over: asyncio.Future[None] | None = None
        deadline = inherited_deadline(options.timeout, session.loop.time())
        self.call = CallInfo(request.target, KINDS[request.kind], "caller", dict(options.metadata), deadline, peer)
        if peer.interceptors:
            self._begun = session.loop.create_future()
            self._over = session.loop.create_future()
            peer.own(self._run_intercepted(requests, self._over))
        else:
            self._start(requests)

    def __await__(self) -> Generator[Any, None, Self]:
        """Return itself, so that ``async for x in await stub.method()`` works where the service is written that way."""
        yield from ()  # awaiting it never waits
        return self

    def cancel(self) -> None:
        """Give up the call: the callee is told, what waits here is dropped. Idempotent."""
        if self.outcome is None:
            self._leave(Cancelled(f"{self.target}: the call was cancelled on this side"))
        self.discard(self.outcome or EndOfStream())

    async def aclose(self) -> None:
        """As `cancel`; returns when the request stream, if any, is closed too. Cancelling it leaves the call cancelled."""
        self.cancel()
        if self._pump is not None:
            await asyncio.wait([self._pump])

    # ── what happens to the stream ────────────────────────────────────────────────────────────────────────────────────

    def on_accepted(self) -> None:
        self.on_room()

    def on_items(self) -> None:
        self.wake()

    def on_room(self) -> None:
        if self.sink is not None:
            self.sink.on_room()

    def on_ended(self, status: Status | None) -> None:
        self._finish(EndOfStream() if status is None else error_of(status))

    def on_stop_sending(self, cancel: Cancel) -> None:
        if self.sink is not None:
            self.sink.finish(StreamCancelled(f"{self.target}: the callee wants no more items. {cancel.message}".rstrip()))
        if self._pump is not None:
            self._pump.cancel()

    def on_lost(self, error: StatusError) -> None:
        self._finish(error)

    def fail_locally(self, error: StatusError) -> None:
        self._leave(error)

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, requests: AsyncIterable[Any] | Iterable[Any] | None) -> None:
        """Open the stream. Raises `Unavailable` or `ResourceExhausted` when no call can begin."""
        session, request = self.session, self._request
        self.stream = stream = open_stream(session, request, self.call.metadata, self.call.deadline, self._half)
        stream.endpoint = self
        if stream.send is not None:
            self.sink = RemoteSink(session, stream, stream.send, request.codec)
            if requests is not None:
                self._pump = self._peer.own(self._feed(self.sink, requests))
        if self.call.deadline is not None:
            self._deadline = session.loop.call_at(self.call.deadline, self._expire)
        if self._begun is not None:
            self._begun.set_result(None)
        session.flush_soon()

    async def _run_intercepted(self, requests: AsyncIterable[Any] | Iterable[Any] | None, over: asyncio.Future[None]) -> None:
        """Begin the call inside its interceptors and stay in them until it is over."""
        try:
            async with AsyncExitStack() as stack:
                await enter_all(stack, self._peer.interceptors, self.call)
                if self.outcome is None:
                    self._start(requests)
                    await over
                if self.outcome is not None and not isinstance(self.outcome, EndOfStream):
                    raise self.outcome  # noqa: TRY301 - the interceptors see how the call ended
        except Exception as error:  # noqa: BLE001 - whatever an interceptor raises is the outcome of the call
            self._leave(error)

    async def _feed(self, sink: RemoteSink[Any], requests: AsyncIterable[Any] | Iterable[Any]) -> None:
        try:
            await sink.feed(requests)
        except PenstockError as error:
            if sink.outcome is None:
                self._leave(error)
        except Exception as error:  # noqa: BLE001 - the caller's own generator raised: that is the outcome of the call
            self._leave(error)
        else:
            sink.close()

    def _expire(self) -> None:
        self._leave(DeadlineExceeded(f"{self.target}: the deadline passed before the call was over"))

    def _leave(self, error: Exception) -> None:
        """End the call from this side, with `error` as its outcome."""
        if self.outcome is None:
            if self.stream is not None:
                self.session.connection.cancel(self.stream, cancel_of(error))
                self.session.flush_soon()
            self._finish(error)

    def _finish(self, outcome: Exception) -> None:
        """The call is over."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self.sink is not None:
            over = StreamCancelled(f"{self.target}: the call has ended") if isinstance(outcome, EndOfStream) else outcome
            self.sink.finish(over)
        if self._pump is not None:
            self._pump.cancel()
        for future in (self._begun, self._over):
            if future is not None and not future.done():
                future.set_result(None)
        self.finish(outcome)

    def _left_loop(self) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "call"):  # not when it could not even begin
            self.cancel()


class Call(Stream[T], Generic[T]):
    """A call held in the hand: send and receive as you like (`Peer.open`).

    ``await call.send(x)``, ``await call.receive()``, ``async for x in call``, ``call.close_send()``,
    ``await call.close_and_receive()``, ``call.cancel()``; ``async with call`` cancels what is left at the end.
    """

    __slots__ = ()

    async def send(self, item: Any) -> None:
        """Send one request; waits for the callee's demand. Raises as `Sink.send`. A cancelled `send` delivers nothing."""
        if self._begun is not None:
            await asyncio.shield(self._begun)  # an interceptor has the call in hand
        if self.outcome is not None and not isinstance(self.outcome, EndOfStream):
            raise self.outcome
        if self.sink is None:
            raise FailedPrecondition(f"{self.target} takes no stream of requests")
        await self.sink.send(item)

    def close_send(self) -> None:
        """Half-close: no more requests; responses go on. Idempotent. A `send` afterwards raises `StreamClosed`."""
        if self.sink is not None:
            self.sink.close()

    async def close_and_receive(self) -> T:
        """Half-close, and return the one response. Raises what the call ended with. Cancelling it cancels the call."""
        self.close_send()
        return await only(self)


async def only(stream: Stream[T]) -> T:
    """Return the one response of a call. Cancelling it cancels the call."""
    try:
        return await stream.receive()
    except EndOfStream:
        raise DataLoss(f"{stream.target}: the call ended without a result") from None
    finally:
        stream.cancel()


class Unary(Endpoint):
    """A call with one request and one response: as little as possible."""

    __slots__ = ("_decode", "_half", "_session", "_target", "future", "stream")

    def __init__(self, session: Session, request: Request, metadata: dict[str, str], deadline: float | None) -> None:
        self._session = session
        self._decode = request.decode
        self._target = request.target
        self._half = ReceiveHalf(_ONE)
        self.stream = open_stream(session, request, metadata, deadline, self._half)
        self.stream.endpoint = self
        self.future: asyncio.Future[Any] = session.loop.create_future()
        session.unary_calls += 1
        session.flush_for(session.unary_calls)

    def on_items(self) -> None:
        payload = self._half.queue.pop().payload
        self._session.connection.buffered_bytes -= len(payload)
        if self.future.done():
            return
        try:
            (result,) = self._decode.batch(payload)
            self.future.set_result(result)
        except UNDECODABLE as error:
            self.future.set_exception(DataLoss(f"{self._target}: its result does not fit its type: {error}"))

    def on_ended(self, status: Status | None) -> None:
        if not self.future.done():
            error = error_of(status) if status is not None and status.code else None
            self.future.set_exception(error or DataLoss(f"{self._target}: the call ended without a result"))

    def on_lost(self, error: StatusError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self) -> None:
        if not self.future.done():
            self.future.set_exception(DeadlineExceeded(f"{self._target}: the deadline passed before the call was over"))

    async def result(self, deadline: float | None) -> Any:
        """Wait for the response. Cancelling it cancels the call."""
        session = self._session
        timer = session.loop.call_at(deadline, self.expire) if deadline is not None else None
        try:
            return await self.future
        except (asyncio.CancelledError, DeadlineExceeded) as error:
            session.connection.cancel(self.stream, cancel_of(error))
            session.flush_soon()
            raise
        finally:
            session.unary_calls -= 1
            if timer is not None:
                timer.cancel()


def open_stream(
    session: Session, request: Request, metadata: dict[str, str], deadline: float | None, half: ReceiveHalf
) -> WireStream:
    """Queue the `OPEN` of a call. Raises what makes it impossible; then nothing was sent."""
    options, deadline_ms = request.options, None
    if deadline is not None:
        left_s = deadline - session.loop.time()
        if left_s <= 0:
            raise DeadlineExceeded(f"{request.target}: the deadline passed before the call began", started=False)
        deadline_ms = int(left_s * 1000) or 1
    session.check_open()
    opened = Open(
        request.target,
        request.kind,
        request.codec.number,
        half.grant.items,
        half.grant.bytes,
        request.argument,
        metadata,
        deadline_ms,
        options.priority_number,
        0,
        options.buffer_size or 0,
        options.buffer_bytes or 0,
    )
    return session.connection.open(opened, half)
