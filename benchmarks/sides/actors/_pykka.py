"""Pykka's actors: a thread each, in one process. They have no network. Its own calls block, so nothing here awaits.

`ask` blocks; "many at a time" is a window of futures, the oldest waited for first.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pykka

from benchmarks.sides._clock import Answer, percentiles, rate
from benchmarks.sides._memory import resident_bytes
from benchmarks.sides.actors._checks import Total, now


class Counter(pykka.ThreadingActor):
    """Adds up."""

    def __init__(self) -> None:
        super().__init__()
        self._total = 0

    def on_receive(self, message: Any) -> int:
        """Add, and answer the total."""
        self._total += message
        return self._total


class LocalDriver:
    """Blocks the event loop while it measures: nothing else runs in this process."""

    def __init__(self) -> None:
        self._total = Total()
        self._held: list[Any] = []

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Start the actor."""
        del url, transport, folder
        self._counter = Counter.start()

    async def ask(self, count: int) -> Answer:
        """Ask, one after the other."""
        latencies = []
        started = before = now()
        for _ in range(count):
            self._counter.ask(1)
            after = now()
            latencies.append(after - before)
            before = after
        return self._checked(rate(count, started) | percentiles(latencies), count)

    async def ask_in_flight(self, count: int, width: int) -> Answer:
        """Ask, `width` at a time."""
        waiting: deque[Any] = deque()
        started = now()
        for _ in range(count):
            if len(waiting) == width:
                waiting.popleft().get()
            waiting.append(self._counter.ask(1, block=False))
        while waiting:
            waiting.popleft().get()
        return self._checked(rate(count, started), count)

    async def tell(self, count: int) -> Answer:
        """Tell, until all were handled."""
        tell = self._counter.tell
        started = now()
        for _ in range(count):
            tell(1)
        self._counter.ask(0)
        return self._checked(rate(count, started), count)

    def _checked(self, answer: Answer, count: int) -> Answer:
        self._total.add(count)
        self._total.check(self._counter.ask(0))
        return answer

    async def spawn(self, count: int) -> Answer:
        """Start `count` actors; they are stopped after the clock."""
        started = now()
        actors = [Counter.start() for _ in range(count)]
        answer = rate(count, started)
        for actor in actors:
            actor.stop()
        return answer

    async def hold(self, count: int) -> int:
        """Start `count` more; answer how many bytes this process holds then."""
        self._held += [Counter.start() for _ in range(count)]
        return resident_bytes()
