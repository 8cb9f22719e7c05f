"""`OutboundMessage`: a message with its sender, metadata and deadline, on its way to a lane.

To the interceptors of this side, each message is a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from penstock.actors import caller_here
from penstock.actors.cell import sender_here
from penstock.calls import CallInfo, CallScope, intercepted, milliseconds_until
from penstock.errors import InvalidArgument, Unavailable
from penstock.protocol import CallKind, check_texts
from penstock.remote._asks import AskLimits
from penstock.remote._lane_client import Lanes
from penstock.remote._wire import ARGUMENTS, METADATA_MAX, NAME_MAX, WAITING_MAX, DescribedMessage, PlainMessage

Decoded = Callable[[Any], Any]

_UNARY: Final = CallKind.UNARY.label


class OutboundMessage(NamedTuple):
    """A message to the actor `address` at the other side, before it is sent. The actor that runs here is its sender.

    again: how often an ask that may have begun is made again, when its session is lost.
    """

    scope: CallScope
    address: str
    message: DescribedMessage
    metadata: Mapping[str, str]
    again: int = 0

    async def ask(self, decode: Decoded, limits: AskLimits) -> Any:
        """Send the message and wait for its answer. Cancelling it cancels the ask at the callee."""
        caller = caller_here()
        if caller.sender and not caller.waiting and self.scope.session.loop.get_task_factory() is not None:
            await asyncio.sleep(0)  # an eager task asks before its handler can await it
            caller = caller_here()
        self.message.sender, waiting = caller
        self.message.waiting = waiting[:WAITING_MAX]
        if not self.scope.interceptors:
            return await self._ask(decode, limits, self.metadata)
        call = self._call(limits.deadline)
        async with intercepted(self.scope.interceptors, call, deadline=limits.deadline):
            return await self._ask(decode, limits._replace(deadline=call.deadline), call.metadata)

    async def tell(self) -> None:
        """Send the message; wait for room in the mailbox. A cancelled `tell` sends nothing."""
        self.message.sender = sender_here()
        if not self.scope.interceptors:
            await self._tell(self.metadata)
            return
        call = self._call(None)
        async with intercepted(self.scope.interceptors, call):
            await self._tell(call.metadata)

    async def _ask(self, decode: Decoded, limits: AskLimits, metadata: Mapping[str, str]) -> Any:
        message, deadline, loop = self.message, limits.deadline, self.scope.session.loop

        def note_time_left() -> None:
            message.deadline_ms = None if deadline is None else milliseconds_until(deadline, loop.time())

        self._check(metadata)
        lanes, again = self.scope.attached(Lanes), self.again
        while True:
            lane = await lanes.to(self.address, deadline)
            try:
                if deadline is None:
                    return await lane.ask(message, decode, None if limits.cancel is None else limits)
                note_time_left()
                return await lane.ask(message, decode, AskLimits(deadline, limits.cancel, note_time_left))
            except Unavailable as error:
                if not lanes.go_again(lane, error, again):
                    raise
                again -= error.started

    async def _tell(self, metadata: Mapping[str, str]) -> None:
        message = self.message
        self._check(metadata)
        is_plain = message.form == ARGUMENTS and message.sender is None and not metadata
        await self.scope.attached(Lanes).send(
            self.address, PlainMessage(0, message.name, message.body) if is_plain else message
        )

    def _check(self, metadata: Mapping[str, str]) -> None:
        """Give the message its metadata. Raises `InvalidArgument` for a message that would end the lane and all its asks."""
        message = self.message
        if metadata or message.form != ARGUMENTS:
            check_texts(message.name, metadata)
        if len(message.name) > NAME_MAX:
            raise InvalidArgument(
                f"{self.address}: a type of {len(message.name)} characters, of {NAME_MAX} at most", started=False
            )
        if metadata and len(metadata) > METADATA_MAX:
            raise InvalidArgument(
                f"{self.address}/{message.name}: metadata of {len(metadata)} entries, of {METADATA_MAX} at most", started=False
            )
        message.metadata = dict(metadata) if metadata else None

    def _call(self, deadline: float | None) -> CallInfo:
        target = f"/{self.address}/{self.message.name}"
        return CallInfo(target, _UNARY, "caller", metadata=dict(self.metadata), deadline=deadline, scope=self.scope)
