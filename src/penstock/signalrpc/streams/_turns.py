"""Which of the streams that wait for a full connection goes next, by their priorities: `Turns`. It waits for nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

#: How many messages of a priority go for one of the lowest, as in the calls of Penstock.
WEIGHTS: Final = {"interactive": 16, "normal": 4, "bulk": 1}


class Turns:
    """Actions in line. Those of one priority go in order; of several, each gets a share by its weight, and none is left out."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Callable[[], None]]] = {name: deque() for name in WEIGHTS}
        self._passes = dict.fromkeys(WEIGHTS, 0.0)
        self._now = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def join(self, priority: str, action: Callable[[], None]) -> None:
        """Put an action in line. A priority that was away begins where the others are: it has saved nothing up."""
        line = self._lines[priority]
        if not line:
            self._passes[priority] = max(self._passes[priority], self._now)
        line.append(action)

    def pop(self) -> Callable[[], None] | None:
        """Take the next action out of the line; None when it is empty."""
        waiting = [name for name, line in self._lines.items() if line]
        if not waiting:
            return None
        name = min(waiting, key=lambda one: self._passes[one])
        self._now = self._passes[name]
        self._passes[name] += 1 / WEIGHTS[name]
        return self._lines[name].popleft()
