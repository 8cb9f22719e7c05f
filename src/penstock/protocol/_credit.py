"""Demand as absolute numbers (PROTOCOL.md §5): how far a sender may go, and when credit is due. It never reads a clock.

Two ledgers. The consumer's side holds a `Grant`: the items consumed, the items granted, and a window between them. The
sender's side holds a `Limit`: the highest numbers that were granted to it. Worked example, window 4 items:

    consumed 0, granted 4    the sender sends items 0 1 2 3 and stops
    consumed 1, granted 4    less than half a window since the last grant: no frame is sent
    consumed 2, granted 6    CREDIT(items=6): the sender may go on to item 5

Items sent and not consumed are never more than the window: granted = consumed at the last grant + window.
"""

from __future__ import annotations

from typing import Final

from penstock.errors import ProtocolError
from penstock.protocol._frames import MAX_NUMBER, Credit, Hello, Open
from penstock.protocol._settings import Settings

#: A window without a set size doubles while it holds less than this many round trips of consumption. Its items stand in front
#: of the items of all other streams on the way, so in bytes it fills its path and no more …
LIMITING_ROUND_TRIPS_BYTES: Final = 2.0
#: … but many small items weigh little, and a turn of the event loop at either end takes longer than a short round trip.
LIMITING_ROUND_TRIPS_ITEMS: Final = 32.0
#: How far a window in bytes follows one in items.
MANY_ITEMS_BYTES: Final = 1024 * 1024
#: The windows of a `bulk` stream stay as they are on a shorter path than this: 256 KiB a millisecond are two gigabits a second.
SHORT_PATH_S: Final = 0.001
#: The window that a stream of the peer gets at least, however many there are.
WINDOW_BYTES_MIN: Final = 4096
#: Consumption is measured over at least this long: a consumer takes the waiting items in bursts, a turn of the loop at a time.
EPOCH_S: Final = 0.005


class Limit:
    """How far this side may send, as absolute numbers that only grow.

    consumed: how many items the peer has consumed. ahead: how many more this side sends at most, whatever the peer grants
    (rule 5.9).
    """

    __slots__ = ("ahead", "bytes", "consumed", "items")

    def __init__(self, items: int = 0, bytes_: int = 0, ahead: int = MAX_NUMBER) -> None:
        self.ahead = ahead
        self.items = min(items, ahead)
        self.bytes = bytes_
        self.consumed = 0

    def start_at(self, items: int, bytes_: int) -> None:
        """Take the first grant of the peer, from its `ACCEPT`."""
        self.items = min(items, self.ahead)
        self.bytes = bytes_

    def raise_to(self, credit: Credit, sent: int) -> bool:
        """Take a grant of the peer; return whether there is more room now. A lower grant is ignored (rule 5.3).

        `sent` is the number of items sent so far. Raises `ProtocolError` (rule 5.4) for more consumed items than that.
        """
        if credit.consumed > sent:
            raise ProtocolError("5.4", f"{credit.consumed} items consumed, where only {sent} were sent")
        self.consumed = max(self.consumed, credit.consumed)
        items = min(credit.items, self.consumed + self.ahead)
        more = items > self.items or credit.bytes > self.bytes
        self.items = max(self.items, items)
        self.bytes = max(self.bytes, credit.bytes)
        return more


