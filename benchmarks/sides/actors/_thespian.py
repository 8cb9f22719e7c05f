"""Thespian's actors: all in this process (`simpleSystemBase`), or each in a process of its own over TCP (`multiprocTCPBase`).

Its `ask` from outside blocks and is one at a time; "many at a time" is a window of `tell`s whose answers are listened for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from thespian.actors import Actor, ActorExitRequest, ActorSystem

from benchmarks.sides._clock import Answer, percentiles, rate
from benchmarks.sides._memory import resident_bytes
from benchmarks.sides.actors._checks import Total, now

_PATIENCE = timedelta(seconds=20)


class Counter(Actor):  # type: ignore[misc]
    """Adds up. A number is asked, and answered; a number in a tuple is told."""

    def __init__(self) -> None:
        super().__init__()
        self._total = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802 - thespian's seam
        """Add, and answer the total."""
        if type(message) is int:
            self._total += message
            self.send(sender, self._total)
        elif type(message) is tuple:
            self._total += message[0]


class LocalDriver:
    """Blocks the event loop while it measures: nothing else runs in this process."""

    base = "simpleSystemBase"

    def __init__(self) -> None:
        self._total = Total()
        self._held: list[Any] = []

    async def connect(self, url: str, transport: str, folder: str) -> None:
        """Start the actor system and the actor."""
        del url, transport, folder
        self._system = ActorSystem(self.base, logDefs={"version": 1})
        self._counter = self._system.createActor(Counter)
        assert self._system.ask(self._counter, 0, _PATIENCE) == 0

    async def ask(self, count: int) -> Answer:
        """Ask, one after the other."""
        ask, counter = self._system.ask, self._counter
        latencies = []
        started = before = now()
        for _ in range(count):
            ask(counter, 1, _PATIENCE)
            after = now()
            latencies.append(after - before)
            before = after
        return self._checked(rate(count, started) | percentiles(latencies), count)

    async def ask_in_flight(self, count: int, width: int) -> Answer:
        """Ask, `width` at a time."""
        tell, listen, counter = self._system.tell, self._system.listen, self._counter
        started = now()
        for _ in range(min(width, count)):
            tell(counter, 1)
        for number in range(count):
            if listen(_PATIENCE) is None:
                raise AssertionError("an answer did not come")
            if number + width < count:
                tell(counter, 1)
        return self._checked(rate(count, started), count)

    async def tell(self, count: int) -> Answer:
        """Tell, until all were handled."""
        tell, counter = self._system.tell, self._counter
        started = now()
        for _ in range(count):
            tell(counter, (1,))
        total = self._system.ask(counter, 0, _PATIENCE)
        answer = rate(count, started)
        self._total.add(count)
        self._total.check(total)
        return answer

    def _checked(self, answer: Answer, count: int) -> Answer:
        self._total.add(count)
        self._total.check(self._system.ask(self._counter, 0, _PATIENCE))
        return answer

    async def spawn(self, count: int) -> Answer:
        """Start `count` actors; they are stopped after the clock."""
        started = now()
        actors = [self._system.createActor(Counter) for _ in range(count)]
        answer = rate(count, started)
        for actor in actors:
            self._system.tell(actor, ActorExitRequest())
        return answer

    async def hold(self, count: int) -> int:
        """Start `count` more; answer how many bytes this process holds then."""
        self._held += [self._system.createActor(Counter) for _ in range(count)]
        return resident_bytes()

    async def close(self) -> None:
        """End the actor system, and its processes."""
        self._system.shutdown()


class Driver(LocalDriver):
    """The actor is in a process of its own, reached over TCP."""

    base = "multiprocTCPBase"
