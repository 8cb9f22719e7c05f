"""What every actor driver checks and times the same way. Nothing here knows a side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter_ns

from benchmarks.sides._clock import Answer, in_flight, one_by_one, rate

Add = Callable[[int], Awaitable[int]]


class Total:
    """What the actor's total must be by now."""

    def __init__(self) -> None:
        self._expected = 0

    def add(self, count: int) -> None:
        """`count` more messages, each a one, were handled."""
        self._expected += count

    def check(self, total: int) -> None:
        """Raise unless the actor has counted as many."""
        if total != self._expected:
            raise AssertionError(f"the actor counted {total} of {self._expected} messages")


class Asks:
    """The asks of one actor: its `add`, timed one by one and many at a time."""

    def __init__(self, add: Add) -> None:
        self._add = add
        self.total = Total()

    async def sequential(self, count: int) -> Answer:
        """Ask `count` times, each after the answer to the one before."""
        answer = await one_by_one(lambda: self._add(1), count)
        return await self._checked(answer, count)

    async def at_once(self, count: int, width: int) -> Answer:
        """Ask `count` times, `width` at a time."""
        answer = await in_flight(lambda: self._add(1), count, width)
        return await self._checked(answer, count)

    async def told(self, count: int, started_ns: int) -> Answer:
        """Answer for `count` messages told since `started_ns`: an ask that was sent last is answered when all were handled."""
        total = await self._add(0)
        answer = rate(count, started_ns)
        self.total.add(count)
        self.total.check(total)
        return answer

    async def _checked(self, answer: Answer, count: int) -> Answer:
        self.total.add(count)
        self.total.check(await self._add(0))
        return answer


def now() -> int:
    """The clock of `rate`, in nanoseconds."""
    return perf_counter_ns()
