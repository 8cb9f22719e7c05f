"""The decisions of a supervisor about a failure: pure functions of the rules and of a time that is given.

The three strategies and the limit of restarts in a time are those of Erlang/OTP's ``supervisor``; the delay between restarts is
exponential with jitter, "full jitter" halved (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, get_args

import msgspec

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)


class Supervision(msgspec.Struct, frozen=True):
    """The rules for children that crash, that is, raise an error that is not a `StatusError`.

    strategy: which children are restarted: the one that failed ("one_for_one"), all its siblings too ("one_for_all"), or also
    the siblings that were spawned after it ("rest_for_one").
    max_restarts: how often one child may fail within `within` seconds before it is stopped (5); 0: not once.
    within: the length of that window in seconds (60).
    backoff: seconds before the first restart (0.1), doubled by each failure within the window, up to `backoff_max` (10). Each
    delay is spread at random between a half of itself and the whole, so that many actors do not come back at once.

    Set it for the children of a class (``supervision = Supervision(...)``), for one child (``spawn(..., supervision=...)``), or
    for a whole `ActorSystem`. Raises `ValueError` for values that make no sense.
    """

    strategy: Strategy = "one_for_one"
    max_restarts: int = 5
    within: float = 60.0
    backoff: float = 0.1
    backoff_max: float = 10.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy is {self.strategy!r}; it is one of {', '.join(STRATEGIES)}")
        if self.max_restarts < 0:
            raise ValueError(f"max_restarts is {self.max_restarts!r}; it is a whole number, 0 for no restart")
        for name in ("within", "backoff", "backoff_max"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value!r}; it takes seconds, zero or more")


class Failures:
    """The failures of one actor, as far as they count. last: the last one as text, empty before the first."""

    __slots__ = ("_times", "last")

    def __init__(self) -> None:
        self._times: deque[float] | None = None  # a deque costs 600 bytes, and most actors never fail
        self.last = ""

    def count(self, rules: Supervision, now_s: float, jitter: float, text: str) -> float | None:
        """Count a failure at `now_s`, described by `text`; return the seconds until the restart, None to stop.

        `jitter` is a random number in [0, 1).
        """
        self.last = text
        if self._times is None:
            self._times = deque()
        times = self._times
        while times and times[0] <= now_s - rules.within:
            times.popleft()
        if len(times) >= rules.max_restarts:
            return None
        times.append(now_s)
        doubled: float = rules.backoff * 2 ** min(len(times) - 1, 64)
        return min(doubled, rules.backoff_max) * (0.5 + jitter / 2)


def restarted_with(strategy: Strategy, siblings: list[str], failed: str) -> list[str]:
    """Return which of `siblings`, in the order they were spawned, are restarted together with `failed`."""
    if strategy == "one_for_one" or failed not in siblings:
        return []
    if strategy == "one_for_all":
        return [name for name in siblings if name != failed]
    return siblings[siblings.index(failed) + 1 :]
