"""The bounded backlog of one subscriber of a port, and its overflow policy. This module never waits and wakes no task.

Dropped items leave one `Dropped` marker in their place. A marker takes no room, and two markers never stand side by side, so at
most ``size + 1`` of them wait. A consumer that takes a marker alone is guaranteed the item behind it; otherwise a slow
consumer, whose next item is always dropped before it returns, could see nothing but markers.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import msgspec

T = TypeVar("T")

#: The policy of a port for a subscriber whose buffer is full; see `Port`.
Overflow = Literal["wait", "drop_oldest", "drop_newest", "latest", "error"]
OVERFLOWS: Final[tuple[Overflow, ...]] = get_args(Overflow)


class Dropped(msgspec.Struct, frozen=True, gc=False, tag_field="$penstock", tag="dropped"):
    """Marks the place in a stream where `count` items were dropped, because this subscriber was too slow for them.

    It travels as ``{"$penstock": "dropped", "count": 3}``; an item whose first key is ``$penstock`` would be mistaken for it.
    """

    count: int


class Backlog(Generic[T]):
    """The items and markers that wait for one subscriber.

    size: how many items may wait. first: the number of the item that is taken next. dropped: how many items were dropped.
    """

    __slots__ = ("dropped", "first", "guaranteed", "items", "markers", "overflow", "size")

    def __init__(self, size: int, overflow: Overflow) -> None:
        self.size = size
        self.overflow = overflow
        self.items: deque[T] = deque()
        self.guaranteed: list[T] = []  # the item behind a marker that was taken: it cannot be dropped any more
        self.markers: deque[tuple[int, int]] = deque()  # the number of the item behind the marker, and its count
        self.first = 0
        self.dropped = 0

    @property
    def full(self) -> bool:
        return len(self.items) >= self.size

    def add(self, item: T) -> bool:
        """Append `item`, dropping one when the policy says so; False when it is full and the policy drops none."""
        if not self.full:
            self.items.append(item)
            return True
        if self.overflow == "drop_newest":
            end = self.first + len(self.items)
            self._count_dropped(end, end)
            return True
        if self.overflow in {"drop_oldest", "latest"}:
            self.items.popleft()
            self._count_dropped(self.first, self.first + 1)
            self.first += 1
            self.items.append(item)
            return True
        return False

    def take(self, max_items: int) -> list[Any]:
        """Remove and return up to `max_items` items and markers, in their order."""
        taken: list[Any] = []
        items, markers = self.items, self.markers
        if self.guaranteed:
            taken.append(self.guaranteed.pop())
        while len(taken) < max_items:
            if markers and markers[0][0] == self.first:
                taken.append(Dropped(markers.popleft()[1]))
            elif items:
                taken.append(items.popleft())
                self.first += 1
            else:
                break
        if taken and isinstance(taken[-1], Dropped) and items:
            self.guaranteed.append(items.popleft())
            self.first += 1
        return taken

    def clear(self) -> None:
        """Remove everything: the subscriber left."""
        self.items.clear()
        self.guaranteed.clear()
        self.markers.clear()

    def _count_dropped(self, before: int, after: int) -> None:
        """Count one dropped item: extend the last marker if it stands at `before`, else add one; move it to `after`."""
        count = self.markers.pop()[1] if self.markers and self.markers[-1][0] == before else 0
        self.markers.append((after, count + 1))
        self.dropped += 1
