"""The messages of a lane as they arrive, one after the other, or a single one at once. It handles none."""

from __future__ import annotations

from penstock.codec import MSGPACK
from penstock.errors import InvalidArgument, StatusError
from penstock.protocol import ReceiveHalf, WireStream
from penstock.rpc import LaneMessage
from penstock.session import RemoteSource, Session

_DECODE = MSGPACK.decode_for(LaneMessage)


class Messages(RemoteSource[LaneMessage]):
    """What the reader of a lane iterates over."""

    __slots__ = ()

    def __init__(self, session: Session, stream: WireStream, half: ReceiveHalf) -> None:
        super().__init__(session, stream.opened.target, half, _DECODE)
        self.stream = stream
        self.bad_item = InvalidArgument

    def alone(self) -> LaneMessage | None:
        """Return the one message that is here, for which the reader waits; None when there are more, or the reader is busy."""
        queue = self._half.queue
        if self.waiter is None or len(queue) != 1 or queue[0].items != 1:
            return None
        try:
            return self._take(1)[0]
        except (StatusError, IndexError):  # it cannot be read: the reader will see
            return None

    def put_back(self, message: LaneMessage) -> None:
        """Let the reader have it, before all others."""
        self._chunk = iter((message,))
