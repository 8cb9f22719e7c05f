"""A message of a lane inside the server's interceptors: to them, each message is a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from penstock._outcomes import as_exception, as_internal, ends_the_loop
from penstock.calls import CallInfo, CallScope, Dispatcher, intercepted, is_cancelled
from penstock.errors import StatusError, Unavailable

if TYPE_CHECKING:
    from penstock.actors.cell import Envelope
    from penstock.remote._answers import RemoteReply


class InterceptedMessage:
    """One message in a task of its own, which enters the interceptors, posts the message, and leaves them with the answer.

    unwrap: returns the message as an envelope, or raises the `StatusError` of one that cannot be handled. It is called inside
        the interceptors, so that a sender whom they refuse learns nothing else.
    reply: takes the answer of an ask; None for a tell.

    Await `posted` before the next message of the lane, so that the messages keep their order.
    """

    error_id: str = ""  # a crash has its id in the call, because the interceptors may put another error in its place
    __slots__ = ("_answer", "_dispatcher", "_posted", "_reply", "_task", "_unwrap")

    def __init__(
        self,
        scope: CallScope,
        dispatcher: Dispatcher,
        call: CallInfo,
        unwrap: Callable[[], Envelope],
        reply: RemoteReply | None,
    ) -> None:
        loop = scope.session.loop
        self._dispatcher = dispatcher
        self._unwrap = unwrap
        self._posted: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[Any] | None = None
        self._reply = reply
        if reply is not None:
            reply.message = self
            self._answer = loop.create_future()
        self._task = scope.own(self._run(call))

    async def posted(self) -> None:
        """Wait until the message is in the mailbox. Raises the error that refuses it. Cancelling it cancels the message."""
        try:
            await asyncio.shield(self._posted)
        except asyncio.CancelledError:
            self._task.cancel()  # else the message would be handled after its reader has refused it
            raise

    async def _run(self, call: CallInfo) -> None:
        """Run the message inside the interceptors, and give the outcome to the asker or to the lane."""
        result: Any = None
        error: BaseException | None = None
        swallowed = f"{call.target}: an interceptor swallowed the error of this message"
        try:
            async with intercepted(self._dispatcher.interceptors, call, swallowed=swallowed, deadline=call.deadline):
                result = await self._post_and_wait(call)
        except Exception as raised:  # noqa: BLE001 - any error of an interceptor or of the actor is the answer
            error = raised
        except BaseException as raised:
            closed = is_cancelled()
            error = (
                Unavailable("this side is shutting down") if closed else as_exception(raised, f"{call.target}: an interceptor")
            )
            if closed or ends_the_loop(raised):
                raise
        finally:
            self._end(call, result, error)
            del error

    async def _post_and_wait(self, call: CallInfo) -> Any:
        """Post the message, and wait for its answer if it is an ask."""
        envelope = self._unwrap()
        envelope.reply = self._answer
        envelope.context = copy_context()
        try:
            if not envelope.cell.post(envelope):
                await envelope.cell.post_when_room(envelope)
        except BaseException:
            envelope.leave()
            raise
        self._posted.set_result(None)
        if self._answer is None:
            return None
        try:
            return await self._answer
        except Exception as error:
            call._note_crash(error, envelope.error_id)
            raise
        finally:
            envelope.withdraw()

    def _end(self, call: CallInfo, result: Any, error: BaseException | None) -> None:
        """Answer an ask, or refuse a tell that is not in the mailbox; an error without a recipient is logged."""
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()  # no task awaits it: the actor skips a message that it has not begun
        reply = self._reply
        error_id = "" if error is None else call._take_crash(error)
        if reply is not None and not reply.done():
            if error is None:
                reply.set_result(result)
            else:
                reply.refuse(error, error_id)
        elif error is not None and not isinstance(error, StatusError):
            error = as_internal(error, call.target.removeprefix("/"), exposed=self._dispatcher.expose_errors, error_id=error_id)
        if self._posted.done():
            return
        if reply is None and error is not None:
            self._posted.set_exception(error)
            self._posted.exception()  # its waiter may have been cancelled
        else:
            self._posted.set_result(None)

    def withdraw(self, error: StatusError) -> None:
        """End the wait for the answer: the asker has cancelled its ask."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # mark it as retrieved: its waiter may not be there yet
