"""The bounded queue of events that are recorded and not yet written, in blocks of lines. This module never waits or writes.

::

    record ─► open block ─► closed blocks ─► (the recorder's thread)
              └────────── waiting ──────────┘

`full_at` is the offset at which actors wait. They check it before each message, so an actor in the middle of a message
continues to record, up to `OVERSHOOT` times the bound. Beyond that, events are refused, counted, and reported in the chain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from time import time
from typing import Any, Final, Literal

from penstock.history._event import EVENT_BYTES_MAX, encode_event, line_of
from penstock.history._file import Block

OnFull = Literal["wait", "drop"]

#: The size of a block, which is read, decoded and checked as a whole.
BLOCK_EVENTS: Final = 2048
BLOCK_BYTES: Final = 1024 * 1024
#: Lines up to this size are counted, not measured: a block of them has `BLOCK_BYTES` at most.
SMALL_BYTES: Final = BLOCK_BYTES // BLOCK_EVENTS
#: The bound of the queue in bytes; `queue_events` is its bound in events.
QUEUE_BYTES: Final = 32 * 1024 * 1024
OVERSHOOT: Final = 2


class EventQueue:
    """Events on their way to the file.

    next: the offset of the next event. committed: the offset after the last event in the file.
    full_at: the offset at which actors have to wait. problem: why no event can be written now; then no actor waits.
    unrecorded: how many events were refused and not yet reported in the chain.
    """

    def __init__(self, *, size: int, on_full: OnFull, on_waiting: Callable[[bool], None]) -> None:
        """`on_waiting` is called when a first event waits to be written, and with True when a block is closed."""
        self.size = size
        self.next = self.committed = 0
        self.full_at: float = inf
        self.problem: str | None = None
        self.unrecorded = 0
        self._drops = on_full == "drop"
        self._on_waiting = on_waiting
        self._runs = False
        self._reason = "the history was not open"
        self._now = 0.0
        self._blocks: deque[Block] = deque()
        self._blocks_bytes = 0
        self._look_at = 0  # the offset at which `record` has something to decide
        self._open_block()

    def _open_block(self) -> None:
        self._first = self.next
        self._lines: list[bytes] = []
        self._actors: set[str] = set()
        self._large_bytes = 0

    def begin(self, offset: int) -> None:
        """Accept events from now on; the first one gets `offset`. Events left over from before count as unrecorded."""
        self.unrecorded += max(self.next - offset, 0)
        self._blocks.clear()
        self._blocks_bytes = 0
        self.next = self.committed = offset
        self._runs = True
        self._open_block()
        self.update_bounds()

    def end(self) -> None:
        """Accept no more events."""
        self._runs = False
        self._reason = "the history was not open"
        self.update_bounds()

    def record(self, actor: str, kind: str, data: dict[str, Any]) -> None:
        """Record one event. The common path is here, the decisions at the edges of blocks and bounds in `_accepts`."""
        offset = self.next
        if offset >= self._look_at and not self._accepts(offset):
            return
        now = time()
        if now < self._now:  # noqa: PLR1730 - the clock was set back; `max` takes three times as long
            now = self._now
        self._now = now
        try:
            line = line_of(offset, now, actor, kind, data)
        except Exception:  # noqa: BLE001 - encoding a value may run code of the user
            line = encode_event(offset, now, actor, kind, data)
        if len(line) > SMALL_BYTES:
            line = self._large(line, (offset, now, actor, kind, data))
        if self.next != offset:  # code of the user that encoding ran has recorded an event itself
            offset, line = self.next, b"[%d%b" % (self.next, line[line.index(b",") :])
        self.next = offset + 1
        self._lines.append(line)
        self._actors.add(actor)

    def _accepts(self, offset: int) -> bool:
        """Return whether the event with `offset` is recorded; close its block when that is full, and start the writing."""
        if offset >= self._limit_at() and self._refuses(offset):
            self.unrecorded += 1
            return False
        closed = len(self._lines) >= BLOCK_EVENTS or self._large_bytes >= BLOCK_BYTES
        if closed:
            self._close_block()
        self._on_waiting(closed)
        self._look_at = min(self._first + BLOCK_EVENTS, max(self._limit_at(), offset + 1))
        return True

    def _limit_at(self) -> int:
        """Return the offset of the first event that does not fit."""
        if not self._runs or self._blocks_bytes >= QUEUE_BYTES:
            return self._first
        return self.committed + self.size

    def _refuses(self, offset: int) -> bool:
        if not self._runs:
            return True
        if self._drops or self.problem is not None:
            self._reason = self.problem or "the queue was full"
            return True
        self._reason = "the queue was full, and actors in the middle of their messages filled it once more"
        return offset >= self.committed + self.size * OVERSHOOT or self._blocks_bytes >= QUEUE_BYTES * OVERSHOOT

    def _large(self, line: bytes, event: tuple[int, float, str, str, Any]) -> bytes:
        """Count the bytes of a line that is not small, and cut a line that is too long."""
        if len(line) > EVENT_BYTES_MAX:
            line = encode_event(*event)
        self._large_bytes += len(line)
        if self._large_bytes >= BLOCK_BYTES:
            self._look_at = 0
        return line

    def _close_block(self) -> None:
        size = self._large_bytes + SMALL_BYTES * len(self._lines)
        self._blocks.append(Block(self._first, self._actors, self._lines, size))
        self._blocks_bytes += size
        self._open_block()
        self.update_bounds()

    def update_bounds(self) -> None:
        """Compute `full_at` anew, after a change of the queue or of `problem`."""
        waits = self._runs and not self._drops and self.problem is None
        self.full_at = self._limit_at() if waits else inf
        self._look_at = 0

    def next_block(self) -> Block | None:
        """Return the block to be written next, or None. It stays in the queue until `block_written`."""
        if self._lines and not self._blocks:
            self._close_block()
        return self._blocks[0] if self._blocks else None

    def block_written(self) -> Block:
        """Remove and return the first block, which is now in the file."""
        block = self._blocks.popleft()
        self.committed = block.first + len(block.lines)
        self._blocks_bytes -= block.size
        self.update_bounds()
        if self.unrecorded and self.next < self._limit_at():
            self.report_unrecorded()
        return block

    def report_unrecorded(self) -> None:
        """Record an event that says how many events were refused."""
        count, self.unrecorded = self.unrecorded, 0
        self.record("", "unrecorded", {"events": count, "reason": self._reason})

    @property
    def has_block(self) -> bool:
        """Whether a closed block waits to be written."""
        return bool(self._blocks)
