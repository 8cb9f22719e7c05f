"""The streams of one connection by their ids (PROTOCOL.md §3): new ids, known ids, ids that are over."""

from __future__ import annotations

from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._frames import MAX_NUMBER, FrameType
from penstock.protocol._stream import WireStream

_FIRST_ID: Final = {"client": 1, "server": 2}


class StreamTable:
    """Which streams there are. The side that dialled gives odd ids, the other even ones."""

    __slots__ = ("_highest_peer_id", "_next_id", "_unbegun", "begun", "ours", "theirs")

    def __init__(self, role: str) -> None:
        self.begun: dict[int, WireStream] = {}
        self.ours = 0  # open streams of this side
        self.theirs = 0  # open streams of the peer
        self._unbegun: dict[WireStream, None] = {}
        self._next_id = _FIRST_ID[role]
        self._highest_peer_id = 0

    def __len__(self) -> int:
        return len(self.begun) + len(self._unbegun)

    def all(self) -> list[WireStream]:
        """Every stream that is not over, those whose `OPEN` has not left included."""
        return [*self.begun.values(), *self._unbegun]

    @property
    def highest_peer_id(self) -> int:
        """The newest stream of the peer."""
        return self._highest_peer_id

    def add_ours(self, stream: WireStream) -> None:
        """A stream of this side; it gets its id when its first frame leaves."""
        self._unbegun[stream] = None
        self.ours += 1

    def begin(self, stream: WireStream) -> None:
        """Give a stream its id as its first frame leaves, so that ids reach the peer in order (rule 3.2)."""
        stream.id = self._next_id
        self._next_id += 2
        self._unbegun.pop(stream, None)
        self.begun[stream.id] = stream

    def take_id(self, stream_id: int) -> None:
        """The peer begins a stream: its id must be one of its own, and higher than all before (rule 3.2)."""
        if self._is_ours(stream_id) or not self._highest_peer_id < stream_id <= MAX_NUMBER:
            raise ProtocolError("3.2", f"OPEN with the id {stream_id}, which is not a new id of the other side")
        self._highest_peer_id = stream_id

    def add_theirs(self, stream: WireStream) -> None:
        """A stream of the peer, whose id was taken."""
        self.begun[stream.id] = stream
        self.theirs += 1

    def find(self, kind: int, stream_id: int) -> WireStream | None:
        """Find a stream. One that was here and is over is None (rule 3.5); one that never was breaks rule 3.3."""
        stream = self.begun.get(stream_id)
        if stream is None:
            never = stream_id >= self._next_id if self._is_ours(stream_id) else stream_id > self._highest_peer_id
            if never:
                raise ProtocolError("3.3", f"{FrameType(kind).name} on stream {stream_id}, which was never opened")
        return stream

    def remove(self, stream: WireStream) -> None:
        """A stream is over. Called once."""
        stream.over = True
        self._unbegun.pop(stream, None)
        self.begun.pop(stream.id, None)
        if stream.callee:
            self.theirs -= 1
        else:
            self.ours -= 1

    def _is_ours(self, stream_id: int) -> bool:
        return stream_id % 2 == self._next_id % 2
