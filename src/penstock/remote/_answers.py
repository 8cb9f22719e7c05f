"""The answers of one lane on their way back: sent at once as far as the caller's demand goes, kept, bounded, beyond it.

It handles no message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

from penstock.codec import MSGPACK, UNENCODABLE
from penstock.errors import Cancelled, ResourceExhausted, StatusError
from penstock.protocol import SendHalf
from penstock.remote._wire import LaneError, LaneReply, PlainReply
from penstock.session import RemoteSink, StreamHandle, status_of

#: An error of this size is kept even when too much is: it may stand for an answer that was not, and there are few of them.
ERROR_BYTES: Final = 16 * 1024


class Answers(RemoteSink[Any]):
    """Where the answers of a lane go.

    `late` are those that its caller has given no credit for; the connection counts them as held for its calls.
    """

    __slots__ = ("_handle", "_internal", "address", "late")

    def __init__(self, handle: StreamHandle, address: str, internal: Callable[..., StatusError]) -> None:
        super().__init__(handle.session, handle.wire, cast("SendHalf", handle.wire.send), MSGPACK)
        self._handle = handle
        self._internal = internal  # logs an unexpected error and returns the one for the asker
        self.address = address
        self.late: deque[bytes] = deque()

    @property
    def too_late(self) -> bool:
        """Whether so much waits for the caller that nothing more is to be worked on for it."""
        return bool(self.late) and self._handle.holds_too_much

    def answer(self, number: int, result: Any, *, flush: bool) -> None:
        """Send an answer, encoded now: what the actor does to it afterwards changes nothing. With `flush` it leaves at once."""
        try:
            self._put(PlainReply(number, result), flush=flush)
        except UNENCODABLE as error:
            self.refuse(number, TypeError(f"{self.address} returned what cannot travel: {error}"))
        except StatusError as error:  # it is too large, or what is in it cannot be sent
            self.refuse(number, error)

    def refuse(self, number: int, error: BaseException) -> None:
        """Send an error as an answer: a `StatusError` whole, of anything else an id to find it in the log by."""
        if isinstance(error, asyncio.CancelledError):
            error = Cancelled(f"{self.address}: the handler was cancelled")
        elif not isinstance(error, StatusError):
            error = self._internal(self.address, error, logged=error.__traceback__ is not None)
        failure = LaneError.of(status_of(error))
        try:
            self._put(LaneReply(number, error=failure))
        except StatusError:  # its details are too large
            failure.details = {}
            with suppress(StatusError):  # a peer that takes no message of this size gets none
                self._put(LaneReply(number, error=failure))

    def on_room(self) -> None:
        late, half = self.late, self._half
        while late and half.has_room() and self.outcome is None:
            self._push(msgspec.Raw(self._next()))
        self._ask_for_room()
        super().on_room()

    def forget(self) -> None:
        """Nobody will read them."""
        while self.late:
            self._next()

    def _put(self, reply: PlainReply | LaneReply, *, flush: bool = False) -> None:
        if self.outcome is not None:
            return
        if not self.late and self._half.has_room():
            self._half.push(self._encode_into, reply)
            if not self.stream.ready:
                self._handle.line_up()
                if not flush:
                    self.session.flush_soon()
            if flush or self._half.count == 0:
                self.session.flush()
        else:
            self._keep(reply)

    def _keep(self, reply: PlainReply | LaneReply) -> None:
        """The caller does not take its answers as fast as it asks: keep this one, unless that is too much."""
        limit_bytes, held_bytes = self.session.settings.max_buffered_bytes, self._handle.held_bytes
        encoded = MSGPACK.encode(reply)
        is_small = isinstance(reply, LaneReply) and len(encoded) <= ERROR_BYTES
        if held_bytes + len(encoded) > limit_bytes and not is_small:
            raise ResourceExhausted(
                f"{self.address}: {held_bytes} bytes of answers wait for the other side to read them "
                f"(Settings.max_buffered_bytes); this one, of {len(encoded)}, was dropped"
            )
        self.late.append(encoded)
        self._handle.hold(len(encoded))
        self._ask_for_room()

    def _next(self) -> bytes:
        encoded = self.late.popleft()
        self._handle.hold(-len(encoded))
        return encoded

    def _ask_for_room(self) -> None:
        """Credit is told by the peer; what waits here unsent is told when it was written."""
        if self.late and self._half.is_stuffed():
            self.session.waiting_sinks[self] = None
