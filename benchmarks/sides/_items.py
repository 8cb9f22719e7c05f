"""The work that every side does: the same item, the same checks. Nothing here knows a side."""

from __future__ import annotations

import msgspec

#: Bounded pipes all get the room of the design's table: `asyncio.Queue(100)`.
PIPE_ITEMS = 100


class Tick(msgspec.Struct):
    """The 5-field struct of every streaming figure."""

    symbol: str
    sequence: int
    price: float
    size: int
    venue: str


class Stamped(msgspec.Struct):
    """The time at which an item was made."""

    at_ns: int


class Tally(msgspec.Struct):
    """What the receiver of a request stream saw."""

    count: int
    total: int


def tick(sequence: int) -> Tick:
    """Make the item number `sequence`, as a producer would: afresh."""
    return Tick("AAPL", sequence, 101.25, 100, "XNAS")


def check_total(total: int, count: int) -> None:
    """Raise unless `total` is the sum of the sequence numbers 0 … count − 1: nothing lost, nothing doubled."""
    if total != count * (count - 1) // 2:
        raise AssertionError(f"the sequence numbers of {count} items sum up to {total}")
