"""A call with one request and one response: as little as possible. It knows no stream of items."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from penstock.calls._request import Request, error_of, open_stream
from penstock.codec import UNDECODABLE
from penstock.errors import DataLoss, DeadlineExceeded, StatusError
from penstock.protocol import MAX_NUMBER, Grant, ReceiveHalf, Status
from penstock.session import NULL_ENDPOINT, Endpoint, Session, cancel_of

#: The grant of every unary call: one item of any size. Nothing is ever consumed on it, so all of them share it.
_ONE: Final = Grant(1, MAX_NUMBER)
_NOTHING: Final[Any] = object()


class Unary(Endpoint):
    """The endpoint of a unary call, and its result."""

    __slots__ = ("_bad", "_decode", "_half", "_result", "_session", "_target", "future", "stream")

    def __init__(self, session: Session, request: Request, metadata: dict[str, str], deadline: float | None) -> None:
        self._session = session
        self._decode = request.decode
        self._target = request.name
        self._bad: Exception | None = None
        self._result: Any = _NOTHING
        self._half = ReceiveHalf(_ONE)
        self.stream = open_stream(session, request, metadata, deadline, self._half)
        self.stream.endpoint = self
        self.future: asyncio.Future[Any] = session.loop.create_future()
        session.unary_calls += 1
        session.flush_for(session.unary_calls)

    def on_items(self) -> None:
        """Keep the result: it counts when the end says that it is one."""
        arrived = self._session.connection.take_result(self._half)
        if arrived.is_single_bytes and self._decode.takes_bytes:
            self._result = arrived.payload
            return
        try:
            (self._result,) = self._decode.batch(arrived.encoded())
        except UNDECODABLE as error:
            self._bad = DataLoss(f"{self._target}: its result does not fit its type: {error}")

    def on_ended(self, status: Status | None) -> None:
        if self.future.done():
            return
        error = error_of(status) if status is not None and status.code else self._bad
        if error is None and self._result is _NOTHING:
            error = DataLoss(f"{self._target}: the call ended without a result")
        if error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(error)

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
            self.stream.endpoint = NULL_ENDPOINT
            del self.future  # an error in it holds this frame, and the frame holds this call
            session.unary_calls -= 1
            if timer is not None:
                timer.cancel()