class Promises:
    """The sum of the windows of a connection, within its budget: so that a peer that keeps to them is refused nothing.

    Of the budget, half is for windows up to the usual size, and a quarter for wished windows, and those that tune themselves,
    beyond it. A window that this program has set for its own call is its own, and is not counted.
    """

    __slots__ = ("_left_beyond", "_left_usual", "_usual_bytes")

    def __init__(self, usual_bytes: int, budget_bytes: int) -> None:
        self._usual_bytes = usual_bytes
        self._left_usual = budget_bytes // 2
        self._left_beyond = budget_bytes // 4

    def make(self, grant: Grant) -> None:
        """Count a window before it is sent, and shrink it to what is left, at least to `WINDOW_BYTES_MIN`."""
        usual = min(grant.window_bytes, self._usual_bytes)
        window = max(min(usual, self._left_usual), min(usual, WINDOW_BYTES_MIN))
        grant.beyond_bytes = self.more(grant.window_bytes - usual) if window == usual else 0
        grant.bytes = grant.window_bytes = window + grant.beyond_bytes
        self.count(grant)

    def count(self, grant: Grant) -> None:
        """Count a window that was sent as it is; call `end` when its stream is over."""
        grant.promises = self
        self._left_usual -= grant.window_bytes - grant.beyond_bytes

    def more(self, size: int) -> int:
        """Promise up to so many bytes beyond the usual window; return how many."""
        more = max(min(size, self._left_beyond), 0)
        self._left_beyond -= more
        return more

    def end(self, grant: Grant) -> None:
        """Count a window no more."""
        grant.promises = None
        self._left_usual += grant.window_bytes - grant.beyond_bytes
        self._left_beyond += grant.beyond_bytes


class Grant:
    """How far the peer may send. A set window keeps its size; any other doubles while it limits the stream.

    `items` and `bytes` are the numbers granted last, `consumed_items` and `consumed_bytes` the numbers consumed. `yields` is
    True for a `bulk` stream, whose window does not grow on a short path. `promises`: where its window is counted, with
    `beyond_bytes` of it beyond the usual one; None for one that is not.
    """

    __slots__ = (
        "_announced_bytes",
        "_announced_items",
        "_epoch_bytes",
        "_epoch_items",
        "_epoch_s",
        "_granted_before",
        "_waited",
        "beyond_bytes",
        "bytes",
        "consumed_bytes",
        "consumed_items",
        "items",
        "max_window_bytes",
        "max_window_items",
        "promises",
        "window_bytes",
        "window_items",
        "yields",
    )

    def __init__(self, window_items: int, window_bytes: int, max_window_items: int = 0, max_window_bytes: int = 0) -> None:
        self.yields = False
        self.promises: Promises | None = None
        self.beyond_bytes = 0
        self.window_items = window_items
        self.window_bytes = window_bytes
        self.max_window_items = max(window_items, max_window_items)
        self.max_window_bytes = max(window_bytes, max_window_bytes)
        self.consumed_items = self.consumed_bytes = 0
        self._announced_items = self._announced_bytes = 0
        self._epoch_s = 0.0
        self._epoch_items = self._epoch_bytes = 0
        self._granted_before = window_items
        self._waited = False
        self.items = window_items
        self.bytes = window_bytes

    def start_with(self, items: int) -> None:
        """Begin with a window of `items` instead; call it before the grant is sent. The maximum stays as it was."""
        self.items = self.window_items = self._granted_before = items

    @property
    def grows(self) -> bool:
        """Whether its window tunes itself."""
        return self.max_window_bytes > self.window_bytes

    def keep_below(self, items: int, bytes_: int) -> None:
        """Bound the window and its growth; call it before the grant is sent."""
        self.items = self.window_items = min(self.window_items, items)
        self.bytes = self.window_bytes = min(self.window_bytes, bytes_)
        self.max_window_items = min(self.max_window_items, items)
        self.max_window_bytes = min(self.max_window_bytes, bytes_)

    def keep_to(self, peer: Hello) -> None:
        """Bound the window by how far the peer sends ahead (rule 5.9): the credit that it waits for would never be due."""
        self.keep_below(peer.max_ahead_items or MAX_NUMBER, peer.max_ahead_bytes or MAX_NUMBER)

    def consume(self, items: int, bytes_: int) -> bool:
        """Count items that the consumer took; return whether credit is due (half a window since the last grant)."""
        self.consumed_items += items
        self.consumed_bytes += bytes_
        return (
            self.consumed_items - self._announced_items >= (self.window_items + 1) // 2
            or self.consumed_bytes - self._announced_bytes >= (self.window_bytes + 1) // 2
        )

    def waited_for(self, item: int) -> None:
        """Note that the consumer had to wait for this item.

        The window limits the stream when only the latest credit allowed the item: the peer had used all credit before it.
        """
        self._waited |= item >= self._granted_before

    def until_due(self) -> int:
        """Return how many more items may be consumed before credit is due; half a window when it is due and not sent yet."""
        half_window = (self.window_items + 1) // 2
        left = half_window - (self.consumed_items - self._announced_items)
        return left if left > 0 else half_window

    def next_credit(self, now_s: float, round_trip_s: float) -> Credit:
        """Grant the peer as far as the window reaches now, and return that as `CREDIT`; a limiting window doubles first."""
        elapsed_s = now_s - self._epoch_s
        if elapsed_s >= max(round_trip_s, EPOCH_S):
            if self._epoch_s > 0 and not (self.yields and round_trip_s < SHORT_PATH_S):
                self._grow(round_trip_s / elapsed_s)
            self._waited = False
            self._epoch_s, self._epoch_items, self._epoch_bytes = now_s, self.consumed_items, self.consumed_bytes
        self._announced_items, self._announced_bytes = self.consumed_items, self.consumed_bytes
        self._granted_before = self.items
        self.items = min(self.consumed_items + self.window_items, MAX_NUMBER)
        self.bytes = min(self.consumed_bytes + self.window_bytes, MAX_NUMBER)
        return Credit(self.items, self.bytes, self.consumed_items)

    def _grow(self, share: float) -> None:
        """Double the window that limits. `share` is the part of this epoch's consumption that falls into one round trip."""
        consumed = self.consumed_items - self._epoch_items
        if self._waited or consumed * share * LIMITING_ROUND_TRIPS_ITEMS > self.window_items:
            self.window_items = min(self.window_items * 2, self.max_window_items)
            as_many_bytes = self.window_items * self.consumed_bytes // self.consumed_items
            self._widen(min(as_many_bytes, MANY_ITEMS_BYTES, self.max_window_bytes))
        if (self.consumed_bytes - self._epoch_bytes) * share * LIMITING_ROUND_TRIPS_BYTES > self.window_bytes:
            self._widen(min(self.window_bytes * 2, self.max_window_bytes))

    def _widen(self, window_bytes: int) -> None:
        more = max(window_bytes - self.window_bytes, 0)
        if self.promises is not None:
            more = self.promises.more(more)
            self.beyond_bytes += more
        self.window_bytes += more


