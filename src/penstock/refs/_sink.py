"""`SinkRef`: the sending end of a stream as a value, and `ClaimedSink`, a sink in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from penstock._outcomes import as_failure, sole_error, text_of
from penstock.calls import Call, CallScope, Request
from penstock.codec import MSGPACK, UNDECODABLE, ExtensionCode, register_extension
from penstock.errors import Aborted, InvalidArgument, PenstockError, StatusError, StreamClosed, WouldBlock, status_error
from penstock.protocol import CallKind
from penstock.refs._offers import RefLocation
from penstock.refs._routes import guarded, route_to
from penstock.refs._state import RefState, ref_extension, send_release
from penstock.service import CallOptions
from penstock.session import details_in, status_of
from penstock.streams import Sink, Statistics, check_thread, checked_size, finalize_on, reraisable

T = TypeVar("T")

CLAIM: Final = "Penstock/claim_sink"
_FAILURE: Final = MSGPACK.decode_for(tuple[int, str, str, msgspec.Raw]).value


class SinkRef(Sink[T]):
    """The sending end of a stream as a value: put it into any message, argument or result, and use it where it arrives.

    sink: the `Sink`. Raises `TypeError` for any other object.

    In one process the ref passes by reference. Sent to another process, it is on offer for 30 s; its first use there claims it,
    over a live connection to the process that sent it. An item sent there waits for demand of the consumer, across both
    processes.

    A ref is a `Sink` with one user; `put` and `complete` are other names for `send` and `close`. Its first use raises
    `FailedPrecondition` when the ref has another user, `NotFound` when it was reclaimed, and `Unavailable` without a
    connection to its process.

    Call `aclose`, `complete` or `fail` at the end: a ref that is dropped without it fails the stream with `Aborted`, used or
    not, and a lost connection fails it, too. Only `aclose` says whether everything has arrived. A side that closes its
    connection waits up to 5 s for the items of completed refs; it fails the others, after their items.
    """

    __slots__ = ("__weakref__", "_sink", "_state")

    def __init__(self, sink: Sink[T]) -> None:
        if not isinstance(sink, Sink):
            raise TypeError(f"{type(sink).__name__} is not a Sink")
        self._state: RefState[Sink[T]] = RefState(sink)
        self._sink: Sink[T] | None = None

    def claim(self, *, buffer_size: int | None = None) -> Sink[T]:
        """Return the sink of the ref. Only this side can use the stream from now on. The first use claims it, too.

        buffer_size: how many items may be under way to the other process, kept exactly; by default the number tunes itself. In
            the process that made the ref it changes nothing.

        Raises the errors of a first use, as the class says.
        """
        if buffer_size is not None:
            buffer_size = checked_size("buffer_size", buffer_size)
        if self._sink is None:
            end = self._state.use("SinkRef")
            self._sink = ClaimedSink(route_to(end), end, buffer_size) if isinstance(end, RefLocation) else end
        return self._sink

    async def send(self, item: T) -> None:
        await self.claim().send(item)

    async def put(self, item: T) -> None:
        """Send one item: another name for `send`."""
        await self.send(item)

    def send_nowait(self, item: T) -> None:
        self.claim().send_nowait(item)

    async def send_many(self, items: Iterable[T]) -> None:
        await self.claim().send_many(items)

    def close(self) -> None:
        self.claim().close()

    def complete(self) -> None:
        """End the stream normally: another name for `close`. `aclose` also waits until everything has arrived."""
        self.close()

    async def aclose(self) -> None:
        await self.claim().aclose()

    def fail(self, error: Exception) -> None:
        self.claim().fail(error)

    def statistics(self) -> Statistics:
        sink = self._sink or self._state.end
        return sink.statistics() if sink is not None else Statistics("open", 0, 0, 0, 0, 0, 0)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        (self._state.end or self.claim())._watch(on_change)

    # ── for the table of offers ───────────────────────────────────────────────────────────────────────────────────────

    def _hand_over(self, refusal: StatusError) -> Callable[[int | None], Sink[T]]:
        """Return a function that makes the sink for its claimer, from the number of items that may be under way."""
        end = self._state.hand_over(refusal)
        return lambda buffer_size: ClaimedSink(route_to(end), end, buffer_size) if isinstance(end, RefLocation) else end

    async def _end_unused(self, why: StatusError) -> None:
        """Fail the stream: its ref was not claimed."""
        end = self._state.hand_over(why)
        if isinstance(end, RefLocation):
            await send_release(end)
        else:
            end.fail(why)

    def __repr__(self) -> str:
        if self._sink is not None:
            return f"<SinkRef of {self._sink!r}>"
        return f"<SinkRef {self._state.describe()}>"


def _as_item(error: Exception) -> msgspec.msgpack.Ext:
    """Return the error of a failed stream as the last item of its claimed sink (PROTOCOL.md 13.4)."""
    failure = sole_error(as_failure(error))
    status = status_of(failure if isinstance(failure, StatusError) else StatusError(text_of(failure)))
    data = MSGPACK.encode((status.code, status.reason, status.message, status.details))
    return msgspec.msgpack.Ext(ExtensionCode.FAILURE.value, data)


def failure_in(item: msgspec.msgpack.Ext) -> StatusError | None:
    """Return the error of a failed stream from an item of a claimed sink; None for an item of the program.

    Only the service that is claimed asks: anywhere else the value is one of an unknown extension type. Raises
    `InvalidArgument` for a value that cannot be read.
    """
    if item.code != ExtensionCode.FAILURE:
        return None
    try:
        code, reason, message, details = _FAILURE(memoryview(item.data))
    except UNDECODABLE as error:
        raise InvalidArgument(f"the failure of a stream that cannot be read: {error}") from None
    return status_error(code, reason, message, details_in(details))


class ClaimedSink(Sink[T]):
    """A sink in another process, by the call that claims it."""

    __slots__ = ("__weakref__", "_call", "_closed", "_ending", "_scope")

    def __init__(self, scope: CallScope, location: RefLocation, buffer_size: int | None) -> None:
        argument = MSGPACK.encode((location.token, buffer_size))
        options = CallOptions(buffer_size=buffer_size)
        self._scope = scope
        request = Request(CLAIM, CallKind.CLIENT_STREAMING, MSGPACK, argument, MSGPACK.decode_for(Any), options)
        self._call: Call[Any] = Call(scope, guarded(scope, request))
        self._closed = False
        self._ending: asyncio.Task[Exception | None] | None = None
        scope.deliveries.ends.add(self)

    async def send(self, item: T) -> None:
        self._check()
        await self._call.send(item)

    def send_nowait(self, item: T) -> None:
        self._check()
        if self._call.sink is None:
            raise WouldBlock("the call that claims this sink has not begun; use `await send()` to wait")
        self._call.sink.send_nowait(item)

    async def send_many(self, items: Iterable[T]) -> None:
        for item in items:
            await self.send(item)

    def close(self) -> None:
        if not self._closed:
            self._call.close_send()
            self._closed = True
            self._ending = self._scope.deliveries.run(_end_of(self._call))  # which keeps the call, when this object is dropped

    async def aclose(self) -> None:
        self.close()
        error = None if self._ending is None else await asyncio.shield(self._ending)
        if error is not None:
            raise reraisable(error, None)

    def fail(self, error: Exception) -> None:
        check_thread(self._scope.session.thread, self)
        if not self._closed:
            self._closed = True
            self._ending = self._scope.deliveries.run(_send_failure(self._call, error))

    def leave(self) -> None:
        """Fail the stream, after its items, because this side closes the connection."""
        self.fail(Aborted("the sender of this stream closed its connection before the end of the stream"))

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            dropped = Aborted("the sink of this stream was dropped without close() or fail()")
            finalize_on(self._scope.session.loop, partial(self.fail, dropped))

    def statistics(self) -> Statistics:
        sink = self._call.sink
        return sink.statistics() if sink is not None else Statistics("open", 0, 0, 0, 0, 0, 0)

    def _check(self) -> None:
        if self._closed:
            raise StreamClosed("this sink was closed; nothing more can be sent")

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        if self._call.sink is not None:
            self._call.sink._watch(on_change)

    def __repr__(self) -> str:
        return f"<ClaimedSink at {self._scope.remote}, {self._call.sink!r}>"


async def _end_of(call: Call[Any]) -> Exception | None:
    """Wait until all items have arrived, or the call has failed; return its error then."""
    try:
        await call.receive()
    except PenstockError as error:
        return error
    return None


async def _send_failure(call: Call[Any], error: Exception) -> None:
    """Send `error` as the last item, and wait until it has arrived, or the call has failed."""
    with suppress(PenstockError):
        await call.send(_as_item(error))
        call.close_send()
        await call.receive()


def _make(state: RefState[Any]) -> SinkRef[Any]:
    ref: SinkRef[Any] = SinkRef.__new__(SinkRef)
    ref._state, ref._sink = state, None
    return ref


register_extension(SinkRef, ref_extension(ExtensionCode.SINK_REF, lambda ref: ref._state, _make))
