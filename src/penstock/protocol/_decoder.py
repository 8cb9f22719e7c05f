"""Bytes to frames (PROTOCOL.md §1): find complete frames, check their headers. It never looks into a body.

The decoder owns the memory that bytes are read into, and hands out views of it. A view is valid until the next `get_buffer`;
to keep a body longer, copy it.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._budget import Budget
from penstock.protocol._frames import CONNECTION_TYPES, FORBIDDEN_FLAGS, HEADER, HEADER_BYTES, IGNORABLE, FrameType

#: Enough for a `HELLO`, little enough for ten thousand connections that never send one.
HANDSHAKE_BYTES: Final = 4 * 1024
#: The memory for one read after the handshake (three times the throughput of 16 KiB, measured).
READ_BYTES: Final = 64 * 1024
#: The memory for one read once a frame was larger than that: several large frames in one system call.
LARGE_READ_BYTES: Final = 256 * 1024

#: The length of a frame stands first in its header.
LENGTH_BYTES: Final = 4

Frame = tuple[int, int, int, memoryview]  # type, flags, stream id, body


class FrameDecoder:
    """Cut a sequence of bytes into frames. `limit_bytes` is the largest body that is accepted.

    `arrived_bytes`: all bytes so far. Memory beyond that of a usual read is charged to `budget`.
    """

    __slots__ = ("_budget", "_end", "_memory", "_start", "_view", "arrived_bytes", "limit_bytes")

    def __init__(self, budget: Budget, limit_bytes: int = HANDSHAKE_BYTES - HEADER_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._budget = budget
        self.arrived_bytes = 0
        self._start = 0
        self._end = 0
        self._memory = bytearray(HANDSHAKE_BYTES)
        self._view = memoryview(self._memory)

    def grow(self, limit_bytes: int) -> None:
        """Accept frames up to `limit_bytes` from now on: the handshake is over."""
        self.limit_bytes = limit_bytes
        self._allocate(max(READ_BYTES, len(self._memory)))

    def close(self) -> None:
        """Free the memory: nothing is read any more."""
        self._budget.give(_beyond(self._memory))
        self._memory = bytearray()
        self._view = memoryview(self._memory)
        self._start = self._end = 0

    def get_buffer(self, size_hint: int = -1) -> memoryview:
        """Return the memory for the next bytes. All views handed out before are invalid from now on."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._memory):
            self._make_room(self._next_frame_bytes())
        return self._view[self._end :]

    def buffer_updated(self, size: int) -> None:
        """Take `size` more bytes, written to the start of the memory that `get_buffer` returned."""
        self._end += size
        self.arrived_bytes += size

    def next_frame(self) -> Frame | None:
        """Return the next complete frame, or None. Raises `ProtocolError` (rules 1.1 to 1.6)."""
        while True:
            start = self._start
            if self._end - start < HEADER_BYTES:
                if self._end - start >= LENGTH_BYTES:
                    self._check_length()
                return None
            length, kind, flags, stream_id = HEADER.unpack_from(self._view, start)
            if length > self.limit_bytes:
                raise ProtocolError("1.2", self._too_long(length))
            stop = start + HEADER_BYTES + length
            if stop > self._end:
                return None
            self._start = stop
            forbidden = FORBIDDEN_FLAGS.get(kind)
            if forbidden is not None:
                if flags & forbidden or (kind in CONNECTION_TYPES) == (stream_id != 0):
                    raise ProtocolError("1.5", f"{FrameType(kind).name} with flags {flags:#x} on stream {stream_id}")
                return kind, flags, stream_id, self._view[start + HEADER_BYTES : stop]
            if not flags & IGNORABLE:
                raise ProtocolError("1.4", f"frame of the unknown type {kind}")

    def _check_length(self) -> None:
        """Judge the length of a frame whose header is not complete: a peer of another protocol may wait for an answer."""
        length = int.from_bytes(self._view[self._start : self._start + LENGTH_BYTES], "big")
        if length > self.limit_bytes:
            raise ProtocolError("1.2", self._too_long(length))

    @property
    def buffered(self) -> int:
        """The number of bytes of a frame that is not complete yet."""
        return self._end - self._start

    @property
    def taken_bytes(self) -> int:
        """The number of bytes of all frames that were returned or skipped so far."""
        return self.arrived_bytes - self.buffered

    def take_rest(self) -> bytes:
        """Take the bytes that were not returned."""
        rest = bytes(self._view[self._start : self._end])
        self.restart()
        return rest

    def restart(self) -> None:
        """Drop what was not returned: the next bytes are those of another link."""
        self.arrived_bytes -= self.buffered
        self._start = self._end = 0

    def _next_frame_bytes(self) -> int:
        """Return the size of the frame that has begun, as far as its header tells."""
        if self._end - self._start < HEADER_BYTES:
            return HEADER_BYTES
        return min(int(HEADER.unpack_from(self._view, self._start)[0]), self.limit_bytes) + HEADER_BYTES

    def _make_room(self, frame_bytes: int) -> None:
        """Move the unread bytes to the start of the memory, or of larger memory when the frame that has begun needs it."""
        if self._start == 0 and frame_bytes <= len(self._memory):  # it is full of frames that were not read yet
            self._allocate(2 * len(self._memory))
        elif frame_bytes > len(self._memory):
            self._allocate(max(frame_bytes, LARGE_READ_BYTES))
        else:
            self._view[: self._end - self._start] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, self._end - self._start

    def _allocate(self, capacity: int) -> None:
        rest = bytes(self._view[self._start : self._end])
        before = _beyond(self._memory)
        self._memory = bytearray(capacity)
        self._budget.take(_beyond(self._memory) - before)
        self._view = memoryview(self._memory)
        self._view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def _too_long(self, length: int) -> str:
        """Describe a frame over the limit, and recognise the start of other protocols."""
        first = bytes(self._view[self._start : self._start + LENGTH_BYTES])
        if first[:4] in {b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"PRI ", b"HTTP"}:
            return "the other side speaks HTTP, not Penstock"
        if first[:2] in {b"\x16\x03", b"\x15\x03"}:
            return "the other side speaks TLS, and this side does not; use tls:// at both ends"
        return f"a frame of {length} bytes, where at most {self.limit_bytes} are allowed"


def _beyond(memory: bytearray) -> int:
    """Return the bytes beyond those of a usual read."""
    return max(0, len(memory) - READ_BYTES)