def grant_for(settings: Settings, peer: Hello | None, items: int | None, bytes_: int | None) -> Grant:
    """Make the grant for a stream whose buffer was set to `items` and `bytes_`; a window of None tunes itself.

    With only the items set, the bytes are bounded by `set_window_bytes`, so that the item count is the bound that holds. No
    window is larger than the peer's own bound.
    """
    grant = _grant(settings, items, bytes_)
    if peer is not None:
        grant.keep_to(peer)
    return grant


def _grant(settings: Settings, items: int | None, bytes_: int | None) -> Grant:
    if items is None:
        window, max_window = settings.window_items, settings.max_window_items
    else:
        window = max_window = items
    if bytes_ is not None:
        return Grant(window, bytes_, max_window, bytes_)
    if items is not None:
        return Grant(window, settings.set_window_bytes, max_window, settings.set_window_bytes)
    return Grant(window, settings.window_bytes, max_window, settings.max_window_bytes)


def grant_wished(settings: Settings, peer: Hello | None, opened: Open, own: tuple[int, int] = (0, 0)) -> Grant:
    """Make the grant for the requests of a call: what its caller wishes, within our limits and those of the handler.

    own: the window that the handler has chosen, in items and bytes; 0 for none.
    """
    items = [number for number in (opened.wish_items, own[0]) if number]
    bytes_ = [number for number in (opened.wish_bytes, own[1]) if number]
    return grant_for(
        settings,
        peer,
        min(*items, settings.max_window_items) if items else None,
        min(*bytes_, settings.set_window_bytes) if bytes_ else None,
    )
