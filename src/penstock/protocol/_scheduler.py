"""Which stream sends next on one connection (rule 4.7): deficit round robin over three priorities. It never reads a clock.

Each class gets a quantum of bytes per round, and streams within a class take turns, a frame at a time. An `interactive` call
passes a `bulk` stream at its next frame, and `bulk` still gets its share of a full connection.
(M. Shreedhar, G. Varghese, "Efficient Fair Queuing Using Deficit Round Robin", SIGCOMM 1995.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Final, Generic, TypeVar

S = TypeVar("S")

#: Bytes per round for interactive, normal and bulk: 16 : 4 : 1 of a frame.
QUANTA_BYTES: Final = (4 * 256 * 1024, 256 * 1024, 64 * 1024)


class Scheduler(Generic[S]):
    """The streams that have frames to send, by class: their priority, 0 to 2.

    count: how many are in line. deficits: the bytes that each class may still send in its round. Whoever takes a stream counts
    the bytes of its frame there.
    """

    __slots__ = ("_classes", "_current", "count", "deficits")

    def __init__(self) -> None:
        self._classes: tuple[OrderedDict[S, None], ...] = tuple(OrderedDict() for _ in QUANTA_BYTES)
        self.deficits: list[int] = list(QUANTA_BYTES)
        self._current = 0
        self.count = 0

    def __iter__(self) -> Iterator[S]:
        return chain.from_iterable(self._classes)

    def add(self, stream: S, priority: int) -> None:
        """Put a stream at the end of its class. It must not be in line already."""
        self._classes[priority][stream] = None
        self.count += 1

    def discard(self, stream: S, priority: int) -> None:
        """Take a stream out of line, if it is in line."""
        if self._classes[priority].pop(stream, stream) is None:
            self.count -= 1

    def next(self) -> tuple[S, int]:
        """Take the stream whose turn it is, with its class; only called when a stream is in line.

        The most urgent class goes first while its quantum of this round lasts; then the round goes on where it was.
        """
        classes, deficits = self._classes, self.deficits
        current = 0 if classes[0] and deficits[0] > 0 else self._current
        while not classes[current] or deficits[current] <= 0:
            self._current = current = (current + 1) % len(QUANTA_BYTES)
            owed = deficits[current] if classes[current] else 0  # the debt of an idle class is forgiven
            deficits[current] = min(owed + QUANTA_BYTES[current], QUANTA_BYTES[current])
        self.count -= 1
        return classes[current].popitem(last=False)[0], current
