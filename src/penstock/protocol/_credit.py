"""Demand as absolute numbers (PROTOCOL.md §5): how far a sender may go, and when to tell it more. It never reads a clock.

Two ledgers. The consumer's side holds a `Grant`: what was consumed, what was granted, and a window between them. The sender's
side holds a `Limit`: the highest numbers it was told. Worked example, window 4 items:

    consumed 0, granted 4    the sender sends items 0 1 2 3 and stops
    consumed 1, granted 4    less than half a window since the last grant: nothing is said
    consumed 2, granted 6    CREDIT(items=6): the sender may go on to item 5

Sent but not consumed is never more than the window: granted = consumed when it was told + window.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._frames import MAX_NUMBER, Credit
from penstock.protocol._settings import Settings

#: A window that nobody set doubles while it holds less than this many round trips of what is consumed. What is in it stands in
#: front of everybody else's items on the way, so in bytes it fills its path and no more …
LIMITING_ROUND_TRIPS_BYTES: Final = 2.0
#: … but many small items weigh little, and a turn of the event loop at either end takes longer than a short round trip.
LIMITING_ROUND_TRIPS_ITEMS: Final = 32.0
#: How far a window in bytes follows one in items.
MANY_ITEMS_BYTES: Final = 1024 * 1024
#: The windows of a `bulk` stream stay as they are on a shorter path than this: 256 KiB a millisecond are two gigabits a second.
SHORT_PATH_S: Final = 0.001
#: What is consumed is measured over at least this long: consumers take what is there in bursts, a turn of the loop at a time.
EPOCH_S: Final = 0.005


class Limit:
    """How far this side may send: absolute, and it only grows."""

    __slots__ = ("bytes", "consumed", "items")

    def __init__(self, items: int = 0, bytes_: int = 0) -> None:
        self.items = items
        self.bytes = bytes_
        self.consumed = 0

    def raise_to(self, credit: Credit, sent: int) -> bool:
        """Take what the peer grants; return whether there is more room now. Old news is ignored (rule 5.3)."""
        if credit.consumed > sent:
            raise ProtocolError("5.4", f"{credit.consumed} items consumed, where only {sent} were sent")
        more = credit.items > self.items or credit.bytes > self.bytes
        self.items = max(self.items, credit.items)
        self.bytes = max(self.bytes, credit.bytes)
        self.consumed = max(self.consumed, credit.consumed)
        return more


class Grant:
    """How far the peer may send. A window that was set is kept exactly; one that was not doubles while it is the limit.

    `yields` is for a `bulk` stream, whose window grows no further than its path needs.
    """

    __slots__ = (
        "_epoch_bytes",
        "_epoch_items",
        "_epoch_s",
        "_told_bytes",
        "_told_items",
        "bytes",
        "consumed_bytes",
        "consumed_items",
        "items",
        "max_window_bytes",
        "max_window_items",
        "window_bytes",
        "window_items",
        "yields",
    )

    def __init__(self, window_items: int, window_bytes: int, max_window_items: int = 0, max_window_bytes: int = 0) -> None:
        self.yields = False
        self.window_items = window_items
        self.window_bytes = window_bytes
        self.max_window_items = max(window_items, max_window_items)
        self.max_window_bytes = max(window_bytes, max_window_bytes)
        self.consumed_items = self.consumed_bytes = 0
        self._told_items = self._told_bytes = 0
        self._epoch_s = 0.0
        self._epoch_items = self._epoch_bytes = 0
        self.items = window_items
        self.bytes = window_bytes

    def consume(self, items: int, bytes_: int) -> bool:
        """Count what the consumer took; return whether it is time to tell the peer (half a window)."""
        self.consumed_items += items
        self.consumed_bytes += bytes_
        return (
            self.consumed_items - self._told_items >= (self.window_items + 1) // 2
            or self.consumed_bytes - self._told_bytes >= (self.window_bytes + 1) // 2
        )

    def until_told(self) -> int:
        """How many items may be consumed before it is time to tell the peer, at least one."""
        return max(1, (self.window_items + 1) // 2 - (self.consumed_items - self._told_items))

    def tell(self, now_s: float, round_trip_s: float) -> Credit:
        """Return what to tell the peer now, with a larger window if that is what limits."""
        elapsed_s = now_s - self._epoch_s
        if elapsed_s >= max(round_trip_s, EPOCH_S):
            if self._epoch_s > 0 and not (self.yields and round_trip_s < SHORT_PATH_S):
                self._grow(round_trip_s / elapsed_s)
            self._epoch_s, self._epoch_items, self._epoch_bytes = now_s, self.consumed_items, self.consumed_bytes
        self._told_items, self._told_bytes = self.consumed_items, self.consumed_bytes
        self.items = min(self.consumed_items + self.window_items, MAX_NUMBER)
        self.bytes = min(self.consumed_bytes + self.window_bytes, MAX_NUMBER)
        return Credit(self.items, self.bytes, self.consumed_items)

    def _grow(self, share: float) -> None:
        """Double what limits; `share` of what was consumed in this epoch was consumed in one round trip."""
        if (self.consumed_items - self._epoch_items) * share * LIMITING_ROUND_TRIPS_ITEMS > self.window_items:
            self.window_items = min(self.window_items * 2, self.max_window_items)
            as_many_bytes = self.window_items * self.consumed_bytes // self.consumed_items
            self.window_bytes = max(self.window_bytes, min(as_many_bytes, MANY_ITEMS_BYTES, self.max_window_bytes))
        if (self.consumed_bytes - self._epoch_bytes) * share * LIMITING_ROUND_TRIPS_BYTES > self.window_bytes:
            self.window_bytes = min(self.window_bytes * 2, self.max_window_bytes)


def grant_for(settings: Settings, items: int | None, bytes_: int | None) -> Grant:
    """Make the grant for a stream whose buffer was set to `items` and `bytes_`; None leaves that window to tune itself.

    Where only the items were set, the bytes are bounded by `set_window_bytes`, so that the item count is what holds.
    """
    if items is None:
        window, max_window = settings.window_items, settings.max_window_items
    else:
        window = max_window = items
    if bytes_ is not None:
        return Grant(window, bytes_, max_window, bytes_)
    if items is not None:
        return Grant(window, settings.set_window_bytes, max_window, settings.set_window_bytes)
    return Grant(window, settings.window_bytes, max_window, settings.max_window_bytes)


def grant_wished(settings: Settings, items: int, bytes_: int) -> Grant:
    """Make the grant that a peer wishes for its own direction, within our limits; 0 is no wish."""
    return grant_for(
        settings,
        min(items, settings.max_window_items) or None,
        min(bytes_, settings.set_window_bytes) or None,
    )
