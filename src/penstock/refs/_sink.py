"""The sending end of a stream as a value: `SinkRef`, and what stands for it where it was claimed. It never buffers an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TypeVar

from penstock.calls import Call, CallScope, Request
from penstock.codec import MSGPACK, Extension, ExtensionCode, register_extension
from penstock.errors import PenstockError, StatusError, StreamClosed, WouldBlock, status_error
from penstock.protocol import CallKind
from penstock.refs._offers import RefLocation
from penstock.refs._routes import route_to
from penstock.refs._state import RefState, released, travelling
from penstock.service import CallOptions
from penstock.session import status_of
from penstock.streams import Sink, Statistics

T = TypeVar("T")

CLAIM: Final = "Penstock/claim_sink"
_FAILURE: Final = MSGPACK.decode_for(tuple[int, str, str, dict[str, Any]]).value


class SinkRef(Sink[T]):
    """The sending end of a stream as a value: put it into any message, argument or result, and use it where it arrives.

    ``SinkRef(sink)`` takes a `Sink`. In one process it passes by reference. Sent elsewhere it is on offer for `RECLAIM_S`
    seconds; the first use there claims it over the connection it came by. An item that is put there waits for the process
    of the sink, and that one for the consumer.

    It is a `Sink` with one user, and `put` and `complete` are its other names for `send` and `close`. Its first use raises
    `FailedPrecondition` when somebody else has claimed it, `NotFound` when it was reclaimed, `Unavailable` when no
    connection leads to where it is. Who forgets it without `complete` fails the stream; so does a connection that is lost.
    """

    __slots__ = ("_held", "_sink")

    def __init__(self, sink: Sink[T]) -> None:
        if not isinstance(sink, Sink):
            raise TypeError(f"{type(sink).__name__} is no Sink")
        self._held: RefState[Sink[T]] = RefState(sink)
        self._sink: Sink[T] | None = None

    def claim(self, *, buffer_size: int | None = None) -> Sink[T]:
        """Return the sink itself, which is this side's from now on.

        `buffer_size` (items) is how many may be under way to the other process, kept exactly; unset, it tunes itself. In the
        process that made the ref it changes nothing. Using the ref claims it without one. Raises what the class says.
        """
        if self._sink is None:
            left = self._held.use("SinkRef")
            self._sink = ClaimedSink(route_to(left), left, buffer_size) if isinstance(left, RefLocation) else left
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
        """End the stream normally: another name for `close`."""
        self.close()

    def fail(self, error: Exception) -> None:
        self.claim().fail(error)

    def statistics(self) -> Statistics:
        sink = self._sink or self._held.end
        return sink.statistics() if sink is not None else Statistics("open", 0, 0, 0, 0, 0, 0)

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        (self._held.end or self.claim())._watch(on_change)

    # ── for the table of offers ───────────────────────────────────────────────────────────────────────────────────────

    def leave(self, refusal: StatusError) -> Callable[[int | None], Sink[T]]:
        """Give the sink to somebody elsewhere; what is returned makes it, for as many items under way as that side wishes."""
        left = self._held.leave(refusal)
        return lambda buffer_size: ClaimedSink(route_to(left), left, buffer_size) if isinstance(left, RefLocation) else left

    async def drop(self, why: StatusError) -> None:
        """Fail the stream: nobody will send into it."""
        left = self._held.leave(why)
        if isinstance(left, RefLocation):
            await released(left)
        else:
            left.fail(why)

    def __repr__(self) -> str:
        if self._sink is not None:
            return f"<SinkRef of {self._sink!r}>"
        return f"<SinkRef {self._held.describe()}>"


class Failure:
    """The error of a claimed stream, as the last of its items: so its sender says that it has failed."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error if isinstance(error, StatusError) else StatusError(str(error))


def _pack_failure(failure: Failure) -> bytes:
    status = status_of(failure.error)
    return MSGPACK.encode((status.code, status.reason, status.message, status.details))


def _unpack_failure(data: bytes) -> Failure:
    return Failure(status_error(*_FAILURE(data)))


class ClaimedSink(Sink[T]):
    """A sink in another process, by the call that claimed it."""

    __slots__ = ("_call", "_closed", "_scope")

    def __init__(self, scope: CallScope, location: RefLocation, buffer_size: int | None) -> None:
        argument = MSGPACK.encode((location.token, buffer_size))
        options = CallOptions(buffer_size=buffer_size)
        self._scope = scope
        self._call: Call[Any] = Call(
            scope, Request(CLAIM, CallKind.CLIENT_STREAMING, MSGPACK, argument, MSGPACK.decode_for(Any), options)
        )
        self._closed = False

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
            self._closed = True
            self._call.close_send()
            self._scope.own(_over(self._call))  # or forgetting this object would cancel what is under way

    def fail(self, error: Exception) -> None:
        if not self._closed:
            self._closed = True
            self._scope.own(_failed(self._call, error))

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


async def _over(call: Call[Any]) -> None:
    """Wait until everything that was sent has arrived, or nobody wants it. Its outcome is known to the stream's other end."""
    with suppress(PenstockError):
        await call.receive()


async def _failed(call: Call[Any], error: Exception) -> None:
    with suppress(PenstockError):
        await call.send(Failure(error))
        call.close_send()
        await call.receive()


def _make(held: RefState[Any]) -> SinkRef[Any]:
    ref: SinkRef[Any] = SinkRef.__new__(SinkRef)
    ref._held, ref._sink = held, None
    return ref


register_extension(SinkRef, travelling(ExtensionCode.SINK_REF, lambda ref: ref._held, _make))
register_extension(Failure, Extension(ExtensionCode.FAILURE, _pack_failure, _unpack_failure))
