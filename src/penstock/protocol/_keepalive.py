"""Is the other side still there (PROTOCOL.md §7)? Pure: the time comes as an argument, seconds on any steady clock.

Silent for `keepalive_s`: ask with `PING`. Silent for twice that: lost. Round trips are measured on the way.
"""

from __future__ import annotations

from typing import Final, Literal

#: What a round trip is taken to be before one was measured: a local network.
ASSUMED_ROUND_TRIP_S: Final = 0.001
#: The shortest round trip counts, for queues make it longer and nothing makes it shorter. It grows by this factor with each
#: measurement, or a path that has become longer would never be noticed.
DECAY: Final = 1.1
#: Round trips that are measured when a connection is new; the first of them has the handshake in it.
PROBES: Final = 4


class KeepAlive:
    """What is known about the life of one connection."""

    __slots__ = (
        "_asked_at_s",
        "_deadline_s",
        "_handshake_s",
        "_heard_at_s",
        "_interval_s",
        "_measured",
        "_number",
        "ready",
        "round_trip_s",
    )

    def __init__(self, now_s: float, *, handshake_timeout_s: float, keepalive_s: float) -> None:
        self._interval_s = keepalive_s
        self._handshake_s = handshake_timeout_s
        self._deadline_s = now_s + handshake_timeout_s
        self._heard_at_s = now_s
        self._asked_at_s: float | None = None
        self._number = 0
        self._measured = 0
        self.ready = False
        self.round_trip_s = ASSUMED_ROUND_TRIP_S

    @property
    def patience_s(self) -> float:
        """How long the peer may be silent."""
        return 2 * self._interval_s if self.ready else self._handshake_s

    def handshake_done(self, now_s: float) -> None:
        self.ready = True
        self._heard_at_s = now_s

    def heard(self, now_s: float) -> None:
        """Something arrived: it is alive, whatever it said."""
        self._heard_at_s = now_s

    def ask(self, now_s: float) -> int:
        """Return the number for a `PING` that leaves now."""
        self._number += 1
        self._asked_at_s = now_s
        return self._number

    def answered(self, number: int, now_s: float) -> bool:
        """`PONG` with this number arrived; return whether to measure once more now. One that was not asked for is ignored."""
        if self._asked_at_s is None or number != self._number:
            return False
        measured, self._asked_at_s = max(now_s - self._asked_at_s, 1e-6), None
        self._measured += 1
        self.round_trip_s = measured if self._measured == 1 else min(measured, self.round_trip_s * DECAY)
        return self._measured < PROBES

    def next_timeout(self) -> float:
        """Return when `check` should be called next."""
        if not self.ready:
            return self._deadline_s
        asked_at_s = self._unanswered_since()
        return (self._heard_at_s if asked_at_s is None else asked_at_s) + self._interval_s

    def check(self, now_s: float) -> Literal["fine", "ask", "lost"]:
        """Say what to do now. A peer is never given up without having been asked: this side may have slept itself."""
        if not self.ready:
            return "lost" if now_s >= self._deadline_s else "fine"
        asked_at_s = self._unanswered_since()
        if asked_at_s is not None:
            return "lost" if now_s >= asked_at_s + self._interval_s else "fine"
        return "ask" if now_s >= self._heard_at_s + self._interval_s else "fine"

    def _unanswered_since(self) -> float | None:
        """Return when the peer was asked, if it has said nothing since."""
        asked_at_s = self._asked_at_s
        return asked_at_s if asked_at_s is not None and asked_at_s > self._heard_at_s else None
