"""The two ends of a stream, as ledgers: how many items may be sent, which have arrived, which are to be sent again.

This module waits for nothing, reads no clock and sends nothing. Both ledgers count items from 0; the end has the number behind
the last item, so it is acknowledged and sent again as an item is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final, Generic, NamedTuple, TypeVar

from penstock.errors import InvalidArgument

K = TypeVar("K")

#: Numbers of items: as many as a number of JavaScript can tell apart.
SEQ_MAX: Final = (1 << 53) - 1


class OutLedger(Generic[K]):
    """The sender of a stream with flow control. It keeps each item until the receiver has it.

    limit: how many items the receiver allows, in all. sent: how many were sent. arrived: how many have arrived.
    """

    def __init__(self) -> None:
        self.limit = 0
        self.arrived = 0
        self._kept: dict[int, K] = {}  # by their numbers, in order

    @property
    def sent(self) -> int:
        """How many items were sent, the end among them."""
        return self.arrived + len(self._kept)

    @property
    def room(self) -> int:
        """How many items may be sent now."""
        return self.limit - self.sent

    @property
    def settled(self) -> bool:
        """Whether all that was sent has arrived."""
        return not self._kept

    def send(self, item: K) -> int:
        """Keep an item, or the end, that is sent now; return its number. The caller has seen that there is room for an item."""
        number = self.sent
        self._kept[number] = item
        return number

    def kept(self, first: int, count: int) -> list[K]:
        """Return up to `count` items from number `first` on, which has not arrived."""
        return [self._kept[number] for number in range(first, min(first + count, self.sent))]

    def credit(self, limit: int, arrived: int) -> list[K]:
        """Take the credit of the receiver; return the items that have arrived with it. Older credit changes nothing.

        Raises `InvalidArgument` for an impossible one.
        """
        if not (0 <= arrived <= self.sent and 0 <= limit <= SEQ_MAX):
            raise InvalidArgument(f"credit for {limit} items, {arrived} arrived, where {self.sent} were sent")
        items = [self._kept.pop(number) for number in range(self.arrived, arrived)]
        self.arrived = max(self.arrived, arrived)
        self.limit = max(self.limit, limit)
        return items

    def missing(self) -> list[K]:
        """Return the items that have not arrived, from number `arrived` on, to be sent again."""
        return list(self._kept.values())


class Taken(NamedTuple):
    """What became of items that have arrived. fresh: how many of them are new. gap: whether items before them are missing."""

    fresh: int
    gap: bool


class InLedger:
    """The receiver of a stream: the items that wait for the program, and how many more may come.

    size: how many items may wait. arrived: how many have arrived. taken: how many the program has taken.
    """

    def __init__(self, size: int, bytes_max: int) -> None:
        self.size = size
        self.bytes_max = bytes_max
        self.waiting: deque[tuple[Any, int]] = deque()
        self.waiting_bytes = 0
        self.arrived = 0
        self.granted = 0

    @property
    def taken(self) -> int:
        """How many items the program has taken."""
        return self.arrived - len(self.waiting)

    @property
    def full(self) -> bool:
        """Whether the items that wait are as many, or as large, as may wait."""
        return len(self.waiting) >= self.size or self.waiting_bytes >= self.bytes_max

    def take_in(self, seq: int, items: Sequence[tuple[Any, int]]) -> Taken:
        """Let items wait that have arrived, each with its size in bytes. Those that have come before are left out.

        Raises `InvalidArgument` for items beyond the credit.
        """
        if seq > self.arrived:
            return Taken(0, gap=True)
        if seq + len(items) > self.granted:
            raise InvalidArgument(f"item {seq + len(items) - 1} has arrived, and {self.granted} were allowed")
        old = self.arrived - seq
        for item in islice(items, old, None):
            self.put(item)
        return Taken(max(0, len(items) - old), gap=False)

    def put(self, item: tuple[Any, int]) -> None:
        """Let one item wait, with its size in bytes."""
        self.waiting.append(item)
        self.waiting_bytes += item[1]
        self.arrived += 1

    def take_out(self, count: int) -> list[Any]:
        """Take up to `count` items."""
        taken = [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]
        self.waiting_bytes -= sum(size for _, size in taken)
        return [item for item, _ in taken]

    def grant(self) -> int | None:
        """Return a new limit when the sender is to be told one, else None: for at least half of `size`, or when none waits.

        While the bytes that wait are too many, there is none.
        """
        limit = self.taken + self.size
        enough = 2 * (limit - self.granted) >= self.size or not self.waiting
        if limit == self.granted or not enough or self.waiting_bytes >= self.bytes_max:
            return None
        self.granted = limit
        return limit
