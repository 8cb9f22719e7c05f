"""A message of a lane inside the interceptors of its server: each message is a call to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock.calls import CallInfo, intercepted
from penstock.errors import Aborted, StatusError, Unavailable

if TYPE_CHECKING:
    from penstock.actors.cell import Envelope
    from penstock.remote._lane_server import LaneServer
    from penstock.remote._replies import RemoteReply


class InterceptedMessage:
    """One message in a task of its own, which enters the interceptors, posts it, and leaves them with its answer.

    The lane waits in `posted` before it takes the next message, so that none overtakes another.
    """

    __slots__ = ("_answer", "_envelope", "_lane", "_posted", "_reply", "_task")

    def __init__(self, lane: LaneServer, envelope: Envelope, call: CallInfo) -> None:
        loop = lane.system.loop
        self._lane = lane
        self._envelope = envelope
        self._posted: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[Any] | None = None
        self._reply: RemoteReply | None = envelope.reply
        if self._reply is not None:
            self._reply.on_give_up = self._give_up
            self._answer = envelope.reply = loop.create_future()
        self._task = lane.scope.own(self._run(call))

    async def posted(self) -> None:
        """Wait until the message is in the mailbox. Raises the error that refuses it. Cancelling it cancels the message."""
        try:
            await asyncio.shield(self._posted)
        except asyncio.CancelledError:
            self._task.cancel()  # else the message would be handled after its reader has refused it
            raise

    async def _run(self, call: CallInfo) -> None:
        result: Any = None
        error: BaseException | None = Unavailable("this side is shutting down")
        swallowed = Aborted(f"{call.target}: an interceptor swallowed its outcome")
        try:
            async with intercepted(self._lane.interceptors, call, swallowed=swallowed, deadline=call.deadline):
                result = await self._through()
            error = None
        except Exception as raised:  # noqa: BLE001 - whatever an interceptor, or the actor, raises is the answer
            error = raised
        finally:
            self._end(result, error)
            del error

    async def _through(self) -> Any:
        """Post the message, and wait for its answer if it is an ask."""
        envelope = self._envelope
        if not envelope.cell.post(envelope):
            await envelope.cell.post_when_room(envelope)
        self._posted.set_result(None)
        return None if self._answer is None else await self._answer

    def _end(self, result: Any, error: BaseException | None) -> None:
        """Answer an ask, or refuse a tell that is not in the mailbox; an error without a recipient is logged."""
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()  # it has no waiter: a message that has not begun never will
        reply = self._reply
        if reply is not None and not reply.done():
            if error is None:
                reply.set_result(result)
            else:
                reply.set_exception(error)
        elif error is not None and not isinstance(error, StatusError):
            error = self._lane.internal(self._envelope.name, error)
        if self._posted.done():
            return
        if reply is None and error is not None:
            self._posted.set_exception(error)
            self._posted.exception()  # its waiter may have been cancelled
        else:
            self._posted.set_result(None)

    def _give_up(self, error: StatusError) -> None:
        """End the wait for an answer that the asker no longer wants."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # its waiter may not be there yet
