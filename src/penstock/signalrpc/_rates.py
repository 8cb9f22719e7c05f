"""How fast a stream may be: `Rate`, items and bytes a second. This module reads no clock; the caller gives the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The seconds for which a stream that was idle may be faster than its rate.
BURST_S: Final = 0.1


@dataclass
class Bucket:
    """One rate: `per_s` in a second, and in the first tenth of a second at once what that tenth allows.

    The last thing that is spent may be larger than what is there; the next one waits for it. Without a rate it has no limit.
    """

    per_s: float | None
    left: float = 0.0
    at: float | None = None

    def delay_s(self, now: float) -> float:
        """Return the seconds until more may be spent; 0 for now."""
        if self.per_s is None:
            return 0.0
        burst = max(1.0, self.per_s * BURST_S)
        since = now - self.at if self.at is not None else BURST_S
        self.left = burst if self.at is None else min(burst, self.left + since * self.per_s)
        self.at = now
        return 0.0 if self.left > 0 else -self.left / self.per_s + 1e-9

    def spend(self, amount: float) -> None:
        """Note that so much was spent."""
        if self.per_s is not None:
            self.left -= amount


def _lower(one: float | None, other: float | None) -> float | None:
    return min((rate for rate in (one, other) if rate is not None), default=None)


class Rate:
    """The rate of a stream in items and in bytes a second; None for no limit. Raises `ValueError` for 0 and less."""

    def __init__(self, items_per_s: float | None = None, bytes_per_s: float | None = None) -> None:
        for name, rate in (("items_per_s", items_per_s), ("bytes_per_s", bytes_per_s)):
            if rate is not None and not rate > 0:
                raise ValueError(f"{name} is {rate}; a rate is above 0, or None for no limit")
        self._items = Bucket(items_per_s)
        self._bytes = Bucket(bytes_per_s)

    @property
    def asked(self) -> tuple[float | None, float | None] | None:
        """The two rates as they travel; None without any."""
        both = (self._items.per_s, self._bytes.per_s)
        return None if both == (None, None) else both

    def slow_to(self, items_per_s: float | None, bytes_per_s: float | None) -> None:
        """Keep to another rate too, which the receiver asks for. One that is not above 0 is ignored."""
        self._items.per_s = _lower(self._items.per_s, items_per_s if (items_per_s or 0) > 0 else None)
        self._bytes.per_s = _lower(self._bytes.per_s, bytes_per_s if (bytes_per_s or 0) > 0 else None)

    def delay_s(self, now: float) -> float:
        """Return the seconds until the next item may be sent; 0 for now."""
        return max(self._items.delay_s(now), self._bytes.delay_s(now))

    def spend(self, size: int) -> None:
        """Note an item of `size` bytes that was sent."""
        self._items.spend(1)
        self._bytes.spend(size)
