"""A message of a lane inside the interceptors of its server: each message is a call to them. It opens no lane."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from penstock.calls import CallInfo, enter_all
from penstock.errors import Aborted, DeadlineExceeded, StatusError, Unavailable

if TYPE_CHECKING:
    from penstock.actors.cell import Envelope
    from penstock.remote._lane_server import LaneServer
    from penstock.remote._replies import RemoteReply


class Inside:
    """One message in a task of its own, which enters the interceptors, posts it, and leaves them with its answer."""

    __slots__ = ("_answer", "_envelope", "_lane", "_posted", "_reply")

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
        lane.peer.own(self._run(call))

    async def posted(self) -> None:
        """Wait until the message is in the mailbox, or refused: the next one must not overtake it. Raises the refusal."""
        await self._posted

    async def _run(self, call: CallInfo) -> None:
        result: Any = None
        error: BaseException = Aborted(f"{call.target}: an interceptor swallowed its outcome")
        done = False
        try:
            async with asyncio.timeout_at(call.deadline), AsyncExitStack() as stack:
                await enter_all(stack, self._lane.interceptors, call)
                result = await self._through()
                done = True
        except asyncio.CancelledError:
            error, done = Unavailable("this side is shutting down"), False
            raise
        except TimeoutError as raised:
            late = call.deadline is not None and self._lane.system.loop.time() >= call.deadline
            error, done = DeadlineExceeded(f"{call.target}: the deadline passed") if late else raised, False
        except Exception as raised:  # noqa: BLE001 - whatever an interceptor, or the actor, raises is the answer
            error, done = raised, False
        finally:
            self._end(result, None if done else error)
            del error

    async def _through(self) -> Any:
        """Post the message, and wait for its answer if there will be one."""
        envelope = self._envelope
        if not envelope.cell.post(envelope):
            await envelope.cell.post_when_room(envelope)
        self._posted.set_result(None)
        return None if self._answer is None else await self._answer

    def _end(self, result: Any, error: BaseException | None) -> None:
        answer, reply, lane = self._answer, self._reply, self._lane
        if answer is not None and not answer.done():
            answer.cancel()  # nobody waits: if the message has not begun, it never will
        if reply is None:
            self._end_told(error)
            return
        if not self._posted.done():
            self._posted.set_result(None)
        if not reply.done():
            if error is None:
                reply.set_result(result)
            else:
                reply.set_exception(error)
        elif error is not None and not isinstance(error, StatusError):
            lane.dispatcher.internal(self._envelope.name, error)

    def _end_told(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, StatusError):
            error = self._lane.dispatcher.internal(self._envelope.name, error)
        if self._posted.done():
            return
        if error is not None:
            self._posted.set_exception(error)
        else:
            self._posted.set_result(None)

    def _give_up(self, error: StatusError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # nobody may be waiting yet
