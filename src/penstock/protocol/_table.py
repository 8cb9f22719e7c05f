"""The streams of one connection by their ids (PROTOCOL.md §3): new ids, open ids, ids that are over."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from penstock.errors import ProtocolError, ResourceExhausted
from penstock.protocol._frames import MAX_NUMBER, FrameType
from penstock.protocol._stream import WireStream

_FIRST_ID: Final = {"client": 1, "server": 2}


class StreamTable:
    """The open streams of a connection. The side that dialled gives odd ids, the other even ones.

    `begun` holds the streams that have an id. `ours` and `theirs` count the open streams of each side. `ours_max`: how many of
    ours the peer takes, as its `HELLO` says. `waiting`: those of ours that are to be opened when another one is over, in their
    order, at most `waiting_max`; they are not counted in `ours`. `late`: those that have waited and whose `OPEN` has not left.
    `ignores_new`: new streams of the peer are ignored.
    """

    __slots__ = (
        "_highest_peer_id",
        "_next_id",
        "_unbegun",
        "_waiting_max",
        "begun",
        "ignores_new",
        "late",
        "ours",
        "ours_max",
        "theirs",
        "waiting",
    )

    def __init__(self, role: str, waiting_max: int = 0) -> None:
        self.begun: dict[int, WireStream] = {}
        self.ours = 0
        self.ours_max = MAX_NUMBER
        self.theirs = 0
        self.ignores_new = False
        self._waiting_max = waiting_max
        self.waiting: OrderedDict[WireStream, None] = OrderedDict()
        self.late: list[WireStream] = []
        self._unbegun: dict[WireStream, None] = {}
        self._next_id = _FIRST_ID[role]
        self._highest_peer_id = 0

    def __len__(self) -> int:
        return len(self.begun) + len(self._unbegun)

    def all(self) -> list[WireStream]:
        """Return every stream that is not over, including those whose `OPEN` has not left."""
        return [*self.begun.values(), *self._unbegun]

    @property
    def highest_peer_id(self) -> int:
        """The id of the newest stream of the peer, 0 before the first."""
        return self._highest_peer_id

    def add_ours(self, stream: WireStream) -> bool:
        """Add a stream of this side; it gets its id when its first frame leaves. Return False when it has to wait.

        A stream that waits looks as if it were in line for sending, so that nothing puts it there. Raises `ResourceExhausted`
        when too many wait, or when the peer takes none at all.
        """
        if self.ours < self.ours_max:
            self._unbegun[stream] = None
            self.ours += 1
            return True
        waiting_max = self._waiting_max if self.ours_max else 0
        if len(self.waiting) >= waiting_max:
            raise ResourceExhausted(
                f"{self.ours_max} streams are open on this connection, as many as the peer takes, and {waiting_max} more wait "
                "(Settings.max_waiting_calls)",
                started=False,
            )
        self._unbegun[stream] = None
        self.waiting[stream] = None
        stream.ready = True
        return False

    def begin(self, stream: WireStream) -> None:
        """Give a stream its id, as its first frame leaves: so ids reach the peer in order (rule 3.2)."""
        stream.id = self._next_id
        self._next_id += 2
        self._unbegun.pop(stream, None)
        self.begun[stream.id] = stream

    def take_id(self, stream_id: int) -> None:
        """Check and note the id of a stream that the peer begins: one of its own, higher than all before (rule 3.2)."""
        if self._is_ours(stream_id) or not self._highest_peer_id < stream_id <= MAX_NUMBER:
            raise ProtocolError("3.2", f"OPEN with the id {stream_id}, which is not a new id of the other side")
        self._highest_peer_id = stream_id

    def add_theirs(self, stream: WireStream) -> None:
        """Add a stream of the peer, after `take_id`."""
        self.begun[stream.id] = stream
        self.theirs += 1

    def ignore_new(self) -> None:
        """Ignore the streams that the peer opens from now on: it gets no answer any more."""
        self.ignores_new = True

    def find(self, frame_type: int, stream_id: int) -> WireStream | None:
        """Return a stream, None for one that is over (rule 3.5); an id that was never opened breaks rule 3.3.

        `frame_type` is the type of the frame, for the error.
        """
        stream = self.begun.get(stream_id)
        if stream is None:
            never = stream_id >= self._next_id if self._is_ours(stream_id) else stream_id > self._highest_peer_id
            if never:
                raise ProtocolError("3.3", f"{FrameType(frame_type).name} on stream {stream_id}, which was never opened")
        return stream

    def remove(self, stream: WireStream) -> WireStream | None:
        """Forget a stream that is over, and return the one that has waited for its place. Called once for each stream."""
        stream.over = True
        self._unbegun.pop(stream, None)
        self.begun.pop(stream.id, None)
        if stream.callee:
            self.theirs -= 1
            return None
        if not self.waiting:
            self.ours -= 1
            return None
        if stream in self.waiting:
            del self.waiting[stream]
            return None
        longest, _ = self.waiting.popitem(last=False)  # it takes the place, so `ours` stays
        longest.ready = False
        self.late.append(longest)
        return longest

    def _is_ours(self, stream_id: int) -> bool:
        return stream_id % 2 == self._next_id % 2
