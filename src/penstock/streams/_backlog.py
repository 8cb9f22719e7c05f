"""What waits for one subscriber of a port, and what happens when there is no room. It never waits and wakes nobody.

Items that are let go of leave a gap at their place; whoever takes gets a `Dropped` there. A gap is no item and takes no room,
and two gaps never stand side by side, so at most ``size + 1`` of them wait. Who takes a gap alone is promised the item behind
it: else a slow subscriber, for whom that item has been let go of when it comes back, would see nothing but gaps.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import msgspec

T = TypeVar("T")

#: What a port does for a subscriber that has no room.
Overflow = Literal["wait", "drop_oldest", "drop_newest", "latest", "error"]
OVERFLOWS: Final[tuple[Overflow, ...]] = get_args(Overflow)


class Dropped(msgspec.Struct, frozen=True, gc=False, tag_field="$penstock", tag="dropped"):
    """Stands in a stream at the place where `count` items were let go of, because this subscriber was too slow for them.

    It travels as ``{"$penstock": "dropped", "count": 3}``: an item whose first key is that one would be taken for it.
    """

    count: int


class Backlog(Generic[T]):
    """The items and gaps that wait for one subscriber."""

    __slots__ = ("dropped", "first", "gaps", "items", "overflow", "promised", "size")

    def __init__(self, size: int, overflow: Overflow) -> None:
        self.size = size
        self.overflow = overflow
        self.items: deque[T] = deque()
        self.promised: list[T] = []  # the item behind a gap that was taken: it is let go of no more
        self.gaps: deque[tuple[int, int]] = deque()  # before which item, and how many are missing there
        self.first = 0  # the number of the item that is taken next
        self.dropped = 0

    @property
    def full(self) -> bool:
        return len(self.items) >= self.size

    def offer(self, item: T) -> bool:
        """Take the item, or let one go; False when the policy allows neither."""
        if not self.full:
            self.items.append(item)
            return True
        if self.overflow == "drop_newest":
            end = self.first + len(self.items)
            self._lose(end, end)
            return True
        if self.overflow in {"drop_oldest", "latest"}:
            self.items.popleft()
            self._lose(self.first, self.first + 1)
            self.first += 1
            self.items.append(item)
            return True
        return False

    def take(self, max_items: int) -> list[Any]:
        """Return up to `max_items` items and gaps, in their order."""
        taken: list[Any] = []
        items, gaps = self.items, self.gaps
        if self.promised:
            taken.append(self.promised.pop())
        while len(taken) < max_items:
            if gaps and gaps[0][0] == self.first:
                taken.append(Dropped(gaps.popleft()[1]))
            elif items:
                taken.append(items.popleft())
                self.first += 1
            else:
                break
        if taken and isinstance(taken[-1], Dropped) and items:
            self.promised.append(items.popleft())
            self.first += 1
        return taken

    def clear(self) -> None:
        """Forget everything: the subscriber left."""
        self.items.clear()
        self.promised.clear()
        self.gaps.clear()

    def _lose(self, before: int, after: int) -> None:
        """One item more is missing at the last gap, when that is at `before`, or at a new one; which is then at `after`."""
        count = self.gaps.pop()[1] if self.gaps and self.gaps[-1][0] == before else 0
        self.gaps.append((after, count + 1))
        self.dropped += 1
