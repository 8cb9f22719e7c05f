"""A call with one request and one response, on the shortest path: it has no stream of items."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from penstock._outcomes import text_of
from penstock.calls._context import CallInfo, inherited_deadline, intercepted
from penstock.calls._request import Request, open_of
from penstock.calls._scope import Around, CallScope
from penstock.codec import UNDECODABLE
from penstock.errors import DataLoss, DeadlineExceeded, StatusError, Unavailable
from penstock.protocol import MAX_NUMBER, Grant, ReceiveHalf, Status
from penstock.session import Endpoint, Session, error_of

#: The grant of every unary call: one item of any size. It never changes, so all calls share it.
_ONE: Final = Grant(1, MAX_NUMBER)
_NOTHING: Final[Any] = object()


async def call_unary(scope: CallScope, request: Request) -> Any:
    """Make a unary call and return its result. Cancelling it cancels the call.

    Raises the callee's error, `DeadlineExceeded`, `ConnectionLost`, `Unavailable` when no call can begin, and `DataLoss` for a
    result that does not fit its type.
    """
    deadline = inherited_deadline(request.options.timeout, scope.session.loop.time())
    around = request.around(scope)
    if around:
        return await _call_inside(around, scope, request, deadline)
    session = scope.session
    try:
        return await Unary(session, request, request.options.metadata, deadline).result(deadline)
    except Unavailable as error:
        refusal = error
    return await _call_again(scope, request, request.options.metadata, deadline, (session, refusal))


async def _call_inside(around: Sequence[Around], scope: CallScope, request: Request, deadline: float | None) -> Any:
    """Make the call inside interceptors."""
    call = CallInfo(
        request.target,
        "unary",
        "caller",
        metadata=dict(request.options.metadata),
        deadline=deadline,
        scope=scope,
        priority=request.options.priority,
    )
    async with intercepted(around, call, deadline=deadline):
        session = scope.session
        try:
            return await Unary(session, request, call.metadata, call.deadline).result(call.deadline)
        except Unavailable as error:
            refusal = error
        return await _call_again(scope, request, call.metadata, call.deadline, (session, refusal))


async def _call_again(
    scope: CallScope,
    request: Request,
    metadata: dict[str, str],
    deadline: float | None,
    failed: tuple[Session, Unavailable],
) -> Any:
    """Make a call again over the session that follows.

    failed: the session of the first attempt and its error, which is raised when the session still takes calls, or when the call
        may have started and may not run twice.
    """
    session, refusal = failed
    again = request.again
    while scope.next_session is not None and not session.takes_calls and (again or not refusal.started):
        again -= bool(refusal.started)
        session = await scope.session_for_calls(deadline)
        try:
            return await Unary(session, request, metadata, deadline).result(deadline)
        except Unavailable as error:
            refusal = error
    raise refusal


class Unary(Endpoint):
    """The endpoint of a unary call, and its result."""

    __slots__ = ("_bad", "_decode", "_half", "_handle", "_result", "_target", "future")

    def __init__(self, session: Session, request: Request, metadata: dict[str, str], deadline: float | None) -> None:
        self._decode = request.decode
        self._target = request.name
        self._bad: Exception | None = None
        self._result: Any = _NOTHING
        self._half = ReceiveHalf(_ONE)
        self.future: asyncio.Future[Any] = session.loop.create_future()
        self._handle = session.open_unwritten(open_of(session, request, metadata, deadline, _ONE), self._half, self)
        self._handle.begin_unary()

    def on_items(self) -> None:
        """Keep the result until the end of the call confirms it."""
        arrived = self._handle.take_result(self._half)
        if arrived.is_single_bytes and self._decode.of_bytes is not None:
            self._result = self._decode.of_bytes(arrived.payload)
            return
        try:
            (self._result,) = self._decode.batch(arrived.encoded())
        except UNDECODABLE as error:
            self._bad = DataLoss(f"{self._target}: its result does not fit its type: {text_of(error)}")

    def on_ended(self, status: Status | None) -> None:
        if self.future.done():
            return
        error = error_of(status, self._handle.session.remote) if status is not None and status.code else self._bad
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
        """End the wait with `DeadlineExceeded`."""
        if not self.future.done():
            self.future.set_exception(DeadlineExceeded(f"{self._target}: the deadline passed before the call was over"))

    async def result(self, deadline: float | None) -> Any:
        """Wait for the response until `deadline`, a time of the loop's clock. Cancelling it cancels the call."""
        timer = self.future.get_loop().call_at(deadline, self.expire) if deadline is not None else None
        try:
            return await self.future
        except (asyncio.CancelledError, DeadlineExceeded) as error:
            self._handle.cancel(error)
            raise
        finally:
            self._handle.end_unary()
            del self.future  # an error in it holds this frame, and the frame holds this object
            if timer is not None:
                timer.cancel()
