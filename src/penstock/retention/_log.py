"""`Log`: the items of one stream that are kept, encoded, with their offsets, within limits. It never waits."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

#: What an item costs beside its bytes: its object, and its places in two lists.
ITEM_BYTES: Final = 128
#: The oldest places of the lists are given back when this many of them, and half of all, are empty.
EMPTY_MAX: Final = 512


class Limits(NamedTuple):
    """How much of a stream is kept, and for how long.

    ttl_s: seconds from the end of the stream until it is forgotten. max_items, max_bytes: of the items that are kept; the
    oldest go first. The bytes are those of the encoded items, and `ITEM_BYTES` for each.
    """

    ttl_s: float
    max_items: int
    max_bytes: int

    def exceeded(self, items: int, size: int) -> bool:
        """Whether so many items, or their bytes, are more than are kept."""
        return items > self.max_items or size > self.max_bytes


def size_of(items: list[Any]) -> int:
    """Return the bytes of encoded items, as limits count them."""
    return sum(memoryview(item).nbytes for item in items) + ITEM_BYTES * len(items)


class Log:
    """The newest items of a stream, and the class that each of them had.

    first: the offset of the oldest item here. size: the bytes that the items take.
    """

    __slots__ = ("_classes", "_items", "_start", "first", "limits", "size")

    def __init__(self, limits: Limits, first: int = 0) -> None:
        self.limits = limits
        self.first = first
        self.size = 0
        self._items: list[msgspec.Raw | None] = []
        self._classes: list[Any] = []
        self._start = 0  # the place of the oldest item; those before it are empty

    @property
    def next(self) -> int:
        """The offset of the next item that is added."""
        return self.first + len(self._items) - self._start

    def add(self, item: msgspec.Raw, cls: Any, size: int) -> None:
        """Add an item that takes `size` bytes, and the class that it had."""
        self._items.append(item)
        self._classes.append(cls)
        self.size += size

    def trim(self, before: int) -> None:
        """Let the oldest items go that are over the limits, of those before an offset: one, or 300,000 for a huge one."""
        _ttl, max_items, max_bytes = self.limits
        items, start, size = self._items, self._start, self.size
        over = len(items) - max_items  # those before this place are too many
        if size <= max_bytes and start >= over:
            return
        at, end = start, start + before - self.first
        while at < end and (at < over or size > max_bytes):
            size -= memoryview(items[at]).nbytes + ITEM_BYTES  # type: ignore[arg-type] # a Raw has the interface of a buffer
            at += 1
        self.size, self._start = size, at
        self.first += at - start
        if at >= EMPTY_MAX and at * 2 >= len(items):
            del items[:at], self._classes[:at]
            self._start = 0
        else:
            items[start:at] = self._classes[start:at] = [None] * (at - start)

    def page_items(self, most: int, page_bytes: int) -> int:
        """Return how many items of average size make a page of `page_bytes`: 1 to `most`."""
        kept = len(self._items) - self._start
        return max(1, min(most, page_bytes * kept // max(self.size, 1)))

    def page(self, offset: int, count: int) -> tuple[list[Any], list[Any]]:
        """Return up to `count` items from `offset` on, which is kept, and the class of each."""
        begin = self._start + offset - self.first
        return self._items[begin : begin + count], self._classes[begin : begin + count]

    def copy(self, before: int) -> Log:
        """Return another log with the items before an offset. The two have their bytes in common."""
        twin = Log(self.limits, min(self.first, before))
        count = max(0, before - self.first)
        twin._items, twin._classes = self.page(self.first, count)
        twin.size = size_of(twin._items)
        return twin

    def clear(self) -> None:
        """Let all items go."""
        self.first, self.size, self._start = self.next, 0, 0
        self._items.clear()
        self._classes.clear()
