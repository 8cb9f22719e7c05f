"""`Budget`: the bytes that one connection makes this side hold, out of those of its process. Every ledger charges it.

Charges are integers that are added, so a charge costs two additions and no object. A ledger asks `fits` before it takes bytes
that can be refused. Others it takes. Bytes that can wait without loss (items of this side, messages for actors) stop at half of
the budget already, where `is_tight` begins: the other half is there for bytes that arrive and would have to be refused.

The connections of a process share its bytes by two rules. One of them may hold as much as stays free: alone at most half, so
that a connection that takes all it can leaves room. And it may always hold an equal part of half of the process, also when
nothing is free: when that overdraws the process, the connection that holds most is to be ended. So those
that hoard cannot starve the others, however many they are. The first rule looks at no other connection, the second at one.
(A. Choudhury, E. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM ToN 6, 1998. B. Suter
et al., "Buffer Management Schemes for Supporting TCP in Gigabit Routers with Per-Flow Queueing", IEEE JSAC 17, 1999.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.errors import ResourceExhausted

#: The weight of things beside their bytes, measured with the objects that they are made of. A stream of the peer, with its
#: handler and a small argument; a bidirectional one half as much again.
STREAM_BYTES: Final = 8 * 1024
#: An entry of metadata: two objects and their places in a map.
METADATA_ENTRY_BYTES: Final = 160
#: A batch that waits for its consumer, however small, and a control frame that waits to be written.
BATCH_COST_BYTES: Final = 160
FRAME_COST_BYTES: Final = 64
#: A message of which fragments are missing.
UNFINISHED_COST_BYTES: Final = 320
#: Bytes that a connection may hold unsent although its budget is tight: as many as one write takes. So a write always follows,
#: after which the senders that wait are woken.
UNSENT_FLOOR_BYTES: Final = 256 * 1024


class Process:
    """All connections of one process (of one event loop) together: the bytes that they hold, and their number.

    relieve: called when they hold more than they may, with the budget that says how much that is. It is to end the connections
    that hold most, but not from inside.
    """

    __slots__ = ("connections", "held_bytes", "relieve")

    def __init__(self, relieve: Callable[[Budget], None] = lambda _budget: None) -> None:
        self.held_bytes = 0
        self.connections = 1
        self.relieve = relieve


class Budget:
    """The bytes that one connection holds, at most `max_bytes`; those of its `process` are at most `process_max_bytes`.

    Where each call passes, `take` and `give` are written out: they add to the two `held_bytes`.
    """

    __slots__ = ("held_bytes", "max_bytes", "process", "process_max_bytes")

    def __init__(self, max_bytes: int, process_max_bytes: int, process: Process | None = None) -> None:
        self.held_bytes = 0
        self.max_bytes = max_bytes
        self.process = process or Process()
        self.process_max_bytes = process_max_bytes

    def take(self, size: int) -> None:
        """Charge bytes. This never fails: ask `fits` before, for bytes that can be refused."""
        self.held_bytes += size
        self.process.held_bytes += size
        if self.process.held_bytes > self.process_max_bytes:
            self.process.relieve(self)

    def give(self, size: int) -> None:
        """Give bytes back that were charged."""
        self.held_bytes -= size
        self.process.held_bytes -= size

    def fits(self, size: int) -> bool:
        """Whether so many bytes more may be charged."""
        held = self.held_bytes + size
        return held <= self.max_bytes and (
            held + size <= self.process_max_bytes - self.process.held_bytes or self._is_equal_part(held, size)
        )

    def _is_equal_part(self, held: int, size: int) -> bool:
        """Whether a connection of so many bytes stays within its part, also when the process is then to be relieved."""
        if held > self.equal_part:
            return False
        if self.process.held_bytes + size > self.process_max_bytes:
            self.process.relieve(self)
        return True

    @property
    def equal_part(self) -> int:
        """The bytes that each connection may always hold: its part of half of the process."""
        return self.process_max_bytes // (2 * max(self.process.connections, 1))

    @property
    def is_tight(self) -> bool:
        """Whether half of the budget is used, or half of the bytes that this connection may have of its process."""
        held = 2 * self.held_bytes
        return held > self.max_bytes or (
            held > self.process_max_bytes - self.process.held_bytes and self.held_bytes > self.equal_part
        )

    def refusal(self, size: int, thing: str) -> str:
        """Say why so many bytes of a thing do not fit: which setting, and the figures."""
        held, process = self.held_bytes, self.process
        if held + size > self.max_bytes:
            why = f"holds {held} bytes for the other side (Settings.max_connection_bytes is {self.max_bytes})"
        else:
            why = (
                f"holds {held} bytes for the other side, and all {process.connections} connections {process.held_bytes}: each "
                f"may hold as much as stays free (Settings.max_process_bytes is {self.process_max_bytes})"
            )
        return f"{thing} of {size} bytes: this connection {why}"

    def check(self, size: int, thing: str, *, started: bool = True) -> None:
        """Raise `ResourceExhausted` when so many bytes of a thing do not fit."""
        if not self.fits(size):
            raise ResourceExhausted(self.refusal(size, thing), started=started)


class Unsent:
    """The bytes of closed batches that wait to be written, of all streams of a connection.

    `stream_bytes`: with so many bytes unsent, a stream takes no further item; 0 while the budget is tight, and between two
    links.
    """

    __slots__ = ("_budget", "_max_stream_bytes", "_paused", "bytes", "stream_bytes")

    def __init__(self, max_stream_bytes: int, budget: Budget) -> None:
        self.bytes = 0
        self._budget = budget
        self._paused = False
        self.stream_bytes = max_stream_bytes
        self._max_stream_bytes = max_stream_bytes

    def count(self, size: int) -> None:
        """Count bytes that were added; below zero, bytes that left."""
        self.bytes += size
        self._budget.take(size)
        stops = self._paused or (self.bytes > UNSENT_FLOOR_BYTES and self._budget.is_tight)
        self.stream_bytes = 0 if stops else self._max_stream_bytes

    def pause(self, *, paused: bool) -> None:
        """Let no stream take a further item until the session has a link again; or let them go on."""
        self._paused = paused
        self.count(0)
