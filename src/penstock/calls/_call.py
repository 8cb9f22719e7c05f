"""`Call`: a call by name across a connection, whose requests the program sends one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from penstock.calls._request import Request
from penstock.calls._scope import CallScope
from penstock.calls._stream import RemoteStream, Stream, single_result
from penstock.errors import FailedPrecondition, StatusError, StreamClosed
from penstock.streams import Iteration, Sink, Statistics, check_thread, reraisable

T = TypeVar("T")


class Call(Stream[T], Generic[T]):
    """A call by name, whose requests the program sends one by one. Made by `Peer.open`; the call has begun then.

    ::

        async with peer.open("Prices/trade") as call:
            await call.send(order)
            call.close_send()
            async for fill in call:
                ...

    It is also a `Stream` of the responses. Leaving ``async with`` cancels the call if it is not over.
    """

    __slots__ = ("__weakref__", "_stream", "target")

    def __init__(self, scope: CallScope, request: Request) -> None:
        self._stream: RemoteStream[T] = RemoteStream(scope, request)
        self.target = request.name

    @property
    def sink(self) -> Sink[Any] | None:
        """The sending end, for `send_nowait`, `send_many` and `statistics`; None until interceptors let the call begin.

        Its `aclose` waits until everything is written. The outcome of the call says whether it has arrived.
        """
        return self._stream.sink

    async def send(self, item: Any) -> None:
        """Send one request; wait until the callee has demand for it. A cancelled `send` delivers nothing.

        Raises `StreamClosed` after `close_send`, `FailedPrecondition` when the method takes no stream of requests,
        `StreamCancelled` when the callee takes no more, and the outcome of a call that has failed.
        """
        stream = self._stream
        if stream._begun is not None:
            await asyncio.shield(stream._begun)  # until the interceptors have let the call begin
        if stream._half_closed:
            raise StreamClosed(f"{self.target}: close_send() was called; nothing more can be sent")
        if stream.sink is None:
            if stream._handle is None and stream._outcome_of_callee is not None:
                outcome = await asyncio.shield(stream._outcome_of_callee)  # the call has ended before it began
                raise reraisable(outcome, None)
            raise FailedPrecondition(f"{self.target} takes no stream of requests")
        await stream.sink.send(item)

    def close_send(self) -> None:
        """End the requests; the responses go on. Idempotent. A later `send` raises `StreamClosed`."""
        stream = self._stream
        check_thread(stream.session.thread, self)
        stream._half_closed = True  # also for a call that its interceptors have not let begin
        if stream.sink is not None:
            stream.sink.close()

    async def close_and_receive(self) -> T:
        """End the requests and return the one response, for a method with a single result.

        Raises the outcome of a call that has failed, `DataLoss` for no response or more than one. Cancelling it cancels the
        call.
        """
        self.close_send()
        return await single_result(self._stream)

    # ── the responses ─────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> Iteration[T]:
        return aiter(self._stream)

    def batches(self, max_items: int = 256) -> Iteration[list[T]]:
        return self._stream.batches(max_items)

    def _take(self, max_items: int) -> list[T]:
        return self._stream._take(max_items)

    async def _readable(self) -> None:
        await self._stream._readable()

    def _watch(self, on_change: Callable[[bool], None]) -> None:
        self._stream._watch(on_change)

    def _cancel_with(self, error: StatusError) -> None:
        self._stream._cancel_with(error)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def statistics(self) -> Statistics:
        return self._stream.statistics()

    def __repr__(self) -> str:
        return f"<Call {repr(self._stream).removeprefix('<Stream ')}"
